"""A site's log: lines of the platform and of the containers, in memory and on disk."""

from __future__ import annotations

import heapq
import re
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

_KEPT = 20_000
"""Lines in memory; the files have all lines."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line and its time: UTC with seven decimals, as in App Service."""

    time: str
    text: str

    def __str__(self) -> str:
        return f"{self.time} {self.text}"


class SiteLog:
    """The log of a site on one worker, below `directory` (which becomes LogFiles/ in Kudu's dump).

    As on App Service there is a `…_docker.log` for the platform and a `…_default_docker.log` for
    the containers' output, per day and machine; each line starts with a time.
    """

    def __init__(self, directory: Path, machine: str) -> None:
        self._directory = directory
        self._machine = machine
        self._lines: deque[Line] = deque(maxlen=_KEPT)

    def platform(self, text: str) -> None:
        """Add a line of the platform."""
        self._write([text], f"{self._machine}_docker.log")

    def container(self, texts: Sequence[str]) -> None:
        """Add lines that a container printed."""
        self._write(texts, f"{self._machine}_default_docker.log")

    def lines(self) -> list[Line]:
        """All lines of both kinds, oldest first."""
        return list(self._lines)

    def _write(self, texts: Sequence[str], name: str) -> None:
        now = datetime.now(timezone.utc)
        stamp = f"{now:%Y-%m-%dT%H:%M:%S.%f}0Z"
        lines = [Line(stamp, text.rstrip("\r")) for text in texts]
        self._lines.extend(lines)
        self._directory.mkdir(parents=True, exist_ok=True)
        with (self._directory / f"{now:%Y_%m_%d}_{name}").open("a", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in lines)


def merge(logs: Iterable[SiteLog]) -> str:
    """The lines of several workers as one text, oldest first."""
    lines = heapq.merge(*(log.lines() for log in logs), key=lambda line: line.time)
    return "".join(f"{line}\n" for line in lines)


def files(directory: Path) -> dict[str, bytes]:
    """The log files of a site by their path below LogFiles/."""
    return {
        str(path.relative_to(directory)): path.read_bytes()
        for path in sorted(directory.rglob("*.log"))
    }


def machine_name(identifier: str) -> str:
    """A worker's name in the style of App Service, from an instance id."""
    return "lw0sdlwk" + re.sub(r"[^0-9A-Z]", "", identifier.upper())[:6]
