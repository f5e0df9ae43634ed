"""`--swap`: a slot that verified becomes production, and production is verified in turn."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.site import SiteClient, SiteId
from azext_otelembed.errors import OtelembedError, Refused
from azext_otelembed.release import ledger as ledgers
from azext_otelembed.release import record
from azext_otelembed.release.observe import SETTING, Observed, check_kind, observe
from azext_otelembed.release.plan import same_image
from azext_otelembed.release.preflight import check_running
from azext_otelembed.release.run import LEFT, ROLLED_BACK, Ending, Image, Options, unfinished_of
from azext_otelembed.release.verify import Verdict, newest_stamp, verify

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.console import Console, Step
    from azext_otelembed.registry.client import RegistryClient
    from azext_otelembed.release.record import Release

API_VERSION = "2024-11-01"


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
        self._session = session
        self._slot = slot
        self._production = production
        self._options = options
        self._console = console
        self._ledger = ledgers.Ledger(registry, production.client.id.resource_id)

    def pending(self) -> Release | None:
        """A release of production that was left pending."""
        return unfinished_of(self._ledger.read())

    def swap(self, image: Image) -> Ending:
        """Makes production run what the slot runs, which is `image`."""
        production = self._production.observed
        known = self._ledger.read()
        self._ledger.check_free(image.digest, known)
        unfinished = unfinished_of(known)
        if unfinished is not None and unfinished.digest == image.digest:
            release = ledgers.taken_up(unfinished, self._options.timeout)
        else:
            release = ledgers.new_release(
                self._ledger.site,
                image=image.name,
                digest=image.digest,
                previous_image=production.image,
                setting_was_there=production.setting is not None,
                setting_changed=False,
                recipe=image.recipe,
                base=image.base,
                timeout=self._options.timeout,
            )
        self._ledger.begin(release, known)
        after = newest_stamp(self._production.client)
        if not same_image(production.image, image.name):
            self._exchange(release, "swap", f"{production.id} takes over {image.name}")
        return self._finish(release, after)

    def _finish(self, release: Release, after: str) -> Ending:
        with self._console.step("verify") as step:
            step.say(f"asking {self._production.observed.host}")
            verdict = self._verify(release.image, after, step)
            step.say(verdict.evidence["http"] if verdict.healthy else verdict.reason)
        if verdict.healthy:
            return Ending(self._ledger.end(release, record.SUCCEEDED), verdict, 0)
        self._console.alert(
            f"otelembed: {self._production.client.id} doesn't come up after the swap: "
            f"{verdict.reason}."
        )
        if not self._options.rollback:
            ended = self._ledger.end(release, record.FAILED, verdict.reason)
            return Ending(ended, verdict, LEFT)
        return self._swap_back(release, verdict)

    def _swap_back(self, release: Release, failed: Verdict) -> Ending:
        after = newest_stamp(self._production.client)
        self._exchange(release, "rollback", f"swapping {release.previous_image} back")
        with self._console.step("verify") as step:
            verdict = self._verify(release.previous_image, after, step)
            step.say(verdict.evidence["http"] if verdict.healthy else verdict.reason)
        site = self._production.client.id
        if verdict.healthy:
            self._console.alert(f"otelembed: {site} was swapped back to {release.previous_image}.")
            ended = self._ledger.end(release, record.ROLLED_BACK, failed.reason)
            return Ending(ended, failed, ROLLED_BACK)
        reason = f"{failed.reason}; swapped back, but then: {verdict.reason}"
        self._console.alert(f"otelembed: {site}: {reason}.")
        return Ending(self._ledger.end(release, record.FAILED, reason), failed, LEFT)

    def _exchange(self, release: Release, name: str, what: str) -> None:
        """Swaps slot and production (a long-running operation), whichever way round they are."""
        site = self._production.client.id
        with self._console.step(name) as step:
            step.say(what)
            self._console.stands(
                f"slot '{self._slot.slot}' of {site} may or may not be swapped with production; "
                "run the same command again to go on"
            )
            path = f"{self._slot.resource_id}/slotsswap"
            body = {"targetSlot": "production", "preserveVnet": True}
            said = f"Swap of slot '{self._slot.slot}' of {site}"
            try:
                # Made twice, a swap is undone: where its answer is lost, it isn't asked for again.
                arm = Arm(self._session)
                for state in arm.start(said, path, API_VERSION, body, repeatable=False):
                    step.say(f"{what}: {state.lower()}, {step.seconds:.0f} s")
            except OtelembedError as error:
                self._ledger.end(release, record.FAILED, f"not swapped: {error.message}")
                raise
            step.say(what)

    def _verify(self, image: str, after: str, step: Step) -> Verdict:
        return verify(
            self._session,
            self._production.client,
            self._production.observed,
            image,
            after=after,
            health_path=self._options.health_path,
            timeout=self._options.timeout,
            say=step.say,
            pace=self._options.pace,
        )
