"""The excerpt of a container log that is shown: its relevant lines, with secrets masked. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from azext_otelembed.redaction import LEFT_OUT, MAX_LINE, Secrets
from azext_otelembed.verification.platform_log import STAMPED, stamp_time

NOISE = re.compile(
    r"State: \w+, Action: | named pipe|Nested mountpoint|non-blocking flag"
    r"|Container spec Termination|Creating pipes for streaming|Start site prohibitted"
    r"|Z +(?:Container is termina|Stop and delete container|(?:Stopping|Deleting) container: "
    r"|Establishing (?:user namespace|network) |Kudu: \S+ stopped)"
)
"""Platform lines that repeat the lines around them, or say nothing about the app."""
LONGEST = 30
BEGINNING = 10
"""How many of them come from the beginning of a start that logged more."""
OLD = 1000
"""How many lines before a start are compared with: the old container logs the same ones again."""
TROUBLE = re.compile(
    r"err(?:or|no)?\b|\w(?:error|exception)|fail|fatal|panic|trace|refused|denied|exit"
    r"|terminat|\bnot\b|n't\b|unable|missing",
    re.I,
)

_VARIABLE = re.compile(r"/[^\s\"',]*|[\da-f-]+")
"""Paths, and words of hexadecimal digits."""
_CHANGING = re.compile(r"/|[a-f-]*\d")


def log_tail(
    log: str, after: float, start: tuple[float, float] | None, secrets: Secrets
) -> tuple[str, ...]:
    """The lines of `log` to show: those of a start that failed, else the newest after `after`.

    `start` has the times at which it began and failed. `secrets` are masked: App Service
    logs the environment of `docker run`, and apps log anything.
    """
    lines = _by_time(log)
    if start is None:
        shown = newest([line for time, line in lines if time > after])
    else:
        began, failed = start
        old = [line for time, line in lines if time < began]
        shown = of_start([line for time, line in lines if began <= time <= failed + 1], old)
    return secrets.mask_lines(shown)


def _by_time(log: str) -> list[tuple[float, str]]:
    """The lines, each with its time; a line without one belongs to the line before."""
    lines: list[tuple[float, str]] = []
    time = 0.0
    for line in log.splitlines():
        if stamp := STAMPED.match(line):
            time = stamp_time(stamp.group(1))
        lines.append((time, line if len(line) <= MAX_LINE else LEFT_OUT))
    return sorted(lines, key=lambda one: one[0])


def newest(lines: Sequence[str]) -> list[str]:
    """The newest lines, LONGEST at most."""
    return _without_noise(lines)[-LONGEST:]


def of_start(lines: Sequence[str], old: Sequence[str]) -> list[str]:
    """The lines of a container's start: LONGEST at most, and the number of omitted ones.

    The old container, which serves meanwhile, logs its requests in between. If there are too many
    lines, those like the ones before the start (`old`) are omitted first, except for error lines.
    """
    kept = _without_noise(lines)
    if len(kept) > LONGEST:
        known = {_pattern(line) for line in old[-OLD:]}
        new = (line for line in kept[1:] if TROUBLE.search(line) or _pattern(line) not in known)
        kept = [kept[0], *new]
    omitted = len(kept) - LONGEST
    if omitted <= 0:
        return kept
    return [*kept[:BEGINNING], f"[{omitted} lines more]", *kept[BEGINNING - LONGEST :]]


def _pattern(line: str) -> str:
    """The part of a line that is the same for each request: without paths, numbers and ids."""
    # `[\da-f-]*\d[\da-f-]*` would take n² steps on n letters.
    return _VARIABLE.sub(lambda found: "0" if _CHANGING.match(found[0]) else found[0], line)


def _without_noise(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if not NOISE.search(line)]
