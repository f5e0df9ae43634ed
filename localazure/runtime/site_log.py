"""A site's log: lines of the platform and of the containers, in memory and on disk."""

from __future__ import annotations

import heapq
import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

_KEPT = 20_000
"""Lines in memory; the files have all lines."""
_OF_PLATFORM, _OF_APP = "docker", "default_docker"


@dataclass(frozen=True, slots=True)
class Line:
    """One line as written, its time in nanoseconds since the epoch, and the kind of its file."""

    time: int
    text: str
    kind: str


class SiteLog:
    """The log of a site on one worker, below `directory` (which becomes LogFiles/ in Kudu's dump).

    As on App Service there is a `…_docker.log` for the platform and a `…_default_docker.log` for
    the containers' output, per day and machine. With `old_format` the platform's lines begin with a
    time of 3 decimals and the app's with one of 9; else both have up to 7, without final zeros.
    """

    def __init__(self, directory: Path, machine: str, *, old_format: bool = False) -> None:
        self._directory = directory
        self._machine = machine
        self._old_format = old_format
        self._lines: deque[Line] = deque(maxlen=_KEPT)

    def platform(self, text: str) -> None:
        """Add a line of the platform."""
        self._write([text], _OF_PLATFORM, _milliseconds if self._old_format else _ticks)

    def unstamped(self, text: str) -> None:
        """Add a line of the platform that has no time."""
        self._write([text], _OF_PLATFORM, None)

    def container(self, texts: Sequence[str]) -> None:
        """Add lines that a container printed."""
        self._write(texts, _OF_APP, _nanoseconds if self._old_format else _ticks)

    def lines(self) -> list[Line]:
        """All lines of both kinds, oldest first."""
        return list(self._lines)

    def files(self) -> list[list[Line]]:
        """The lines of each file: the containers' output, and the platform's lines."""
        kept = self.lines()
        return [[line for line in kept if line.kind == kind] for kind in (_OF_APP, _OF_PLATFORM)]

    def _write(self, texts: Sequence[str], kind: str, stamp: Callable[[int], str] | None) -> None:
        now = time.time_ns()
        begin = f"{stamp(now)} " if stamp else ""
        lines = [Line(now, begin + text.rstrip("\r"), kind) for text in texts]
        self._lines.extend(lines)
        self._directory.mkdir(parents=True, exist_ok=True)
        day = datetime.fromtimestamp(now // 10**9, timezone.utc)
        name = f"{day:%Y_%m_%d}_{self._machine}_{kind}.log"
        with (self._directory / name).open("a", encoding="utf-8") as file:
            file.writelines(f"{line.text}\n" for line in lines)


def _ticks(now: int) -> str:
    """`2026-04-04T05:51:48.6569Z`: up to seven decimals, without zeros at the end."""
    return f"{_second(now)}.{now // 100 % 10**7:07d}".rstrip("0").rstrip(".") + "Z"


def _milliseconds(now: int) -> str:
    return f"{_second(now)}.{now // 10**6 % 1000:03d}Z"


def _nanoseconds(now: int) -> str:
    return f"{_second(now)}.{now % 10**9:09d}Z"


def _second(now: int) -> str:
    return f"{datetime.fromtimestamp(now // 10**9, timezone.utc):%Y-%m-%dT%H:%M:%S}"


def merge(logs: Iterable[SiteLog]) -> str:
    """The lines of several workers as one text, oldest first."""
    return _text(heapq.merge(*(log.lines() for log in logs), key=lambda line: line.time))


def join(logs: Iterable[SiteLog], *, by_file: bool, last: int) -> str:
    """The lines of several workers, one worker after the other: not sorted by time.

    `by_file`: also each worker's output of the containers before its platform's lines, with an
    empty line between files. `last`: only so many last lines of each part; 0: all.
    """
    parts = [part for log in logs for part in (log.files() if by_file else [log.lines()])]
    return ("\n" if by_file else "").join(_text(part[-last:]) for part in parts if part)


def _text(lines: Iterable[Line]) -> str:
    return "".join(f"{line.text}\n" for line in lines)


def files(directory: Path) -> dict[str, bytes]:
    """The log files of a site by their path below LogFiles/."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*.log"))
    }


def machine_name(identifier: str) -> str:
    """A worker's name in the style of App Service, from an instance id."""
    return "lw0sdlwk" + re.sub(r"[^0-9A-Z]", "", identifier.upper())[:6]
