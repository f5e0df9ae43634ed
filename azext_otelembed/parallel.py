"""Concurrent calls in threads, their end after a signal, and an iterator that is read ahead."""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from typing import Any, TypeVar

from azext_otelembed.errors import Interrupted

MAX_CONCURRENT = 8
"""Concurrent requests for collections of any size: Azure throttles more of them."""

Item = TypeVar("Item")
Result = TypeVar("Result")

_TICK = 0.2
"""Seconds between two checks of whether the other thread has ended."""


class _Stop:
    signal = 0
    """The signal after which other threads than the main one send no request; 0: they may."""


_STOP = _Stop()


def stop_threads(signal: int) -> None:
    """No other thread than the main one sends a request from now on; 0: they may again."""
    _STOP.signal = signal


def check_running() -> None:
    """Raises `Interrupted` in a thread that still runs after the command's end. Called before each
    request.

    The command's last line states the current state, so nothing may change after it.
    """
    if _STOP.signal and threading.current_thread() is not threading.main_thread():
        raise Interrupted(_STOP.signal)


def run_concurrently(*calls: Callable[[], Any]) -> tuple[Any, ...]:
    """Runs `calls` concurrently and returns their results in order; raises the first one's error.

    The threads are daemons: a call that hangs doesn't delay the end of the command after INT or
    TERM.
    """
    return tuple(map_concurrently(calls, lambda call: call(), len(calls)))


def map_concurrently(
    items: Sequence[Item], call: Callable[[Item], Result], limit: int = MAX_CONCURRENT
) -> list[Result]:
    """The results of `call` for each item, in order; at most `limit` calls run concurrently.

    An error is raised once the running calls have ended; no further call starts. Nor does one after
    INT or TERM, which don't wait for the running calls.
    """
    pending = deque(enumerate(items))
    results: dict[int, Result] = {}
    errors: dict[int, BaseException] = {}

    def work() -> None:
        while True:
            try:
                position, item = pending.popleft()
            except IndexError:
                return
            try:
                results[position] = call(item)
            except BaseException as error:  # noqa: BLE001  # re-raised below
                pending.clear()
                errors[position] = error

    threads = [threading.Thread(target=work, daemon=True) for _ in range(min(limit, len(items)))]
    for thread in threads:
        thread.start()
    try:
        for thread in threads:
            # Short joins: one without a limit can't be interrupted by a signal on every platform.
            while thread.is_alive():
                thread.join(_TICK)
    finally:
        pending.clear()  # after INT or TERM, the threads run until the process ends
    if errors:
        raise errors[min(errors)]
    return [results[position] for position in range(len(items))]


def read_ahead(
    items: Iterable[Item], limit: int, check: Callable[[], None] = lambda: None
) -> Generator[Item, None, None]:
    """The same items, read by another thread, at most `limit` ahead of the consumer.

    Exceptions of `items` are raised here. The thread is a daemon, and ends when this generator is
    closed. `check` is called again and again while there is no next item.
    """
    buffer: queue.Queue[tuple[Item] | BaseException | None] = queue.Queue(limit)
    closed = threading.Event()

    def put(found: tuple[Item] | BaseException | None) -> bool:
        while not closed.is_set():
            try:
                buffer.put(found, timeout=_TICK)
            except queue.Full:
                continue
            return True
        return False

    def read() -> None:
        try:
            for item in items:
                if not put((item,)):
                    break
            put(None)
        except BaseException as error:  # noqa: BLE001  # re-raised by the consumer
            put(error)
        finally:
            if isinstance(items, Generator):
                items.close()

    threading.Thread(target=read, daemon=True).start()
    try:
        while (found := _next(buffer, check)) is not None:
            if isinstance(found, BaseException):
                raise found
            yield found[0]
    finally:
        closed.set()


def _next(buffer: queue.Queue[Any], check: Callable[[], None]) -> Any:
    while True:
        try:
            # As above: a wait without a limit can't be interrupted on every platform.
            return buffer.get(timeout=_TICK)
        except queue.Empty:
            check()
