"""A registry's response, and a time limit for reading its body."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from azure.core.exceptions import AzureError
from azure.core.rest import HttpResponse

from azext_otelembed.connection_errors import cause
from azext_otelembed.errors import RegistryFailed
from azext_otelembed.http_transport import guard_of
from azext_otelembed.log_redaction import no_http_logs


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
        self._guard = guard_of(response)
        self._max_seconds = max_seconds

    @property
    def expired(self) -> bool:
        """Whether the connection was cut."""
        return self._guard.expired

    @contextmanager
    def reading(self) -> Iterator[None]:
        """The time inside this block counts; the time between two blocks doesn't.

        Raises `DeadlineExceeded` if the time of the command is up.
        """
        self._guard.allow(self._max_seconds)
        try:
            yield
        finally:
            self._guard.pause()
            if self.expired:
                self._guard.check("the whole answer had come")

    def close(self) -> None:
        """End the guard's thread."""
        self._guard.close()
