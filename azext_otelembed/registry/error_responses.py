"""Failures of a registry in words: what was asked of which registry, and what to do now.

Only what is safe to show is taken over: never an address's query, a header, or what blob storage
says (its error bodies quote the string that was signed).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator, Mapping

from azext_otelembed.errors import NotFound, OtelembedError, RegistryFailed, Unauthorized
from azext_otelembed.registry import response_json as read

TIMED_OUT = "timed out"
_AGAIN = "Run the same command again: what was sent already is kept."


def cause(error: BaseException) -> str:
    """Why a connection failed. The exceptions' own texts hold whole addresses: left out."""
    chain = list(_chain(error))
    for kind, words in (
        (ssl.SSLCertVerificationError, "its certificate isn't trusted: see REQUESTS_CA_BUNDLE"),
        (ssl.SSLError, "the TLS handshake failed"),
        (socket.gaierror, "its name can't be resolved"),
        (ConnectionRefusedError, "connection refused"),
        (ConnectionResetError, "connection reset"),
        (BrokenPipeError, "connection cut"),
        (TimeoutError, TIMED_OUT),
    ):
        if any(isinstance(each, kind) for each in chain):
            return words
    names = " ".join(type(each).__name__ for each in chain)
    for name, words in (
        ("Proxy", "the proxy doesn't answer"),
        ("NameResolution", "its name can't be resolved"),
        ("Incomplete", "the answer was cut short"),
        ("Timeout", TIMED_OUT),
        ("InvalidURL", "its address isn't valid"),
        ("InvalidSchema", "its address isn't valid"),
    ):
        if name in names:
            return words
    return "connection cut"


def is_final(error: BaseException) -> bool:
    """Whether asking again can't help: a name that doesn't exist, a certificate nobody trusts."""
    final = (ssl.SSLCertVerificationError, socket.gaierror)
    return any(
        isinstance(each, final) or "Invalid" in type(each).__name__ for each in _chain(error)
    )


def never_sent(error: BaseException) -> bool:
    """Whether no connection was made at all, so that the registry can't have seen the request."""
    names = {type(each).__name__ for each in _chain(error)}
    return not names.isdisjoint(
        ("NewConnectionError", "NameResolutionError", "ConnectTimeoutError")
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The exception, what it was raised from, and what urllib3 and requests wrap in arguments."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        each = waiting.pop()
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        yield each
        waiting += [each.__cause__, each.__context__, *each.args]
        waiting += [getattr(each, name, None) for name in ("reason", "inner_exception")]


def said(body: bytes) -> str:
    """What a registry's error body says: `message (CODE)` (OCI distribution, "Error Codes")."""
    parsed = read.parsed(body)
    errors = parsed.get("errors") if isinstance(parsed, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else parsed
    if not isinstance(first, dict):
        return ""
    message, code = _text(first.get("message"))[:300], _text(first.get("code"))[:80]
    return f"{message} ({code})" if message and code else message or code


def _text(value: object) -> str:
    return str(value) if isinstance(value, str | int) else ""


def error_for(
    host: str,
    what: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    needs: str = "",
) -> OtelembedError:
    """The error for an answer that isn't what was asked for.

    `what` names the thing, such as "manifest 'a/b:1'"; `needs` the rights that the call takes, such
    as "pull of 'a/b'". `body` is empty where the answer came from blob storage.
    """
    detail = said(body)
    tail = f": {detail}" if detail else "."
    if status in (401, 403):
        return Unauthorized(
            f"Registry '{host}' doesn't allow {needs or what} (HTTP {status}){tail}",
            "Ask for a role on the registry that holds it, such as AcrPull or AcrPush; a "
            "repository that doesn't exist is refused in the same way.",
        )
    if status == 404:
        return NotFound(
            f"Registry '{host}' has no {what}{tail}",
            "Check the name, the tag and the registry.",
        )
    if status == 409:
        return RegistryFailed(
            f"Registry '{host}' answered HTTP 409 on {what}{tail}",
            "The repository or tag may be locked, or just being written by somebody else: see "
            f"`az acr repository show -n {host.partition('.')[0]} --image <repository:tag>`, then "
            "run the same command again.",
            status=status,
        )
    if status == 429:
        wait = headers.get("Retry-After")
        return RegistryFailed(
            f"Registry '{host}' throttles requests; {what} wasn't reached{tail}",
            f"Run the same command again in {wait} seconds." if wait else _AGAIN,
            status=status,
        )
    if status >= 500:
        return RegistryFailed(
            f"Registry '{host}' failed with HTTP {status} on {what}{tail}", _AGAIN, status=status
        )
    return RegistryFailed(
        f"Registry '{host}' answered HTTP {status} on {what}{tail}", status=status
    )


def unreachable(host: str, what: str, reason: str, attempts: int) -> RegistryFailed:
    """The error for a registry, or its blob storage, that never answered."""
    tried = f", tried {attempts} times" if attempts > 1 else ""
    return RegistryFailed(
        f"Registry '{host}' can't be reached for {what}: {reason}{tried}.",
        "Check the registry's name, the network and the proxy, then run the same command again.",
    )


def oversized(host: str, what: str, size: int) -> RegistryFailed:
    """The error for content that is longer than its descriptor says."""
    return RegistryFailed(
        f"Registry '{host}' sends more than the {size} bytes that {what} has.",
        "A proxy changes content on the way, or the registry's copy is damaged: push the image "
        "again.",
    )


def corrupt(host: str, what: str) -> RegistryFailed:
    """The error for content that doesn't match its digest."""
    return RegistryFailed(
        f"Registry '{host}' sent {what} with content that doesn't match its digest.",
        "Run the same command again; if it repeats, a proxy changes content on the way or the "
        "registry's copy is damaged: push the image again.",
    )
