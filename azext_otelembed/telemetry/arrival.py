"""Waits until telemetry of a site's running release has arrived."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from azext_otelembed.errors import OtelembedError, Unauthorized
from azext_otelembed.telemetry.arrived import LATENCY, Arrived, span

INTERVAL = 5.0
"""Seconds between two queries: Azure allows a caller 200 in 30 s ("Service limits of Log Analytics
queries", learn.microsoft.com)."""
REQUESTS = 5
"""Requests that are sent to the site, so that its app has something to tell."""


class Seen(Enum):
    """Whether telemetry was seen."""

    YES = "seen"
    NO = "not seen"
    OPEN = "neither seen nor shown to be missing"


@dataclass(frozen=True, slots=True)
class Arrival:
    """What was seen of the telemetry of a release, after `waited` seconds.

    `arrived` is the last answer of Application Insights, None if there was none: then `problem`
    tells why, and `advice` what to do about it.
    """

    waited: float
    arrived: Arrived | None
    seen: Seen
    problem: str = ""
    advice: str = ""

    @property
    def words(self) -> str:
        """The evidence in words."""
        return self.problem if self.arrived is None else str(self.arrived)

    @property
    def missing(self) -> str:
        """Why it isn't seen; explains the time that rows take. Empty if it is."""
        if self.seen is Seen.YES:
            return ""
        if self.arrived is None:
            return f"whether telemetry arrives is unknown: {self.problem}"
        if self.seen is Seen.NO:
            waited = f" after {span(self.waited)}" if self.waited else ""
            return f"no telemetry of this release has arrived{waited}: {self.arrived}"
        return (
            f"no telemetry of this release has arrived yet: {self.arrived}. Rows take 20 s to "
            f"{span(LATENCY)} until they can be queried"
        )


def await_arrival(
    ask: Callable[[], Arrived],
    send: Callable[[], object],
    seconds: float,
    *,
    age: float,
    unnamed_age: float,
    say: Callable[[str], None],
    latency: float = LATENCY,
    interval: float = INTERVAL,
) -> Arrival:
    """Asks until rows of the release have arrived that are at most `age` seconds older than this
    call, `seconds` at most, and sends a few requests to the site meanwhile (`send`). Rows that name
    no release (a custom configuration) may be `unnamed_age` seconds older.

    Rows that are still missing after `latency` seconds are not seen; before, it is open whether
    they arrive. Errors of the query are not raised: the last one is told where no answer came.
    """
    began = time.monotonic()
    arrived, problem, advice = None, "", ""
    sent = 0
    while True:
        if seconds and sent < REQUESTS:
            send()
            sent += 1
        try:
            arrived, problem, advice = ask(), "", ""
        except OtelembedError as unseen:
            problem, advice = unseen.message, unseen.recommendation or ""
            if isinstance(unseen, Unauthorized):
                return Arrival(time.monotonic() - began, arrived, Seen.OPEN, problem, advice)
        passed = time.monotonic() - began
        oldest = unnamed_age if arrived and arrived.released is None else age
        if arrived and _is_new(arrived, oldest + passed):
            return Arrival(passed, arrived, Seen.YES)
        if passed >= seconds:
            is_complete = arrived is not None and arrived.proof is not None and not arrived.partial
            seen = Seen.NO if is_complete and passed >= latency else Seen.OPEN
            return Arrival(passed, arrived, seen, problem, advice)
        say(f"waiting for telemetry, {seconds - passed:.0f} s at most: {arrived or problem}")
        time.sleep(min(interval, seconds - passed))


def _is_new(arrived: Arrived, age: float) -> bool:
    evidence = arrived.evidence
    return evidence is not None and evidence >= arrived.asked - timedelta(seconds=age)
