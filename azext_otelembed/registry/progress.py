"""What long work says while it goes on. Nothing in these rooms prints."""

from __future__ import annotations

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
