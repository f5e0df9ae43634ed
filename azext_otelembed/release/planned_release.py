"""A planned release of one image: what is shown and confirmed before it is carried out.

A release that an earlier run has begun is planned from its record.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from azext_otelembed.az_commands import option
from azext_otelembed.collector.connection_string import mask
from azext_otelembed.console import Console
from azext_otelembed.errors import NotFound, Refused
from azext_otelembed.image.reference import Reference, same_image
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_history import added_the_setting, newest_release
from azext_otelembed.release.recorded_site import RecordedSite
from azext_otelembed.release.release_context import (
    ReleaseImage,
    ReleaseOptions,
    ReleaseResult,
    health_path_words,
)
from azext_otelembed.release.release_runner import release_image
from azext_otelembed.webapp.observe import SETTING
from azext_otelembed.webapp.plan import IMAGE, NO_CHANGE, Change, Plan


@dataclass(frozen=True, slots=True)
class PlannedRelease:
    """The changes of a release. `earlier` is the release on record that it completes; `is_done`
    tells that this one is complete already, so that nothing is to be done.
    """

    site: RecordedSite
    plan: Plan
    image: ReleaseImage
    earlier: Release | None = None
    is_done: bool = False

    @classmethod
    def done(cls, site: RecordedSite, release: Release) -> PlannedRelease:
        """Nothing: `release` has made the changes."""
        return cls(site, NO_CHANGE, ReleaseImage.of(release), release, is_done=True)

    @property
    def question(self) -> str:
        """The question that is asked before anything changes."""
        changes = "; ".join(str(change) for change in self.plan.changes)
        back = f" It goes back from release {self._from}." if self._from else ""
        return f"{self.site.observed.id}: {changes}.{back} Continue?"

    @property
    def _from(self) -> str:
        return self.image.goes_back_from

    def carry_out(self, options: ReleaseOptions, console: Console) -> tuple[dict[str, Any], int]:
        """Makes the changes; returns the result object and the exit status."""
        site, earlier = self.site, self.earlier
        if self.is_done and earlier is not None:
            pinned = (*health_path_words(options.health_path), *option("--from", earlier.id))
            further = site.observed.id.command("otelembed rollback", *pinned)
            back = f", back from release {self._from}" if self._from else ""
            console.note(
                f"Nothing was changed: release {earlier.id} has set {earlier.image} already{back}. "
                f"To go back further, run `{further}`."
            )
            return site.result((), ReleaseResult(earlier, None, 0), console), 0
        if earlier is not None:
            console.note(f"Release {earlier.id}, which an earlier run began, is continued.")
        elif self._from:
            console.note(f"{site.observed.id} goes back from release {self._from}.")
        context = site.context(options, console)
        observed = site.observed
        setting = observed.setting if _has_setting(site, earlier) else None
        ended = release_image(
            context, observed, self.plan, self.image, site.known, setting, earlier
        )
        return site.result(self.plan.changes, ended, console), ended.exit_status


def begun_release(site: RecordedSite, command: str) -> Release | None:
    """The newest release if `command` began it and it isn't complete: it is pending, or unproven
    and not accepted. None if another process has set another image since.
    """
    newest = newest_release(site.known)
    if newest is None or newest.command != command:
        return None
    if newest.state == record.PENDING:
        return newest if _is_untouched(site, newest) else None
    is_unproven = newest.state == record.UNPROVEN and not newest.accepted
    return newest if is_unproven and same_image(newest.image, site.observed.image) else None


def plan_completion(
    site: RecordedSite, release: Release, *, keep_setting: bool | None = None
) -> PlannedRelease:
    """The plan that completes `release`, which an earlier run has begun: what its record says.

    `keep_setting` is the one of `remove` (None: as the record says). Raises `Refused`, and ends the
    release, if another process has changed the image since; `NotFound` if the image is gone.
    """
    observed = site.observed
    if not _is_untouched(site, release):
        reason = f"another process has changed the image to {observed.image or 'none'}"
        site.store.complete(release, record.FAILED, reason)
        raise Refused(
            f"{observed.id} runs {observed.image or 'no image'}, neither {release.image} nor "
            f"{release.previous_image}: another process has changed it. Release {release.id} has "
            "ended; nothing was changed.",
            site.see_history,
        )
    removes = False
    if observed.setting is not None:
        wanted = release.setting_removed if keep_setting is None else not keep_setting
        others = [one for one in site.known if one.id != release.id]
        removes = wanted and added_the_setting(observed.setting, others)
        if keep_setting is not None:
            release = replace(release, setting_changed=removes, setting_removed=removes)
    changes = [Change(IMAGE, release.previous_image, release.image)]
    if removes and observed.setting is not None:
        changes.append(Change(f"app setting {SETTING}", mask(observed.setting), "(removed)"))
    image = None
    if not same_image(observed.image, release.image) and _can_set_image(site, release):
        image = stored_image(site, release.image).name
    plan = Plan(None, image, tuple(changes), removes_setting=removes)
    return PlannedRelease(site, plan, ReleaseImage.of(release), release)


def stored_image(site: RecordedSite, name: str) -> ReleaseImage:
    """The image with its digest. Raises `NotFound` if the registry doesn't hold it any more."""
    digest = site.registry.digest_of(Reference.parse(name).or_latest())
    if digest is None:
        raise NotFound(
            f"{name} is not in its registry any more.",
            f"Choose another release: `{site.observed.id.command('otelembed history')}`.",
        )
    return ReleaseImage(name, str(digest))


def _is_untouched(site: RecordedSite, release: Release) -> bool:
    """Whether the site runs the image of an unfinished release, or the one from before it."""
    images = (release.image, release.previous_image)
    return any(same_image(site.observed.image, image) for image in images)


def _can_set_image(site: RecordedSite, release: Release) -> bool:
    """Whether a release that was stopped before it set its image can be continued.

    The connection string that a deploy sets comes first, and its value isn't recorded.
    """
    return not release.setting_fingerprint or _has_setting(site, release)


def _has_setting(site: RecordedSite, release: Release | None) -> bool:
    """Whether the site has the connection string that the release sets."""
    setting = site.observed.setting
    if release is None or setting is None:
        return False
    return release.is_of(release.digest, setting, release.command)
