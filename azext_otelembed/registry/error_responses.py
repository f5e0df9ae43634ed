"""A registry's error responses as errors: the request, the registry and the next step.

The messages never hold an address's query, a header, or an error body of blob storage, which quotes
the signed string.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from azext_otelembed.az_commands import DEFAULT, placeholder
from azext_otelembed.errors import NotFound, OtelembedError, RegistryFailed, Unauthorized
from azext_otelembed.redaction import Secrets
from azext_otelembed.registry import response_json
from azext_otelembed.registry.http_headers import again_after, retry_after_seconds

_AGAIN = "Run the same command again: what was sent already is kept."


def registry_message(body: bytes, secrets: Secrets) -> str:
    """The message of a registry's error body: `message (CODE)` (OCI spec, "Error Codes").

    The message may quote the request: `secrets` are masked in it.
    """
    document = response_json.parse(body)
    errors = document.get("errors") if isinstance(document, dict) else None
    first = errors[0] if isinstance(errors, list) and errors else document
    if not isinstance(first, dict):
        return ""
    message = secrets.brief(_text(first.get("message")), 300)
    code = secrets.brief(_text(first.get("code")), 80)
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
    acr_command: Callable[..., str] | None = None,
    secrets: Secrets | None = None,
) -> OtelembedError:
    """The error of a response with an unexpected status.

    `what` names the object, such as "manifest 'a/b:1'"; `needs` names the rights that the request
    needs, such as "pull of 'a/b'". `body` is empty for a response of blob storage. `acr_command`
    makes the command `az acr VERB OPTIONS` for the registry; `secrets` are masked.
    """
    detail = registry_message(body, secrets or Secrets())
    tail = f": {detail}" if detail else "."
    if status in (401, 403):
        return Unauthorized(
            f"Registry '{host}' doesn't allow {needs or what} (HTTP {status}){tail}",
            "Ask for a role on the registry that holds it, such as AcrPull or AcrPush; a "
            "repository that doesn't exist is refused in the same way.",
        )
    if status == 404:
        return NotFound(
            f"Registry '{host}' has no {what}{tail}", "Check the name, the tag and the registry."
        )
    if status == 409:
        make = acr_command or partial(DEFAULT.acr_command, host)
        show = make("repository show", "--image", placeholder("repository:tag"))
        return RegistryFailed(
            f"Registry '{host}' answered HTTP 409 on {what}{tail}",
            "The repository or tag may be locked, or another process is writing it: see "
            f"`{show}`, then run the same command again.",
            status=status,
        )
    if status == 429:
        wait = retry_after_seconds(headers.get("Retry-After"))
        return RegistryFailed(
            f"Registry '{host}' throttles requests for {what}{tail}",
            again_after(wait) or _AGAIN,
            status=status,
        )
    verb, advice = ("failed with", _AGAIN) if status >= 500 else ("answered", None)
    message = f"Registry '{host}' {verb} HTTP {status} on {what}{tail}"
    return RegistryFailed(message, advice, status=status)


def unreachable(host: str, what: str, reason: str, attempts: int) -> RegistryFailed:
    """The error for a registry, or its blob storage, that didn't respond."""
    tried = f", tried {attempts} times" if attempts > 1 else ""
    return RegistryFailed(
        f"Registry '{host}' can't be reached for {what}: {reason}{tried}.",
        "Check the registry's name, the network and the proxy, then run the same command again.",
    )


def oversized(host: str, what: str, size: int) -> RegistryFailed:
    """The error for content that is longer than its descriptor's size."""
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


def unknown_format(host: str, what: str) -> RegistryFailed:
    """The error for a body that isn't what the protocol describes."""
    return RegistryFailed(f"Registry '{host}' sends {what} in an unknown format.")


def repeated_page(host: str, what: str) -> RegistryFailed:
    """The error for a page of a list that only has entries of the pages before."""
    return RegistryFailed(f"Registry '{host}' sends a page of {what} again.")
