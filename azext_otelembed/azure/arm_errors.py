"""Failures of calls to Azure as errors in words: what was asked for, why it failed, what to do."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from azext_otelembed.errors import AzureFailed, NotFound, OtelembedError, Unauthorized

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError


@contextmanager
def azure_errors(what: str) -> Iterator[None]:
    """Turns azure-core's exceptions into errors that say what was asked for and what to do.

    Addresses are left out: those of running operations carry a signature.
    """
    from azure.core.exceptions import (
        AzureError,
        ClientAuthenticationError,
        DecodeError,
        HttpResponseError,
        ServiceRequestError,
        ServiceResponseError,
    )

    try:
        yield
    except HttpResponseError as error:
        if isinstance(error, DecodeError):
            raise AzureFailed(
                f"{what}: Azure's answer was cut short or isn't JSON. Run the same command again."
            ) from None
        if isinstance(error, ClientAuthenticationError) and error.response is None:
            raise Unauthorized(f"{what}: {error.message}", "Run `az login` again.") from None
        raise from_response(what, error) from None
    except (ServiceRequestError, ServiceResponseError) as error:
        raise AzureFailed(
            f"{what}: no answer from Azure Resource Manager ({cause(error)}).",
            "Check the network and run the same command again: it continues where it stopped.",
        ) from None
    except AzureError as error:
        raise AzureFailed(f"{what}: {type(error).__name__}.") from None


def cause(error: BaseException) -> str:
    """Why there was no connection or no whole answer, in words."""
    text = str(error).lower()
    for words, meaning in (
        ("certificate", "its certificate isn't trusted: see REQUESTS_CA_BUNDLE"),
        ("refused", "connection refused"),
        ("timed out", "timed out"),
        ("resolve", "its name can't be resolved"),
        ("reset", "connection reset"),
        ("aborted", "connection cut"),
        ("incomplete", "the answer was cut short"),
    ):
        if words in text:
            return meaning
    return "connection failed"


def error_text(body: str) -> tuple[str, str]:
    """`(code, message)` of an error body; `("", "")` when it is neither of the two families.

    ARM and most providers wrap it in `error`; Microsoft.Web wraps nothing and capitalises
    (`Code`, `Message`), which az's SDK doesn't read.
    """
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return "", ""
    if not isinstance(parsed, dict):
        return "", ""
    inner = parsed.get("error")
    error = inner if isinstance(inner, dict) else parsed
    code = error.get("code") or error.get("Code") or ""
    message = error.get("message") or error.get("Message") or ""
    return str(code), str(message)


def from_response(what: str, error: HttpResponseError) -> OtelembedError:
    """The error for an answer of 400 and above."""
    response: Any = error.response
    status = int(response.status_code)
    try:
        body = response.text()
    except Exception as unread:  # noqa: BLE001  # a streamed body that was cut: the status is enough
        body = f"({type(unread).__name__})"
    code, message = error_text(body)
    said = f"{message} ({code})" if message and code else message or code or f"HTTP {status}"
    if status == 401:
        return Unauthorized(
            f"{what}: Azure doesn't accept the sign-in: {said}",
            "Run `az login` again, or look at what --credential signs in with.",
        )
    if code == "ScopeLocked":
        return Unauthorized(
            f"{what}: a lock forbids it: {said}",
            "See the locks with `az lock list -o table`; whoever set it can remove it with "
            "`az lock delete --ids <its id>`. Then run the same command again.",
        )
    if code == "RequestDisallowedByPolicy":
        return Unauthorized(
            f"{what}: an Azure Policy forbids it: {said}",
            "Ask the policy's owner for an exemption (`az policy exemption create`), or deploy "
            "what it allows.",
        )
    if status == 403:
        return Unauthorized(
            f"{what}: not allowed: {said}",
            "Ask for a role that holds this action, such as Website Contributor on the site.",
        )
    if status == 404:
        return NotFound(f"{what} was not found: {said}")
    again = "Run the same command again: it continues where it stopped."
    if status == 409:
        return AzureFailed(f"{what}: in conflict with something else: {said}", again, status=status)
    if status == 429:
        wait = response.headers.get("Retry-After")
        return AzureFailed(
            f"{what}: Azure throttles these calls: {said}",
            f"Run the same command again in {wait} seconds." if wait else again,
            status=status,
            retry_after=float(wait) if wait and wait.isdigit() else None,
        )
    if status >= 500:
        detail = f": {said}" if message or code else "."
        return AzureFailed(f"{what}: Azure failed with HTTP {status}{detail}", again, status=status)
    return AzureFailed(f"{what}: {said}", status=status)
