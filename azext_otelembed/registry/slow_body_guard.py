"""A time limit for reading a body: a read timeout alone accepts one byte a minute for ever."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_MAX_WAIT = 3600.0


class SlowBodyGuard:
    """Cuts a response's connection when one `reading` takes longer than `longest` seconds.

    `expired` is then True. Call `close` when the body has been read.
    """

    def __init__(self, response: Any, max_seconds: float) -> None:
        self.expired = False
        self._raw: Any = getattr(getattr(response, "internal_response", None), "raw", None)
        self._max_seconds = max_seconds
        self._deadline: float | None = None
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """The time inside this block counts; the time between two blocks doesn't."""
        self._deadline = time.monotonic() + self._max_seconds
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="otelembed-slow-body", daemon=True
            )
            self._thread.start()
        try:
            yield
        finally:
            self._deadline = None

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _run(self) -> None:
        remaining = self._max_seconds
        while not self._closed.wait(remaining):
            deadline = self._deadline
            if deadline is None:
                remaining = min(self._max_seconds, _MAX_WAIT)
                continue
            remaining = deadline - time.monotonic()
            if remaining > 0:
                continue
            self.expired = True
            # shutdown() interrupts the thread that reads from the socket; close() doesn't.
            with (
                suppress(OSError, ValueError, AttributeError),
                socket.socket(fileno=os.dup(self._raw.fileno())) as connection,
            ):
                connection.shutdown(socket.SHUT_RDWR)
            return
