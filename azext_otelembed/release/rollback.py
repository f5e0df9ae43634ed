"""`az otelembed rollback` and `remove`: a release of an earlier image, or of the base image."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from azext_otelembed.collector.connection_string import mask
from azext_otelembed.console import Console
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.errors import InvalidInput, NotFound, Refused
from azext_otelembed.image.dockerfile_template import dockerfile_collector
from azext_otelembed.image.provenance import read_provenance
from azext_otelembed.image.reference import Reference, same_image
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_history import added_the_setting, image_before
from azext_otelembed.records.release_lock import check_free
from azext_otelembed.release.recorded_site import RecordedSite
from azext_otelembed.release.release_context import ReleaseImage, ReleaseOptions
from azext_otelembed.release.release_runner import release_image
from azext_otelembed.webapp.observe import SETTING
from azext_otelembed.webapp.plan import Change, Plan
from azext_otelembed.webapp.preflight import check_running


@dataclass(frozen=True, slots=True)
class PlannedRollback:
    """The changes of a rollback or a removal, which are shown before they are confirmed."""

    site: RecordedSite
    plan: Plan
    image: ReleaseImage

    @property
    def question(self) -> str:
        """The question that is asked before anything changes."""
        changes = "; ".join(str(change) for change in self.plan.changes)
        return f"{self.site.observed.id}: {changes}. Continue?"


def plan_rollback(site: RecordedSite, to: str | None) -> PlannedRollback:
    """The rollback to the image that ran successfully before, or to the one that `to` names.

    `to` is a number of `history`, or an image's tag. Raises `NotFound` if there is none.
    """
    check_running(site.observed)
    check_free(site.known, None, see_history=site.see_history)
    image = _earlier_image(site, to)
    changes = (Change("image", site.observed.image, image),)
    return PlannedRollback(site, Plan(None, image, changes), _stored_image(site, image))


def plan_removal(site: RecordedSite, *, keep_setting: bool) -> PlannedRollback:
    """The way to the base image, and without the setting if a release added it."""
    check_running(site.observed)
    check_free(site.known, None, see_history=site.see_history)
    image = _base_image(site)
    changes = [Change("image", site.observed.image, image)]
    setting = site.observed.setting
    removes = False
    if setting is not None and not keep_setting and added_the_setting(setting, site.known):
        removes = True
        changes.append(Change(f"app setting {SETTING}", mask(setting), "(removed)"))
    plan = Plan(None, image, tuple(changes), removes_setting=removes)
    return PlannedRollback(site, plan, _stored_image(site, image))


def roll_back(
    planned: PlannedRollback, options: ReleaseOptions, console: Console
) -> tuple[dict[str, Any], int]:
    """Releases the image of a planned rollback; returns the result object and the exit status."""
    site = planned.site
    context = site.context(options, console)
    ended = release_image(context, site.observed, planned.plan, planned.image, site.known)
    return site.result(planned.plan.changes, ended, console), ended.exit_status


def _earlier_image(site: RecordedSite, to: str | None) -> str:
    observed, known = site.observed, site.known
    if not known:
        raise NotFound(f"{observed.id} has no release on record.", site.see_history)
    if to is None:
        earlier = image_before(observed.image, known)
        if earlier is None:
            raise NotFound(
                f"No image on record ran successfully before {observed.image}.",
                f"Name the image with --to: `{observed.id.command('otelembed history')}` lists "
                "numbers and tags.",
            )
        return earlier
    image = _named_image(known, to)
    if image is None:
        raise NotFound(
            f"--to '{to}' is neither a number nor a tag in the history.", site.see_history
        )
    if same_image(image, observed.image):
        raise InvalidInput(f"--to '{to}': {observed.id} runs {image} already.", site.see_history)
    return image


def _named_image(known: list[Release], to: str) -> str | None:
    if to.isdigit() and int(to) < len(known):
        return known[int(to)].image
    images = [one.image for one in known] + [one.previous_image for one in known]
    return next((image for image in images if Reference.parse(image).tag == to), None)


def _base_image(site: RecordedSite) -> str:
    observed = site.observed
    running = Reference.parse(observed.image).or_latest()
    config = load_base(site.registry.open(running), running).config
    if dockerfile_collector(config):
        raise Refused(
            f"{observed.image} got its collector from its own Dockerfile.",
            "Remove the collector there, and release the image that is built then.",
        )
    provenance = read_provenance(config)
    if provenance is None:
        raise Refused(
            f"{observed.id} runs {observed.image}, which is no embedded image: there is nothing "
            "to remove.",
            f"See `{observed.id.command('otelembed status')}`.",
        )
    base = replace(provenance.base, registry=running.registry)
    return str(replace(base, digest=None) if base.tag else base)


def _stored_image(site: RecordedSite, name: str) -> ReleaseImage:
    """The image with its digest. Raises `NotFound` if the registry doesn't hold it any more."""
    digest = site.registry.digest_of(Reference.parse(name).or_latest())
    if digest is None:
        raise NotFound(
            f"{name} is not in its registry any more.",
            f"Choose another release: `{site.observed.id.command('otelembed history')}`.",
        )
    return ReleaseImage(name, str(digest))
