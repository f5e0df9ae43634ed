"""One swap of a slot with production, followed until it is certain whether it took place.

A second swap undoes the first. The images of both are therefore read right before each start, a
start whose answer is lost isn't repeated, and production then shows whether the swap took place.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain

from azext_otelembed.azure.arm import MAX_RETRY_AFTER, Arm
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.console import Step
from azext_otelembed.deadline import POLL_INTERVAL
from azext_otelembed.errors import AzureFailed, OtelembedError, Refused
from azext_otelembed.image.reference import same_image
from azext_otelembed.records.record import Release
from azext_otelembed.release.recorded_release import RecordedRelease, Restored
from azext_otelembed.release.release_context import ReleaseContext
from azext_otelembed.verification.verify import newest_stamp
from azext_otelembed.webapp.apply import restore_command
from azext_otelembed.webapp.observe import Observed, current_image, observe

API_VERSION = "2024-11-01"
BUSY_WAIT = 5.0
"""Seconds before a start is repeated that Azure refused temporarily, without a Retry-After."""


class SlotSwap:
    """Swaps a slot with production, which `context` and `begun` are of; and swaps them back."""

    action = "swapped back"

    def __init__(self, context: ReleaseContext, slot: SiteId, begun: RecordedRelease) -> None:
        self._context = context
        self._slot = SiteClient(context.session, slot)
        self._timeout = context.remaining
        self._deadline = context.session.deadline
        self._pace = context.options.pace
        self._keep_pending = begun.keep_pending
        self.image = begun.release.previous_image
        self.command = slot.command("webapp deployment slot swap", "--target-slot", "production")

    def restore(self, release: Release, step: Step) -> Restored:
        """Swaps back, unless another process has done so."""
        log_since = newest_stamp(self._context.client)
        self._timeout = self._context.timeout
        production, swapped = self.swap(self.image, release.image, step)
        if swapped:
            return Restored(production, log_since)
        site = self._context.client.id
        note = f"{site} runs {self.image} again: another process has restored it. It isn't swapped."
        return Restored(production, release.log_since, [note])

    def instructions(self, release: Release) -> list[str]:
        """The command that makes production run the previous image, unless it runs it already."""
        command = self.command
        try:
            slot, production = self._observe()
        except OtelembedError:
            pass
        else:
            if same_image(production.image, self.image):
                return []
            if not same_image(slot.image, self.image):
                command = restore_command(production, self.image)
        return [f"Restore the previous image, {self.image}, with:", f"  {command}"]

    def swap(self, wanted: str, instead_of: str, step: Step) -> tuple[Observed, bool]:
        """Makes production, which runs `instead_of`, run `wanted`, which the slot runs.

        Returns production afterwards, and False if it ran `wanted` without this swap. Raises the
        error that stopped it; its `refused` tells whether it is certain that nothing was swapped.
        `Refused` means that one of the two runs something else by now.
        """
        self._context.console.stands(
            f"{self._slot.id} may or may not be swapped with production; run the same command "
            "again to continue"
        )
        what = step.detail
        deadline = time.monotonic() + min(self._timeout, self._deadline.remaining)
        crossed = False
        while True:
            slot, production = self._checked(wanted, instead_of, untouched=not crossed)
            if same_image(production.image, wanted):
                step.say(f"{production.id} runs {wanted} already")
                return production, crossed
            states = self._start(slot)
            try:
                first = next(states)
            except OtelembedError as error:
                delay = _retry_delay(error, deadline)
                if delay is not None:
                    step.say(f"again in {delay:.0f} s: {what} ({error.message})")
                    self._deadline.sleep(delay, f"'{what}' was begun")
                    self._keep_pending()
                    continue
                if _has_not_started(error):
                    error.refused = not crossed
                    raise
                self._wait_for(wanted, production, error, what, step)
            else:
                self._follow(chain((first,), states), wanted, production, what, step)
                if not crossed and self._keeps_running(instead_of, production):
                    # Another swap ended between the read and this start, which undid it.
                    crossed = True
                    continue
            step.say(what)
            # Production has the slot's settings now, except for its own slot settings.
            return replace(production, settings=slot.settings), True

    def _observe(self) -> tuple[Observed, Observed]:
        """The slot and production as they are now.

        The slot is read first: if a swap ends between the two reads, production shows it.
        """
        return observe(self._slot), observe(self._context.client)

    def _checked(
        self, wanted: str, instead_of: str, *, untouched: bool
    ) -> tuple[Observed, Observed]:
        try:
            slot, production = self._observe()
            if not same_image(production.image, wanted):
                _check(production, instead_of)
                _check(slot, wanted)
        except OtelembedError as error:
            error.refused = untouched
            raise
        return slot, production

    def _start(self, slot: Observed) -> Iterator[str]:
        path = f"{slot.id.resource_id}/slotsswap"
        body = {"targetSlot": "production", "preserveVnet": True}
        arm = Arm(self._context.session)
        return arm.start(f"Swap of {slot.id}", path, API_VERSION, body, idempotent=False)

    def _follow(
        self, states: Iterator[str], wanted: str, production: Observed, what: str, step: Step
    ) -> None:
        began = time.monotonic()
        try:
            for state in states:
                self._keep_pending()
                step.say(f"{state.lower()}, {time.monotonic() - began:.0f} s: {what}")
        except OtelembedError as error:
            if not _has_failed(error):
                self._wait_for(wanted, production, error, what, step)
            elif not self._runs(wanted, production):
                error.refused = True
                raise

    def _wait_for(
        self, wanted: str, production: Observed, error: OtelembedError, what: str, step: Step
    ) -> None:
        """Returns once production runs `wanted`. Raises `error` when it doesn't in time."""
        began = time.monotonic()
        deadline = began + min(self._timeout, self._deadline.remaining)
        while not self._runs(wanted, production):
            if time.monotonic() >= deadline:
                error.refused = False
                raise error
            seconds = time.monotonic() - began
            step.say(f"waiting for production, {seconds:.0f} s: {what} ({error.message})")
            self._keep_pending()
            time.sleep(min(self._pace.interval, max(deadline - time.monotonic(), 0.0)))

    def _keeps_running(self, old: str, production: Observed) -> bool:
        """Whether production still shows `old` for some time after a swap: right after it, App
        Service may show the old image.
        """
        deadline = time.monotonic() + self._pace.swap_settles
        while self._runs(old, production):
            if time.monotonic() >= deadline:
                return True
            time.sleep(self._pace.interval)
        return False

    def _runs(self, wanted: str, production: Observed) -> bool:
        try:
            return same_image(current_image(self._context.client, production), wanted)
        except OtelembedError:
            return False


