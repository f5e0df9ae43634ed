"""Many commands that end in an error: run side by side, each judged by its own test."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

import pytest


class Titled(Protocol):
    """A row of a table of tests; the title names it."""

    @property
    def title(self) -> str:
        """Unique in its table."""


Row = TypeVar("Row", bound=Titled)
Result = TypeVar("Result")


class Batch(Generic[Row, Result]):
    """Runs rows in the background, a few at a time, so that their waiting overlaps.

    Only the rows whose tests were selected are run.
    """

    def __init__(
        self,
        session: pytest.Session,
        rows: Iterable[Row],
        run: Callable[[Row], Result],
        workers: int,
    ) -> None:
        self._pool = ThreadPoolExecutor(workers)
        called = (getattr(item, "callspec", None) for item in session.items)
        chosen = (call.params["row"] for call in called if call and "row" in call.params)
        wanted = {row.title for row in chosen}
        self._results: dict[str, Future[Result]] = {
            row.title: self._pool.submit(run, row) for row in rows if row.title in wanted
        }

    def result(self, row: Row) -> Result:
        """What `run` returned for `row`, or raises what it raised; waits for it."""
        return self._results[row.title].result()

    def wait(self) -> list[Result]:
        """Waits until all rows have run; what came of those that didn't fail."""
        futures = self._results.values()
        return [future.result() for future in futures if future.exception() is None]

    def close(self) -> None:
        """Gives up what hasn't begun, and waits for the rest."""
        self._pool.shutdown(cancel_futures=True)
