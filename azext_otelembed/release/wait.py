"""`az otelembed wait`: completes a pending release, or verifies an unproven one again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from azext_otelembed.console import Console
from azext_otelembed.errors import NotFound
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_history import unfinished_release, unproven_release
from azext_otelembed.release.planned_release import plan_completion
from azext_otelembed.release.recorded_site import RecordedSite
from azext_otelembed.release.release_context import ReleaseOptions
from azext_otelembed.release.swap import complete_swap
from azext_otelembed.release.telemetry_check import check_may_ask
from azext_otelembed.webapp.plan import IMAGE, Change
from azext_otelembed.webapp.preflight import check_running


def wait(
    site: RecordedSite, options: ReleaseOptions, console: Console
) -> tuple[dict[str, Any], int]:
    """Completes the pending release of a site: verifies it, and rolls it back if it fails.

    `deploy --no-wait` and killed runs leave a release pending. What its record says and was not
    done is done before. An unproven release that the site still has is verified again. Returns the
    result object and the exit status. Raises `NotFound` if there is neither.
    """
    unproven = unproven_release(site.observed.image, site.known)
    pending = unfinished_release(site.known) or unproven
    if pending is None:
        raise NotFound(f"{site.observed.id} has no pending release.", site.see_history)
    check_running(site.observed)
    if options.telemetry and site.observed.setting:
        setting = site.observed.setting
        if note := check_may_ask(site.session, site.observed, options.telemetry, setting):
            console.note(note)
    planned = plan_completion(site, pending)
    if pending.slot:
        return _complete_swap(site, pending, options, console)
    return planned.carry_out(options, console)


def _complete_swap(
    site: RecordedSite, pending: Release, options: ReleaseOptions, console: Console
) -> tuple[dict[str, Any], int]:
    slot = replace(site.client.id, slot=pending.slot)
    context = site.context(options, console)
    ended = complete_swap(context, slot, site.observed, pending, site.known)
    changes = [Change(IMAGE, pending.previous_image, pending.image)]
    return site.result(changes, ended, console), ended.exit_status
