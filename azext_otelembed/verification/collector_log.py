"""What a container log tells about the embedded collector: its starts and exits. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from azext_otelembed.verification.platform_log import STAMPED, Event, Kind, parse, stamp_time
from azext_otelembed.whole_number import whole_number

START_SECONDS = 60.0
"""Seconds that a started collector runs at least, if it is well: after them its supervisor counts
an exit as the first one again (`image/supervisor_script.py`)."""
END = re.compile(
    r"(?:20[\d/]{8} [\d:]{8} (?:collector server run finished with error|otelcol[\w-]*): "
    r"|Error: (?=(?:failed|cannot|invalid|no existing|unable) ))"
)
"""The beginning of the last lines of a collector that exits: cobra's `Error: …`, and that of its
main.go, which the OpenTelemetry Collector Builder writes."""


@dataclass(frozen=True, slots=True)
class CollectorLog:
    """The collector of one recipe in a container log; times in seconds since the epoch.

    `started` is the time of the newest start line of the recipe, None without one. `exits` are the
    exits since then: their number, the status and time of the last one, and the seconds until the
    next start (None: no further start). `port` is the port that the app has to listen on, as App
    Service last wrote it. `reason` is what the collector wrote last before it ended: its text,
    which may hold a secret.
    """

    started: float | None = None
    exits: int = 0
    status: int = 0
    last: float = 0.0
    pause: int | None = None
    port: int | None = None
    reason: str = ""

    def is_dead(self, now: float) -> bool:
        """Whether it isn't running at `now`, or has been started again only a moment ago."""
        if not self.exits:
            return False
        return self.pause is None or now - self.last < self.pause + START_SECONDS


def collector_log(text: str, recipe: str) -> CollectorLog:
    """Reads a log; `recipe` are the first 12 digits of the recipe of the image that runs."""
    events = sorted(parse(text), key=lambda one: one.time)
    starts = [one.time for one in events if one.kind is Kind.LAUNCHER and one.text == recipe]
    began = starts[-1] if starts else None
    exits = _of(events, Kind.COLLECTOR_EXITED, began or 0.0)
    ports = [one.number for one in _of(events, Kind.PORT, 0.0) if one.number]
    last = exits[-1] if exits else None
    return CollectorLog(
        began,
        len(exits),
        int(last.number or 0) if last else 0,
        last.time if last else 0.0,
        whole_number(last.text, 1000) if last and last.text else None,
        int(ports[-1]) if ports else None,
        _reason(text, began or 0.0),
    )


def _of(events: list[Event], kind: Kind, since: float) -> list[Event]:
    return [one for one in events if one.kind is kind and one.time >= since]


def _reason(text: str, since: float) -> str:
    """The reason that the collector gave last, with `--collector-logs stderr`, on one line."""
    found, time, goes_on = "", 0.0, False
    for line in text.split("\n"):
        rest = line
        if stamp := STAMPED.match(line):
            time, rest = stamp_time(stamp[1]), line[stamp.end() :].strip()
        if time < since:
            continue
        if match := END.match(rest):
            found = rest[match.end() :]
            goes_on = found.endswith(":")
        elif goes_on and rest:
            found, goes_on = f"{found} {rest}", False
    return found
