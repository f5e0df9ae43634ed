"""Progress reports of long operations. The packages below `release/` report and never print."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """The operation in progress; for transfers, `done` of `total` bytes (0: not counted)."""

    what: str
    done: int = 0
    total: int = 0


Report = Callable[[Progress], None]


def discard(_: Progress) -> None:
    """A progress sink that discards everything."""


class CombinedProgress:
    """The progress of parallel transfers, reported as one: `what`, with the sum of their bytes."""

    def __init__(self, report: Report, what: str) -> None:
        self._report = report
        self._what = what
        self._lock = threading.Lock()
        self._done: list[int] = []
        self._total = 0

    def add(self, size: int) -> Report:
        """The progress sink of one more transfer, of `size` bytes. Thread-safe."""
        with self._lock:
            number = len(self._done)
            self._done.append(0)
            self._total += size

        def report(progress: Progress) -> None:
            with self._lock:
                self._done[number] = progress.done
                self._report(Progress(self._what, sum(self._done), self._total))

        return report
