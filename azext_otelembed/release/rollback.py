"""`az otelembed rollback` and `remove`: a release of an earlier image, or of the base image."""

from __future__ import annotations

import re
from dataclasses import replace

from azext_otelembed.collector.connection_string import mask
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.errors import InvalidInput, NotFound, OtelembedError, Refused
from azext_otelembed.image.dockerfile_template import dockerfile_collector
from azext_otelembed.image.provenance import read_provenance
from azext_otelembed.image.reference import Reference, same_image
from azext_otelembed.records.record import REMOVE, ROLLBACK, Release
from azext_otelembed.records.record_history import (
    added_the_setting,
    image_before,
    newest_release,
    running_release,
)
from azext_otelembed.records.release_lock import check_free
from azext_otelembed.release.planned_release import (
    PlannedRelease,
    begun_release,
    plan_completion,
    stored_image,
)
from azext_otelembed.release.recorded_site import RecordedSite
from azext_otelembed.webapp.observe import SETTING
from azext_otelembed.webapp.plan import IMAGE, Change, Plan
from azext_otelembed.webapp.preflight import check_running

_NUMBER = re.compile(r"[0-9]{1,9}")
"""A release's number in the history."""


def plan_rollback(
    site: RecordedSite, to: str | None, goes_back_from: str | None = None
) -> PlannedRelease:
    """The rollback to the image that ran successfully before, or to the one that `to` names.

    `to` is a number of `history`, or an image's tag; `goes_back_from` is the id of the release that
    the site has to run. A rollback with the same arguments that was stopped is continued; if it was
    made, and no release came after it, nothing is to be done. Raises `NotFound` if there is no such
    image or release, `InvalidInput` if the site runs another release.
    """
    observed, known = site.observed, site.known
    check_running(observed)

    def is_same(release: Release) -> bool:
        return _is_rollback(site, release, to, goes_back_from)

    running = running_release(observed.image, known)
    begun = begun_release(site, ROLLBACK)
    if begun is not None and is_same(begun):
        return plan_completion(site, begun)
    newest = newest_release(known)
    is_made = newest is not None and newest.is_healthy and is_same(newest)
    if is_made and newest is not None and same_image(newest.image, observed.image):
        return PlannedRelease.done(site, newest)
    if goes_back_from is not None and (running is None or running.id != goes_back_from):
        made = next((one for one in known if one.is_healthy and is_same(one)), None)
        if made is not None:
            return PlannedRelease.done(site, made)
        raise _runs_another(site, goes_back_from, running)
    check_free(known, None, see_history=site.see_history)
    image = _earlier_image(site, to)
    changes = (Change(IMAGE, observed.image, image),)
    stored = replace(
        stored_image(site, image),
        command=ROLLBACK,
        goes_back_from=running.id if running else "",
        target=to or "",
    )
    return PlannedRelease(site, Plan(None, image, changes), stored)


def plan_removal(site: RecordedSite, *, keep_setting: bool) -> PlannedRelease:
    """The way to the base image, and without the setting if a release added it.

    A removal that was stopped is continued.
    """
    check_running(site.observed)
    if begun := begun_release(site, REMOVE):
        return plan_completion(site, begun, keep_setting=keep_setting)
    check_free(site.known, None, see_history=site.see_history)
    image = _base_image(site)
    changes = [Change(IMAGE, site.observed.image, image)]
    setting = site.observed.setting
    removes = False
    if setting is not None and not keep_setting and added_the_setting(setting, site.known):
        removes = True
        changes.append(Change(f"app setting {SETTING}", mask(setting), "(removed)"))
    plan = Plan(None, image, tuple(changes), removes_setting=removes)
    running = running_release(site.observed.image, site.known)
    stored = replace(
        stored_image(site, image), command=REMOVE, goes_back_from=running.id if running else ""
    )
    return PlannedRelease(site, plan, stored)


def _is_rollback(
    site: RecordedSite, release: Release, to: str | None, goes_back_from: str | None
) -> bool:
    """Whether a rollback with these arguments made `release`, or one to the same image."""
    if release.command != ROLLBACK or goes_back_from not in (None, release.goes_back_from):
        return False
    if release.target == (to or ""):
        return True
    image = _named_image(site.known, to) if to else None
    return image is not None and same_image(image, release.image)


def _runs_another(
    site: RecordedSite, goes_back_from: str, running: Release | None
) -> OtelembedError:
    """The error for a `--from` that isn't what runs."""
    if all(one.id != goes_back_from for one in site.known):
        return NotFound(f"--from '{goes_back_from}' is no release on record.", site.see_history)
    observed = site.observed
    by = f"release {running.id}" if running else "no release on record"
    return InvalidInput(
        f"--from '{goes_back_from}': {observed.id} doesn't run this release. It runs "
        f"{observed.image}, of {by}.",
        site.see_history,
    )


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
    if _NUMBER.fullmatch(to) and int(to) < len(known):
        return known[int(to)].image
    images = [one.image for one in known] + [one.previous_image for one in known]
    return next((image for image in images if _tag(image) == to), None)


def _tag(image: str) -> str | None:
    """The tag of a recorded image; None for a damaged name."""
    try:
        return Reference.parse(image).tag
    except OtelembedError:
        return None


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
