"""azure-core's transport with limits: for each request as a whole, and for the command."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import ServiceResponseError
from azure.core.pipeline.transport import RequestsTransport

from azext_otelembed.connection_guard import ConnectionGuard
from azext_otelembed.deadline import Deadline
from azext_otelembed.http_session import PlainSession
from azext_otelembed.parallel import check_running

SLOWEST = 32 << 10
"""Bytes per second at which the body of a request has to be taken, at least."""


class ResponseTimeoutError(ServiceResponseError):
    """The answer wasn't complete in time, though some of it may have come."""


class GuardedTransport(RequestsTransport):  # type: ignore[misc]  # its package loads it late
    """Sends requests. `options` are the keyword arguments of azure-core's transport.

    An answer has to be complete within the timeouts to connect and to read together, and the time
    that the body of the request takes at `SLOWEST`. Of a streamed body each chunk has to come
    within twice the timeout to read; `SlowBodyGuard` sets other limits. Raises
    `ResponseTimeoutError` after these, and `DeadlineExceeded` when the time of the command is up.
    """

    def __init__(self, deadline: Deadline, **options: Any) -> None:
        if "session" not in options:
            options["session"] = PlainSession()
        super().__init__(**options)
        self.deadline = deadline

    def sleep(self, duration: float) -> None:
        """Sleeps between two attempts (azure-core's retry policy calls it)."""
        self.deadline.sleep(duration, "Azure answered")

    def send(self, request: Any, **options: Any) -> Any:
        """Sends a request; none in a thread that still runs after the command's end.

        Raises azure-core's errors, and those named above.
        """
        check_running()
        missing = f"{urlsplit(request.url).hostname} answered"
        self.deadline.check(missing)
        config, left = self.connection_config, self.deadline.remaining
        connect = min(options.pop("connection_timeout", config.timeout), left)
        read = options.pop("read_timeout", config.read_timeout)
        guard = ConnectionGuard(self.deadline)
        failure: Exception | None = None
        with guard.sending(connect + read + _size(request) / SLOWEST):
            try:
                response = super().send(
                    request, connection_timeout=connect, read_timeout=min(read, left), **options
                )
            except Exception as error:  # noqa: BLE001  # raised below, unless the time is up
                failure = error
        if guard.expired and failure is None:
            # The cut may look like the end of the headers or of the body.
            with suppress(Exception):
                response.internal_response.close()
        _raise(guard, missing, failure)
        if options.get("stream"):
            _guard_body(response.internal_response, guard, missing, 2 * read)
        return response


def guard_of(response: Any) -> ConnectionGuard:
    """The guard of the connection that a streamed response comes from."""
    found = getattr(getattr(response, "internal_response", None), "guard", None)
    return found if isinstance(found, ConnectionGuard) else ConnectionGuard()


def _guard_body(response: Any, guard: ConnectionGuard, missing: str, seconds: float) -> None:
    """Guards `raw.stream`, through which requests and azure-core read the body of a response."""
    stream: Callable[..., Iterator[bytes]] = response.raw.stream

    def guarded(*arguments: Any, **options: Any) -> Iterator[bytes]:
        pieces = stream(*arguments, **options)
        if guard.is_limited:  # by the caller
            yield from pieces
            return
        try:
            while True:
                failure, piece = None, b""
                guard.allow(seconds)
                try:
                    piece = next(pieces, b"")
                except Exception as error:  # noqa: BLE001  # raised below, unless the time is up
                    failure = error
                guard.pause()
                _raise(guard, missing, failure)
                if not piece:
                    return
                yield piece
        finally:
            guard.close()

    response.guard = guard
    response.raw.stream = guarded


def _raise(guard: ConnectionGuard, missing: str, failure: Exception | None) -> None:
    if failure is not None or guard.expired:
        guard.check(missing)
    if guard.expired:
        raise ResponseTimeoutError(f"The time was up before {missing}.")
    if failure is not None:
        raise failure


def _size(request: Any) -> int:
    """The bytes of a request's body."""
    body = getattr(request, "content", None) or request.data
    return len(body) if isinstance(body, bytes | str) else 0
