"""What a container log tells about the embedded collector: its starts and exits. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
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


ENOUGH_EXITS = 3
"""Exits in a row that show that the next one follows, too."""


@dataclass(frozen=True, slots=True)
class CollectorLog:
    """The collector of one recipe in a container log; times in seconds since the epoch.

    `started` is the time of the newest start line of the recipe, None without one. `exits` are the
    exits since then: their number, the status and time of the last one, and the seconds until the
    next start (None: no further start). `repeats`: it exits again and again since its start. `port`
    is the port that the app has to listen on, as App Service last wrote it. `reason` is what the
    collector wrote last before it ended: its text, which may hold a secret.
    """

    started: float | None = None
    exits: int = 0
    status: int = 0
    last: float = 0.0
    pause: int | None = None
    repeats: bool = False
    port: int | None = None
    reason: str = ""

    def is_dead(self, now: float) -> bool:
        """Whether it isn't running at `now`, or has been started again only a moment ago."""
        if not self.exits:
            return False
        return self.pause is None or now - self.last < self.pause + START_SECONDS

    @property
    def is_decided(self) -> bool:
        """Whether a dead one stays dead: more time would show nothing else."""
        return bool(self.exits) and (self.pause is None or self.repeats)

    @property
    def times(self) -> str:
        """How often it has exited, in words; empty if never."""
        return f"it has exited {self.exits} time{'s' * (self.exits != 1)}" if self.exits else ""

    @property
    def state(self) -> str:
        """Whether it runs, in words, where it isn't dead."""
        if self.started is None:
            return "not seen: the container log has no start of it"
        return f"started; {self.times} since" if self.exits else "started, and no exit since"

    @property
    def summary(self) -> str:
        """Its exits, in words that hold at any time."""
        reason = f": {self.reason}" if self.reason else ""
        return f"{self.times} since the container's start, last with status {self.status}{reason}"

    def words(self, now: float) -> str:
        """Its exits, and when the last one was; `now` is in seconds since the epoch."""
        ago = max(now - self.last, 0.0)
        paused = "never" if self.pause is None else f"{self.pause} s later"
        return f"{self.summary} ({ago:.0f} s ago; next start: {paused})"


def collector_log(text: str, recipe: str, events: Sequence[Event] = ()) -> CollectorLog:
    """Reads a log; `recipe` is the recipe of the image that runs, empty if it isn't known.

    `events` are those of the log that count, by default all of them.
    """
    events = events or sorted(parse(text), key=lambda one: one.time)
    wanted = recipe.rpartition(":")[2][:12]
    launched = [one for one in events if one.kind is Kind.LAUNCHER]
    starts = [one.time for one in launched if not wanted or one.text == wanted]
    began = starts[-1] if starts else None
    exits = [one for one in events if one.kind is Kind.COLLECTOR_EXITED]
    # Without any start the log is cut; with one of another recipe, the exits are those of it.
    exits = [one for one in exits if _is_of(one, began)] if began or not launched else []
    ports = [one.number for one in events if one.kind is Kind.PORT and one.number]
    last = exits[-1] if exits else None
    return CollectorLog(
        began,
        len(exits),
        int(last.number or 0) if last else 0,
        last.time if last else 0.0,
        _pause(last) if last else None,
        len(exits) >= ENOUGH_EXITS and _pause(exits[0]) == 1,
        int(ports[-1]) if ports else None,
        _reason(text, began or 0.0) if exits else "",
    )


def _pause(exited: Event) -> int | None:
    return whole_number(exited.text, 1000) if exited.text else None


def _is_of(exited: Event, began: float | None) -> bool:
    """Whether an exit may be of the container whose launcher started at `began`.

    Another container, which is still to be stopped, writes to the same log. A collector has been
    through the pauses 1, 2, 4 … before that of this exit, together `pause` - 1 seconds.
    """
    waited = (_pause(exited) or 1) - 1
    return began is None or exited.time - began >= waited


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
