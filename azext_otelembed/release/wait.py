"""`az otelembed wait`: verifies a pending release, or an unproven one again."""

from __future__ import annotations

from typing import Any

from azext_otelembed.console import Console
from azext_otelembed.errors import NotFound
from azext_otelembed.records.record_history import unfinished_release, unproven_release
from azext_otelembed.release.recorded_release import RecordedRelease
from azext_otelembed.release.recorded_site import RecordedSite
from azext_otelembed.release.release_context import ReleaseOptions
from azext_otelembed.release.release_runner import ImageUndo
from azext_otelembed.webapp.plan import Change
from azext_otelembed.webapp.preflight import check_running
from azext_otelembed.webapp.restore import PreviousState


def wait(
    site: RecordedSite, options: ReleaseOptions, console: Console
) -> tuple[dict[str, Any], int]:
    """Verifies the pending release of a site, rolls it back if it fails, and completes it.

    `deploy --no-wait` and killed runs leave a release pending. An unproven release that the site
    still has is verified again. Returns the result object and the exit status. Raises `NotFound`
    if there is neither.
    """
    unproven = unproven_release(site.observed.image, site.known)
    pending = unfinished_release(site.known) or unproven
    if pending is None:
        raise NotFound(f"{site.observed.id} has no pending release.", site.see_history)
    check_running(site.observed)
    added = pending.setting_changed and not pending.setting_existed
    previous = PreviousState(pending.previous_image, None, restores_setting=added)
    context = site.context(options, console)
    undo = ImageUndo(context, site.observed, previous)
    begun = RecordedRelease(context, pending)
    console.stands(
        f"release {pending.id} of {site.observed.id} is not verified yet; "
        f"`{begun.wait_command}` goes on"
    )
    ended = begun.finish(site.observed, undo)
    changes = [Change("image", pending.previous_image, pending.image)]
    return site.result(changes, ended, console), ended.exit_status