def _check(observed: Observed, expected: str) -> None:
    if not same_image(observed.image, expected):
        raise Refused(
            f"{observed.id} runs {observed.image or 'no image'} by now, not {expected}: another "
            "process has changed it. It is left in place.",
            "Run the same command again if it is still wanted.",
        )


def _retry_delay(error: OtelembedError, deadline: float) -> float | None:
    """Seconds before the start is repeated, if Azure refused it temporarily; None otherwise, or if
    the wait would be too long.

    A conflict with another swap is not repeated: that swap may be an earlier run's, and the next
    one would undo it.
    """
    if not isinstance(error, AzureFailed) or not (error.status == 429 or _is_other_work(error)):
        return None
    delay = BUSY_WAIT if error.retry_after is None else max(error.retry_after, POLL_INTERVAL)
    return delay if delay <= MAX_RETRY_AFTER and time.monotonic() + delay < deadline else None


def _has_not_started(error: OtelembedError) -> bool:
    """Whether an error of the start itself means for certain that no swap goes on."""
    unsure = isinstance(error, AzureFailed) and error.status in (408, 409)
    return error.refused and (not unsure or _is_other_work(error))


def _is_other_work(error: OtelembedError) -> bool:
    """Whether a conflict names the operation that keeps the site busy, and that is no swap."""
    conflict = isinstance(error, AzureFailed) and error.status == 409
    return conflict and "OperationName: " in error.message and "SwapSite" not in error.message


def _has_failed(error: OtelembedError) -> bool:
    """Whether the swap itself failed, such as with App Service's 417 for a slot that doesn't
    answer; otherwise only the connection to the operation was lost.
    """
    return isinstance(error, AzureFailed) and error.refused and error.status not in (408, 429)
