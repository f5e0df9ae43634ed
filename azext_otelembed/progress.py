"""What long work says while it goes on. Nothing in these rooms prints."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """`what` is under way; for bytes, `done` of `total` (0 where there is nothing to count)."""

    what: str
    done: int = 0
    total: int = 0


Report = Callable[[Progress], None]


def silent(_: Progress) -> None:
    """A report that nobody reads."""


class Sum:
    """Transfers side by side as one progress: `what`, with their bytes added up."""

    def __init__(self, report: Report, what: str) -> None:
        self._report = report
        self._what = what
        self._lock = threading.Lock()
        self._done: list[int] = []
        self._total = 0

    def part(self, size: int) -> Report:
        """The report of one more transfer, of `size` bytes. Threads may call it."""
        with self._lock:
            number = len(self._done)
            self._done.append(0)
            self._total += size

        def report(progress: Progress) -> None:
            with self._lock:
                self._done[number] = progress.done
                self._report(Progress(self._what, sum(self._done), self._total))

        return report
