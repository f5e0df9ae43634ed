"""A registry's response, and a time limit for reading its body."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from azure.core.exceptions import AzureError
from azure.core.rest import HttpResponse

from azext_otelembed.connection_errors import cause
from azext_otelembed.errors import RegistryFailed
from azext_otelembed.log_redaction import no_http_logs

_MAX_WAIT = 3600.0


@dataclass(frozen=True, slots=True)
class RegistryResponse:
    """An HTTP response. `body` is complete, or empty where the caller streams it.

    `by_registry` is False where a redirect led to another host, such as blob storage.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    by_registry: bool
    _response: HttpResponse = field(repr=False)
    _chunk_seconds: float
    """The time limit for a chunk of 64 KiB."""

    def chunks(self) -> Generator[bytes, None, None]:
        """The body, chunk by chunk. Raises `IncompleteBody`."""
        reason = ""
        chunks = self._response.iter_raw()
        guard = SlowBodyGuard(self._response, self._chunk_seconds)
        try:
            while True:
                # The caller's code runs between two chunks, in this thread: its logs are kept.
                try:
                    with no_http_logs(), guard.reading():
                        chunk = next(chunks, b"")
                except AzureError as error:
                    reason = cause(error)
                    break
                if guard.expired:  # the cut may look like the end of the body
                    break
                if not chunk:
                    return
                yield chunk
        finally:
            guard.close()
            self._response.close()
        raise IncompleteBody("it comes too slowly" if guard.expired else reason)


class IncompleteBody(RegistryFailed):
    """The body ended early; the rest can be requested."""


class SlowBodyGuard:
    """Cuts a response's connection when one `reading` takes longer than `max_seconds`.

    (A read timeout alone accepts one byte a minute for ever.) `expired` is then True. Call `close`
    when the body has been read.
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
