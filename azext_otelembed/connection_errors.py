"""Connection failures: the cause in words, and whether a retry can help.

The exceptions' own messages hold whole addresses, so they are never shown.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

TIMED_OUT = "timed out"
_TYPES: tuple[tuple[type[BaseException], str], ...] = (
    (ssl.SSLCertVerificationError, "its certificate isn't trusted: see REQUESTS_CA_BUNDLE"),
    (ssl.SSLError, "the TLS handshake failed"),
    (socket.gaierror, "its name can't be resolved"),
    (ConnectionRefusedError, "connection refused"),
    (ConnectionResetError, "connection reset"),
    (BrokenPipeError, "connection cut"),
    (TimeoutError, TIMED_OUT),
)
_TYPE_NAMES = (
    ("Proxy", "the proxy doesn't answer"),
    ("NameResolution", "its name can't be resolved"),
    ("BodyTooLong", "its answer is too long"),
    ("Incomplete", "the answer was cut short"),
    ("Timeout", TIMED_OUT),
    ("InvalidURL", "its address isn't valid"),
    ("InvalidSchema", "its address isn't valid"),
)
"""Parts of the names of urllib3's and requests' exceptions, which have no common base."""


def cause(error: BaseException) -> str:
    """Why there was no connection or no complete response."""
    found = list(chain(error))
    for kind, words in _TYPES:
        if any(isinstance(each, kind) for each in found):
            return words
    names = " ".join(type(each).__name__ for each in found)
    return next((words for name, words in _TYPE_NAMES if name in names), "connection cut")


def is_permanent(error: BaseException) -> bool:
    """Whether a retry can't help: the name doesn't exist or the certificate isn't trusted."""
    permanent = (ssl.SSLCertVerificationError, socket.gaierror)
    return any(
        isinstance(each, permanent) or "Invalid" in type(each).__name__ for each in chain(error)
    )


def never_sent(error: BaseException) -> bool:
    """Whether no connection was made, so that the server can't have received the request."""
    names = ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")
    return any(type(each).__name__ in names for each in chain(error))


def chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, its causes, and those that urllib3 and requests wrap in arguments."""
    seen: set[int] = set()
    pending: list[object] = [error]
    while pending:
        each = pending.pop()
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        pending += [each.__cause__, each.__context__, *each.args]
        pending += [getattr(each, name, None) for name in ("reason", "inner_exception")]
