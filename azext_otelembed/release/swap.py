"""`--swap`: swaps a verified slot with production, and verifies production."""

from __future__ import annotations

from dataclasses import dataclass, replace

from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.errors import InvalidImage, OtelembedError, Refused
from azext_otelembed.image.reference import same_image
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_history import ran_before, unproven_release, was_swapped
from azext_otelembed.records.release_lock import check_free
from azext_otelembed.release.recorded_release import RecordedRelease, new_release, resumable
from azext_otelembed.release.release_context import (
    ReleaseContext,
    ReleaseImage,
    ReleaseResult,
    see_history,
)
from azext_otelembed.release.slot_swap import SlotSwap
from azext_otelembed.target.app_image import image_for_site
from azext_otelembed.target.embed_target import Existing, Found, ToEmbed
from azext_otelembed.target.finder import TargetFinder
from azext_otelembed.webapp.observe import SETTING, Observed, check_kind, observe
from azext_otelembed.webapp.preflight import check_running


@dataclass(frozen=True, slots=True)
class Production:
    """The production site that a slot is swapped with, as observed before the swap."""

    client: SiteClient
    observed: Observed


def read_production(session: Session, slot: SiteId) -> Production:
    """Reads the production site of `slot`.

    Raises `Refused` if production would lack the setting after the swap: a slot setting stays in
    its slot.
    """
    client = SiteClient(session, replace(slot, slot=None))
    observed = observe(client)
    check_kind(observed)
    check_running(observed)
    if SETTING in client.sticky_settings() and not observed.setting:
        words = ("webapp config appsettings set", "--slot-settings", f"{SETTING}=@file")
        raise Refused(
            f"{SETTING} is a slot setting of Web App '{slot.name}': it stays in its slot, and "
            "production has none. After the swap, production would send no telemetry.",
            f"Set it in production: `{client.id.command(*words)}`, with the value of the slot or "
            "another one.",
        )
    return Production(client, observed)


def swap_target(
    session: Session,
    finder: TargetFinder,
    known: list[Release],
    slot: Observed,
    production: Observed,
    target: Found,
) -> Found:
    """The target of a swap without --image: `target`, which is made of the slot's image.

    After a swap the slot holds the image that production ran before. If the same command is run
    again then, the target is what production runs. `known` are the records of production. Raises
    `Refused` if the two cases can't be told apart.
    """
    if not ran_before(slot.image, production.image, known):
        return target
    try:
        done = finder.find(image_for_site(session, production, None, None).or_latest())
    except InvalidImage:
        raise
    except OtelembedError:
        done = None
    if done is not None and done.base_digest == target.base_digest:
        return target
    if (
        isinstance(done, Existing | ToEmbed)
        and same_image(done.image, production.image)
        and was_swapped(slot.id.slot or "", slot.image, production.image, known)
    ):
        return done
    raise Refused(
        f"{slot.id} runs {slot.image}, which {production.id} ran before {production.image}. "
        "Without --image it is ambiguous whether production shall run it again.",
        "Name the image that production shall run with --image.",
    )


def swap(
    context: ReleaseContext, slot: SiteId, observed: Observed, image: ReleaseImage
) -> ReleaseResult:
    """Makes production run `image`, which `slot` runs; verifies it, and swaps back if that fails.

    `context` and `observed` are production's. Raises an error if nothing was swapped, or if that
    isn't known: then the record stays pending, and the same command resumes it.
    """
    known = context.store.read()
    check_free(known, image.digest, see_history=see_history(observed.id))
    release = _record(context, slot, observed, image, known)
    return complete_swap(context, slot, observed, release, known)


def complete_swap(
    context: ReleaseContext,
    slot: SiteId,
    observed: Observed,
    release: Release,
    known: list[Release],
) -> ReleaseResult:
    """Carries out the swap `release`: a new one, or one that an earlier run has begun.

    `known` are the records of production, which `context` and `observed` are of. Raises errors as
    `swap` does.
    """
    console, site = context.console, context.client.id
    begun = RecordedRelease.begin(context, release, known)
    slot_swap = SlotSwap(context, slot, begun)
    try:
        with console.step("swap") as step:
            step.say(f"{site} takes over {release.image}")
            after, swapped = slot_swap.swap(release.image, release.previous_image, step)
    except OtelembedError as error:
        # A resumed release may have been swapped by an earlier run.
        if error.refused and not begun.resumed:
            begun.complete(record.FAILED, f"{record.NOT_APPLIED}: {error.message}")
            console.stands(f"{site} is unchanged")
        raise
    console.stands(
        f"{site} runs {release.image} and wasn't verified yet; run the same command again to "
        f"verify it, or swap back with `{slot_swap.command}`"
    )
    if not swapped:
        begun.count_starts_since(observed)
    return begun.finish(after, slot_swap)


def _record(
    context: ReleaseContext,
    slot: SiteId,
    production: Observed,
    image: ReleaseImage,
    known: list[Release],
) -> Release:
    """The record to begin: a new one, or that of this very swap if a killed run left it.

    If production has the image already, that is an unproven release which is verified again.
    """
    name = slot.slot or ""
    unproven = unproven_release(image.name, known)
    if unproven and same_image(production.image, image.name):
        return unproven
    unfinished = resumable(known, image, None)
    if unfinished is None:
        existed = production.setting is not None
        return new_release(
            context,
            image,
            production.image,
            setting_existed=existed,
            setting_changed=False,
            slot=name,
        )
    if same_image(production.image, unfinished.image):
        return unfinished
    return replace(unfinished, previous_image=production.image, slot=name)
