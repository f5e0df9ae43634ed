"""Independent calls side by side, and a stream read ahead of who uses it."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeVar

AT_ONCE = 8
"""Requests at a time where there may be hundreds: Azure throttles who asks for all at once."""

Item = TypeVar("Item")
Found = TypeVar("Found")

_TICK = 0.2
"""Seconds between two looks at whether the other side is still there."""


def together(*calls: Callable[[], Any]) -> tuple[Any, ...]:
    """Runs `calls` at once and returns their results in order; raises the first one's error.

    The threads are daemons: when INT or TERM ends the command, a call that hangs can't hold it up.
    """
    results: list[Any] = [None] * len(calls)
    errors: list[BaseException | None] = [None] * len(calls)

    def run(position: int) -> None:
        try:
            results[position] = calls[position]()
        except BaseException as error:  # noqa: BLE001  # handed to the caller below, all of it
            errors[position] = error

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(calls))]
    for thread in threads:
        thread.start()
    for thread in threads:
        # Short joins: a join without a limit can't be interrupted by a signal on every platform.
        while thread.is_alive():
            thread.join(_TICK)
    for error in errors:
        if error is not None:
            raise error
    return tuple(results)


def for_each(
    items: Sequence[Item], call: Callable[[Item], Found], at_once: int = AT_ONCE
) -> list[Found]:
    """Calls `call` with each item, `at_once` at a time; its results in the order of the items.

    An error of one is raised once those under way have ended; no further one begins.
    """
    waiting = deque(enumerate(items))
    found: dict[int, Found] = {}

    def work() -> None:
        while True:
            try:
                position, item = waiting.popleft()
            except IndexError:
                return
            try:
                found[position] = call(item)
            except BaseException:
                waiting.clear()
                raise

    together(*[work] * min(at_once, len(items)))
    return [found[position] for position in range(len(items))]


def ahead(items: Iterable[Item], most: int) -> Generator[Item, None, None]:
    """The same items, taken by a thread of their own, at most `most` ahead of who uses them.

    What taking them raises is raised here. The thread is a daemon, and ends when this is closed.
    """
    shelf: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(most)
    closed = threading.Event()

    def put(found: tuple[Item] | BaseException | None) -> bool:
        while not closed.is_set():
            try:
                shelf.put(found, timeout=_TICK)
            except queue.Full:
                continue
            return True
        return False

    def take() -> None:
        try:
            for item in items:
                if not put((item,)):
                    break
            put(None)
        except BaseException as error:  # noqa: BLE001  # handed over, all of it
            put(error)
        finally:
            if isinstance(items, Generator):
                items.close()

    threading.Thread(target=take, daemon=True).start()
    try:
        while (found := _next(shelf)) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found[0]
    finally:
        closed.set()


def _next(shelf: queue.Queue[Any]) -> Any:
    while True:
        try:
            # As above: a wait without a limit can't be interrupted everywhere.
            return shelf.get(timeout=_TICK)
        except queue.Empty:
            continue
