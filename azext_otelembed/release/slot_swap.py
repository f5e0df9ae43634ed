"""One exchange of a slot with production, followed until it is certain whether it took place.

Made twice, a swap is undone. So what the two run is looked at right before each start, a start
whose answer is lost isn't made again, and production then shows whether the swap took place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING

from azext_otelembed.azure.arm import LONGEST_WAIT, Arm
from azext_otelembed.errors import AzureFailed, OtelembedError, Refused
from azext_otelembed.image.reference import same_image
from azext_otelembed.webapp.observe import Observed, current_image, observe

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.azure.sites import SiteClient
    from azext_otelembed.console import Step
    from azext_otelembed.verification.verdict_tracker import Pace

API_VERSION = "2024-11-01"
BUSY_WAIT = 5.0
"""Seconds until a start is made again that Azure refused for now without saying for how long."""


@dataclass(frozen=True, slots=True)
class SwapOutcome:
    """Production after an exchange. `swapped`: this one did it, else it was so before."""

    production: Observed
    swapped: bool


class SlotSwap:
    """Exchanges a slot with production, whichever way round they are.

    `timeout` is in seconds. `keep` is called again and again while a swap goes on.
    """

    def __init__(
        self,
        session: Session,
        slot: SiteClient,
        production: SiteClient,
        timeout: float,
        pace: Pace,
        keep: Callable[[], None],
    ) -> None:
        self._session = session
        self._slot = slot
        self._production = production
        self._timeout = timeout
        self._pace = pace
        self._keep = keep

    def look(self) -> tuple[Observed, Observed]:
        """The slot and production as they are now.

        The slot is read first: where a swap ends in between, production shows it.
        """
        return observe(self._slot), observe(self._production)

    def make(self, wanted: str, instead_of: str, step: Step) -> SwapOutcome:
        """Makes production, which runs `instead_of`, run `wanted`, which the slot runs.

        Raises the error that stopped it, its `refused` telling whether it is certain that nothing
        was swapped. `Refused` means that one of the two runs something else by now.
        """
        what = step.detail
        deadline = time.monotonic() + self._timeout
        crossed = False
        while True:
            slot, production = self._checked(wanted, instead_of, untouched=not crossed)
            if same_image(production.image, wanted):
                step.say(f"{production.id} runs {wanted} already")
                return SwapOutcome(_watched(production, production, slot), swapped=crossed)
            states = self._started(slot)
            try:
                first = next(states)
            except OtelembedError as error:
                if _for_now(error) and (wait := _wait(error, deadline)) is not None:
                    step.say(f"again in {wait:.0f} s: {what} ({error.message})")
                    time.sleep(wait)
                    self._keep()
                    continue
                if _nothing_begun(error):
                    error.refused = not crossed
                    raise
                self._wait_for(wanted, production, error, what, step)
            else:
                self._follow(chain((first,), states), wanted, production, what, step)
                if not crossed and self._shows(instead_of, production):
                    # Another swap ended between our look and our start, so ours undid it.
                    crossed = True
                    continue
            step.say(what)
            return SwapOutcome(_watched(production, slot, production), swapped=True)

    def _checked(
        self, wanted: str, instead_of: str, *, untouched: bool
    ) -> tuple[Observed, Observed]:
        try:
            slot, production = self.look()
            if not same_image(production.image, wanted):
                _check(production, instead_of)
                _check(slot, wanted)
        except OtelembedError as error:
            error.refused = untouched
            raise
        return slot, production

    def _started(self, slot: Observed) -> Iterator[str]:
        path = f"{slot.id.resource_id}/slotsswap"
        body = {"targetSlot": "production", "preserveVnet": True}
        arm = Arm(self._session)
        return arm.start(f"Swap of {slot.id}", path, API_VERSION, body, repeatable=False)

    def _follow(
        self, states: Iterator[str], wanted: str, production: Observed, what: str, step: Step
    ) -> None:
        began = time.monotonic()
        try:
            for state in states:
                self._keep()
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
        deadline = began + self._timeout
        while not self._runs(wanted, production):
            if time.monotonic() >= deadline:
                error.refused = False
                raise error
            seconds = time.monotonic() - began
            step.say(f"watching production, {seconds:.0f} s: {what} ({error.message})")
            self._keep()
            time.sleep(self._pace.interval)

    def _shows(self, old: str, production: Observed) -> bool:
        """Whether production goes on showing `old` after a swap. Right after it, that may be old
        news; the wait is a third of the pace's `blind`.
        """
        deadline = time.monotonic() + self._pace.blind / 3
        while self._runs(old, production):
            if time.monotonic() >= deadline:
                return True
            time.sleep(self._pace.interval)
        return False

    def _runs(self, wanted: str, production: Observed) -> bool:
        try:
            return same_image(current_image(self._production, production), wanted)
        except OtelembedError:
            return False


def _check(observed: Observed, expected: str) -> None:
    if not same_image(observed.image, expected):
        raise Refused(
            f"{observed.id} runs {observed.image or 'no image'} by now, not {expected}: somebody "
            "else has changed it meanwhile, and it stays.",
            "Run the same command again if it is still wanted.",
        )


def _for_now(error: OtelembedError) -> bool:
    """Whether Azure only refused to start now. While another swap goes on nothing is asked again:
    it may be an earlier run's, and the next one would undo it.
    """
    return isinstance(error, AzureFailed) and (error.status == 429 or _is_other_work(error))


def _wait(error: OtelembedError, deadline: float) -> float | None:
    """Seconds to wait before the next start; None where that is too long."""
    asked = error.retry_after if isinstance(error, AzureFailed) else None
    wait = BUSY_WAIT if asked is None else asked
    return wait if wait <= LONGEST_WAIT and time.monotonic() + wait < deadline else None


def _nothing_begun(error: OtelembedError) -> bool:
    """Whether an error of the start itself tells for certain that no swap goes on."""
    unsure = isinstance(error, AzureFailed) and error.status in (408, 409)
    return error.refused and (not unsure or _is_other_work(error))


def _is_other_work(error: OtelembedError) -> bool:
    """Whether a conflict names the operation that the site is busy with, and it is no swap."""
    conflict = isinstance(error, AzureFailed) and error.status == 409
    return conflict and "OperationName: " in error.message and "SwapSite" not in error.message


def _has_failed(error: OtelembedError) -> bool:
    """Whether an error of following the swap is how the swap ended, such as App Service's 417 for
    a slot that doesn't answer; else only the way to it was lost.
    """
    return isinstance(error, AzureFailed) and error.refused and error.status not in (408, 429)


def _watched(production: Observed, now: Observed, other: Observed) -> Observed:
    """`production` with the settings that it has now. Its container log may tell of the other's,
    which are no less secret.
    """
    others = {f"{name} (the other's)": value for name, value in other.settings.items()}
    return replace(production, settings={**others, **now.settings})
