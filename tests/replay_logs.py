"""Replays recorded container logs through the product's own verification.

    python -m tests.replay_logs FOLDER [--interval S] [--phase S]

FOLDER has logs and an index.tsv like tests/platform_logs. The stamps of the lines are the time: at
each look the verification gets the lines written so far, in the order of the file, and the answers
of the site: the old container's as index.tsv says, until the log shows that it was stopped, and the
new one's from the time at which it came up. Prints a line for each log (file, verdict, seconds from
what happened to the verdict, reason) and last `N right, M wrong`; the status is 1 if any is wrong.
"""

from __future__ import annotations

import argparse
import csv
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from azext_otelembed.verification.platform_log import STAMPED, Kind, parse, stamp_time
from azext_otelembed.verification.site_answer import Answer
from azext_otelembed.verification.time_limits import START_LIMIT
from azext_otelembed.verification.verdict_tracker import VerdictTracker, Verified

IMAGE = "shopregistry.azurecr.io/shop:1.2-otelembed-0123456789ab"
BEFORE = 10.0
"""Seconds by which the looks begin before the first line of the change."""
LATE_UP = 60.0
"""Seconds within which a container that is ready has to be called up: the old one is waited for."""
LATE_FAILED = 2.0
"""Seconds, beside the interval of the looks, within which a failure is told."""
LATE_UNWRITTEN = 36.0
"""The same where no line says it: a cancelled start that no other follows, or a time limit."""
DAY = 86400.0


@dataclass(frozen=True)
class Recorded:
    """A log with what happened: `up`, `failed` or `still starting`, when, and why."""

    name: str
    lines: tuple[tuple[float, str], ...]
    happened: str
    time: float | None
    why: str
    after: float
    old_serves: bool
    instances: int
    start_limit: int


@dataclass(frozen=True)
class Replayed:
    """The verdict on a log. `seconds` is from what happened to the verdict."""

    name: str
    verdict: str
    seconds: float | None
    reason: str
    is_right: bool


def read_folder(folder: Path) -> Iterator[Recorded]:
    """The logs that the folder's index.tsv lists."""
    with (folder / "index.tsv").open(encoding="utf-8", newline="") as index:
        for row in csv.DictReader(index, delimiter="\t"):
            yield _recorded(row, (folder / row["file"]).read_text(encoding="utf-8"))


def _recorded(row: dict[str, str], text: str) -> Recorded:
    lines: list[tuple[float, str]] = []
    time = 0.0
    for line in text.splitlines(keepends=True):
        if stamp := STAMPED.match(line):
            time = stamp_time(stamp.group(1))
        lines.append((time, line))
    happened, _, rest = row["truth"].partition("@")
    happened, _, why = happened.partition(":")
    after = row.get("after") or ""
    since = stamp_time(after) if after else 0.0
    moment = None
    if rest:
        first = min(time for time, _ in lines if time > since)
        hours, minutes, seconds = map(float, rest.strip().split(":"))
        moment = first // DAY * DAY + hours * 3600 + minutes * 60 + seconds
        moment += DAY if moment < first - 1 else 0
    return Recorded(
        row["file"],
        tuple(lines),
        happened,
        moment,
        why,
        since,
        row["old_serves"] == "yes",
        int(row.get("instances") or 1),
        int(row.get("start_limit") or START_LIMIT),
    )


def replay(
    log: Recorded, interval: float = 1.0, phase: float = 0.0, last_lines: int = 0
) -> Replayed:
    """Looks at the log every `interval` seconds, the first time `phase` seconds late.

    With `last_lines`, an answer has the last lines only.
    """
    tracker = VerdictTracker(IMAGE, log.after, log.start_limit)
    times = [time for time, _ in log.lines if time > log.after]
    last = max(times)
    end = last if log.happened == "still starting" else last + LATE_UP
    verdict, now = Verified.OPEN, 0.0
    for number in count():
        now = min(times) - BEFORE + phase + number * interval
        if now > end:
            break
        text = "".join([line for time, line in log.lines if time <= now][-last_lines:])
        states = ("READY",) * log.instances
        verdict = tracker.observe(now, text, states, _answer(log, now))
        if verdict is not Verified.OPEN:
            break
    seconds = now - log.time if log.time is not None and verdict is not Verified.OPEN else None
    is_right = _is_right(log, verdict, seconds, tracker.reason, interval)
    return Replayed(log.name, verdict.name.lower(), seconds, tracker.reason, is_right)


def _answer(log: Recorded, now: float) -> Answer:
    if log.happened == "up" and log.time is not None and now >= log.time:
        return Answer.APP
    return Answer.APP if log.old_serves and now < _old_stops(log) else Answer.NONE


def _old_stops(log: Recorded) -> float:
    """When the log shows the old container stopped: after the release has failed."""
    if log.happened == "up" or log.time is None:
        return float("inf")
    stop = re.compile(r"\S+ State: Stopping, Action: StoppingSite, .*Details: Site started at ")
    found = (time for time, line in log.lines if time >= log.time and stop.match(line))
    return min(found, default=float("inf"))


def _is_right(
    log: Recorded, verdict: Verified, seconds: float | None, reason: str, interval: float
) -> bool:
    if log.happened == "still starting":
        return verdict is Verified.OPEN
    if log.happened == "up":
        return verdict is Verified.UP and seconds is not None and 0 <= seconds <= LATE_UP
    if verdict is not Verified.FAILED or seconds is None or seconds < -1:
        return False
    unwritten = "followed" in reason or not _says(log, reason)
    late = LATE_UNWRITTEN if unwritten else LATE_FAILED + 1
    return seconds <= late + interval and _agrees(log.why, reason)


def _says(log: Recorded, reason: str) -> bool:
    """Whether a line of the log says what a reason about a time limit says."""
    if "didn't answer" not in reason:
        return True
    events = parse("".join(line for _, line in log.lines))
    limits = (Kind.PROBE_FAILED, Kind.TIMED_OUT)
    return any(event.kind in limits and event.time > log.after for event in events)


REASONS = (
    ("cancelled", "cancelled"),
    ("exit", "exited"),
    ("no answer", "answer"),
    ("image pull", "image can't be pulled"),
    ("volume", "volume"),
    ("startup probe", "startup probe failed"),
)
"""Words of index.tsv, and what the reason of a right verdict says then."""


def _agrees(why: str, reason: str) -> bool:
    if status := re.search(r"status (-?\d+)", why):
        return f"status {status.group(1)}" in reason
    return next((said in reason for word, said in REASONS if word in why), True)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.replay_logs", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two looks")
    parser.add_argument("--phase", type=float, default=0.0, help="seconds before the first look")
    given = parser.parse_args(arguments)
    wrong = total = 0
    for log in read_folder(given.folder):
        found = replay(log, given.interval, given.phase)
        total, wrong = total + 1, wrong + (not found.is_right)
        seconds = "" if found.seconds is None else f"{found.seconds:+.1f} s"
        mark = "" if found.is_right else "  WRONG, it was: " + log.happened + " " + log.why
        print(f"{found.name:50} {found.verdict:8} {seconds:>9}  {found.reason}{mark}")
    print(f"{total - wrong} right, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
