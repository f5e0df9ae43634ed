"""Bodies that come too slowly: a read timeout alone lets a byte a minute go on for ever."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

_NAP = 3600.0


class SlowBodyGuard:
    """Cuts a response's connection when one `reading` takes longer than `longest` seconds.

    `late` tells that it did. `close` it when the body has been read.
    """

    def __init__(self, response: Any, longest: float) -> None:
        self.late = False
        self._raw: Any = getattr(getattr(response, "internal_response", None), "raw", None)
        self._longest = longest
        self._until: float | None = None
        self._over = threading.Event()
        self._thread: threading.Thread | None = None

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Around what waits for the network; what is done with it in between doesn't count."""
        self._until = time.monotonic() + self._longest
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name="otelembed-slow-body", daemon=True
            )
            self._thread.start()
        try:
            yield
        finally:
            self._until = None

    def close(self) -> None:
        """End watching."""
        self._over.set()

    def _run(self) -> None:
        left = self._longest
        while not self._over.wait(left):
            until = self._until
            if until is None:
                left = min(self._longest, _NAP)
                continue
            left = until - time.monotonic()
            if left > 0:
                continue
            self.late = True
            # Another thread is reading: closing its socket wouldn't wake it, shutting down does.
            with (
                suppress(OSError, ValueError, AttributeError),
                socket.socket(fileno=os.dup(self._raw.fileno())) as connection,
            ):
                connection.shutdown(socket.SHUT_RDWR)
            return
