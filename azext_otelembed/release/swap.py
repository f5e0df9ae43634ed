"""`--swap`: a slot that verified becomes production, and production is verified in turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.errors import OtelembedError, Refused
from azext_otelembed.image.reference import same_image
from azext_otelembed.records import record
from azext_otelembed.records import record_store as record_store
from azext_otelembed.records.record_history import had_before, swapped
from azext_otelembed.release.release_runner import (
    LEFT,
    ROLLED_BACK,
    WAY_BACK,
    Ending,
    Image,
    Options,
    Runner,
    unfinished_of,
)
from azext_otelembed.release.slot_swap import SlotSwap, SwapOutcome
from azext_otelembed.target.app_image import image_for_site
from azext_otelembed.target.embed_target import Existing, Found, ToEmbed
from azext_otelembed.verification.verify import Verdict, newest_stamp
from azext_otelembed.webapp.apply import put_back
from azext_otelembed.webapp.observe import SETTING, Observed, check_kind, observe
from azext_otelembed.webapp.preflight import check_running

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.console import Console
    from azext_otelembed.records.record import Release
    from azext_otelembed.registry.client import RegistryClient
    from azext_otelembed.target.finder import TargetFinder

SPARE = 60.0
"""Seconds that the pending record lasts beyond what is still to be waited for, at least."""


@dataclass(frozen=True, slots=True)
class Production:
    """The production site that a slot is to be swapped with, as it is before."""

    client: SiteClient
    observed: Observed


def production_of(session: Session, slot: SiteId, setting_of_slot: str | None) -> Production:
    """Reads the production site of `slot`.

    Raises `Refused` where a swap would leave production without the setting: a sticky one stays
    with its slot.
    """
    client = SiteClient(session, replace(slot, slot=None))
    observed = observe(client)
    check_kind(observed)
    check_running(observed)
    if SETTING in client.sticky_settings() and not observed.setting:
        name = f"-g {slot.group} -n {slot.name}"
        raise Refused(
            f"{SETTING} is a slot setting of Web App '{slot.name}': it stays in its slot, and "
            "production has none. After the swap, production would send no telemetry.",
            f"Give production its own: `az webapp config appsettings set {name} --slot-settings "
            f"{SETTING}=@file`"
            + (
                "." if setting_of_slot is None else ", with the value that the slot has or another."
            ),
        )
    return Production(client, observed)


def meant(
    session: Session,
    finder: TargetFinder,
    store: record_store.RecordStore,
    slot: Observed,
    production: Observed,
    target: Found,
) -> Found:
    """What a swap without --image shall bring to production: `target`, made of what `slot` runs.

    After a swap the slot holds what production ran before. The very command that has been done,
    run again, means what production runs. Raises `Refused` where it can't be told.
    """
    known = record_store.RecordStore(store.client, production.id.resource_id).read()
    if not had_before(slot.image, production.image, known):
        return target
    try:
        done = finder.find(image_for_site(session, production, None, None).or_latest())
    except OtelembedError:
        done = None
    if done is not None and done.base_digest == target.base_digest:
        return target
    name = slot.id.slot or ""
    if (
        isinstance(done, Existing | ToEmbed)
        and same_image(done.image, production.image)
        and swapped(name, slot.image, production.image, known)
    ):
        return done
    raise Refused(
        f"{slot.id} runs {slot.image}, which {production.id} ran before it ran "
        f"{production.image}. Whether to go back to it can't be told without --image.",
        "Name what production shall run with --image.",
    )


class Swapper:
    """Swaps a slot with production, verifies production, and swaps back if it doesn't come up."""

    def __init__(
        self,
        session: Session,
        slot: SiteId,
        production: Production,
        registry: RegistryClient,
        options: Options,
        console: Console,
    ) -> None:
        self._slot = slot
        self._production = production
        self._options = options
        self._console = console
        client = production.client
        self._store = record_store.RecordStore(registry, client.id.resource_id)
        self._runner = Runner(session, client, self._store, options, console)
        self._slot_swap = SlotSwap(
            session, SiteClient(session, slot), client, options.timeout, options.pace, self._keep
        )
        self._release: Release | None = None

    def pending(self) -> Release | None:
        """A release of production that was left pending."""
        return unfinished_of(self._store.read())

    def swap(self, image: Image) -> Ending:
        """Makes production run what the slot runs, which is `image`.

        Raises when nothing was swapped, or when that can't be told: then the record stays pending,
        and the same command goes on from there.
        """
        site = self._production.client.id
        known = self._store.read()
        self._store.check_free(image.digest, known)
        release = self._pending(image, known)
        self._store.begin(release, known)
        self._release = release
        try:
            exchanged = self._swapped(
                "swap", f"{site} takes over {image.name}", image.name, release.previous_image
            )
        except OtelembedError as error:
            # Of a release that was taken up, an earlier run may have begun the swap.
            if error.refused and all(release.id != one.id for one in known):
                self._runner.completed(
                    release, record.FAILED, f"{record.NOT_APPLIED}: {error.message}"
                )
                self._console.stands(f"{site} is unchanged")
            raise
        self._console.stands(
            f"{site} runs {image.name} and wasn't verified yet; run the same command again to "
            f"verify it, or swap back with `{self._swap_command}`"
        )
        return self._finish(release, exchanged.production)

    def _pending(self, image: Image, known: list[Release]) -> Release:
        """The record to begin: a new one, or that of this very swap, which a killed run left."""
        production = self._production.observed
        unfinished = unfinished_of(known)
        if unfinished is not None and unfinished.wants(image.digest, None):
            taken = record_store.taken_up(unfinished, self._options.timeout)
            if same_image(production.image, taken.image):
                return taken
            return replace(taken, previous_image=production.image, slot=self._slot.slot or "")
        if unfinished is not None and not self._store.is_under_way(unfinished):
            self._store.end(unfinished, record.FAILED, "never completed")
        return record_store.new_release(
            self._store.site,
            image=image.name,
            digest=image.digest,
            previous_image=production.image,
            setting_was_there=production.setting is not None,
            setting_changed=False,
            recipe=image.recipe,
            base=image.base,
            timeout=self._options.timeout,
            log_stamp=newest_stamp(self._production.client),
            slot=self._slot.slot or "",
        )

    def _finish(self, release: Release, production: Observed) -> Ending:
        self._keep()
        verdict = self._verified(production, release.image, release.before_change)
        if verdict.healthy:
            return Ending(self._runner.completed(release, record.SUCCEEDED), verdict, 0)
        self._runner.tell(production, verdict)
        if self._options.rollback:
            return self._swap_back(release, verdict)
        ended = self._runner.completed(release, record.FAILED, verdict.reason)
        self._tell_way_back(release)
        return Ending(ended, verdict, LEFT)

    def _swap_back(self, release: Release, failed: Verdict) -> Ending:
        site, previous = self._production.client.id, release.previous_image
        patience = max(self._options.timeout, WAY_BACK)
        self._keep(patience)
        after = newest_stamp(self._production.client)
        try:
            exchanged = self._swapped(
                "rollback", f"swapping {previous} back", previous, release.image
            )
        except OtelembedError as error:
            return self._stuck(release, failed, error)
        if not exchanged.swapped:
            self._console.note(
                f"{site} runs {previous} again: somebody else has put it back. It isn't swapped."
            )
            after = release.before_change
        self._keep(patience)
        verdict = self._verified(exchanged.production, previous, after, patience)
        if verdict.healthy:
            self._console.alert(f"otelembed: {site} was swapped back to {previous}.")
            ended = self._runner.completed(release, record.ROLLED_BACK, failed.reason)
            return Ending(ended, failed, ROLLED_BACK)
        reason = f"{failed.reason}; swapped back, but then: {verdict.reason}"
        self._console.alert(
            f"otelembed: {site} was swapped back to {previous}, but that doesn't come up either."
        )
        self._runner.tell(exchanged.production, verdict)
        return Ending(self._runner.completed(release, record.FAILED, reason), failed, LEFT)

    def _stuck(self, release: Release, failed: Verdict, error: OtelembedError) -> Ending:
        """What can't be swapped back is left. Where it could be later, a rerun tries it again."""
        site = self._production.client.id
        self._console.alert(f"otelembed: {site} wasn't swapped back: {error.message}")
        self._tell_way_back(release)
        if isinstance(error, Refused):
            reason = f"{failed.reason}; not swapped back: {error.message}"
            release = self._runner.completed(release, record.FAILED, reason)
        return Ending(release, failed, LEFT)

    def _tell_way_back(self, release: Release) -> None:
        previous = release.previous_image
        command = self._swap_command
        try:
            slot, production = self._slot_swap.look()
        except OtelembedError:
            pass
        else:
            if same_image(production.image, previous):
                return
            if not same_image(slot.image, previous):
                command = put_back(production, previous)
        self._console.alert(f"Put the previous image, {previous}, back with:\n  {command}")

    @property
    def _swap_command(self) -> str:
        return f"az webapp deployment slot swap {self._slot.arguments} --target-slot production"

    def _swapped(self, name: str, what: str, wanted: str, instead_of: str) -> SwapOutcome:
        with self._console.step(name) as step:
            step.say(what)
            self._console.stands(
                f"{self._slot} may or may not be swapped with production; run the same command "
                "again to go on"
            )
            return self._slot_swap.make(wanted, instead_of, step)

    def _verified(
        self, production: Observed, image: str, after: str, timeout: int | None = None
    ) -> Verdict:
        with self._console.step("verify") as step:
            step.say(f"asking {production.host}")
            verdict = self._runner.verdict(production, image, after, step.say, None, timeout)
            step.say(verdict.evidence["http"] if verdict.healthy else verdict.reason)
        return verdict

    def _keep(self, timeout: float | None = None) -> None:
        """Lets the pending record last for another `timeout` seconds, and some."""
        release, seconds = self._release, timeout or self._options.timeout
        if release is None or self._store.outlasts(release, seconds + SPARE):
            return
        self._release = self._runner.renewed(release, seconds)
