"""Exceptions of azure-core and of its SDKs as errors: the request, the cause and the next step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from azext_otelembed.az_commands import Caller, placeholder
from azext_otelembed.azure.arm_json import AGAIN
from azext_otelembed.connection_errors import cause
from azext_otelembed.errors import AzureFailed, NotFound, OtelembedError, Unauthorized
from azext_otelembed.redaction import Secrets
from azext_otelembed.registry.http_headers import again_after, retry_after_seconds
from azext_otelembed.registry.response_json import parse_object

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError


LONGEST_DETAIL = 2000
"""Characters of Azure's message that an error shows: a policy's refusal is long."""


class UnusableResponseError(Exception):
    """A response, or an address in one, that a policy refuses; it isn't requested again.

    `translate_errors` puts the name of the request's object in front of the message.
    """


@contextmanager
def translate_errors(what: str, secrets: Secrets) -> Iterator[None]:
    """Raises azure-core's exceptions as errors of this package. `what` names the request's object.

    Messages hold no addresses: those of running operations carry a signature. Azure's message may
    quote the request: `secrets` are masked in it.
    """
    from azure.core import exceptions

    try:
        yield
    except UnusableResponseError as error:
        raise AzureFailed(f"{what}: {error}", AGAIN) from None
    except exceptions.HttpResponseError as error:
        if isinstance(error, exceptions.DecodeError):
            raise AzureFailed(
                f"{what}: Azure's answer was cut short or isn't JSON. Run the same command again."
            ) from None
        if isinstance(error, exceptions.ClientAuthenticationError) and error.response is None:
            reason = secrets.brief(error.message)
            raise Unauthorized(f"{what}: {reason}", "Run `az login` again.") from None
        if isinstance(error, exceptions.TooManyRedirectsError):
            raise AzureFailed(f"{what}: Azure redirects the request too often.", AGAIN) from None
        raise _from_response(what, error, secrets) from None
    except (exceptions.ServiceRequestError, exceptions.ServiceResponseError) as error:
        raise AzureFailed(
            f"{what}: no answer from Azure Resource Manager ({cause(error)}).",
            "Check the network and run the same command again: it continues where it stopped.",
        ) from None
    except exceptions.AzureError as error:
        raise AzureFailed(f"{what}: {type(error).__name__}.") from None


@contextmanager
def sdk_errors(what: str, secrets: Secrets) -> Iterator[None]:
    """`translate_errors` for an SDK with models, which raises any exception for odd responses."""
    try:
        with translate_errors(what, secrets):
            yield
    except (AttributeError, TypeError, LookupError, ValueError, RecursionError):
        raise AzureFailed(
            f"{what}: Azure answered with JSON of an unexpected structure.", AGAIN
        ) from None  # the exception's message may quote the response, secrets included


def error_text(body: str) -> tuple[str, str]:
    """`(code, message)` of an error body; `("", "")` when it has neither of the two shapes.

    ARM and most providers wrap both in `error`; Microsoft.Web doesn't, and capitalises the names
    (`Code`, `Message`), which its SDK doesn't read.
    """
    parsed = parse_object(body) or {}
    inner = parsed.get("error")
    error = inner if isinstance(inner, dict) else parsed
    code = error.get("code") or error.get("Code") or ""
    message = error.get("message") or error.get("Message") or ""
    return str(code), str(message)


def _lock_commands(url: str) -> tuple[str, str]:
    """The commands that list the locks of the subscription that a request was for, and delete one.

    They always name the subscription: az's current one isn't known here.
    """
    found = re.search(r"/subscriptions/([^/?]+)", url)
    table, caller = ("-o", "table"), Caller("")
    locks = caller.command("lock list", *table, subscription=found[1] if found else None)
    return locks, caller.command("lock delete", "--ids", placeholder("its id"), subscription=None)


def _from_response(what: str, error: HttpResponseError, secrets: Secrets) -> OtelembedError:
    """The error of a response with status 400 or above."""
    response: Any = error.response
    status = int(response.status_code)
    try:
        body = response.text()
    except Exception as unread:  # noqa: BLE001  # an incomplete body: the status is enough
        body = f"({type(unread).__name__})"
    code, message = error_text(body)
    detail = f"{message} ({code})" if message and code else message or code or f"HTTP {status}"
    detail = secrets.brief(detail, LONGEST_DETAIL)
    if status == 401:
        return Unauthorized(
            f"{what}: Azure doesn't accept the sign-in: {detail}",
            "Run `az login` again, or look at what --credential signs in with.",
        )
    if code == "ScopeLocked":
        locks, delete = _lock_commands(str(response.request.url))
        return Unauthorized(
            f"{what}: a lock forbids it: {detail}",
            f"List the locks with `{locks}` and remove it with `{delete}`. Then run the same "
            "command again.",
        )
    if code == "RequestDisallowedByPolicy":
        return Unauthorized(
            f"{what}: an Azure Policy forbids it: {detail}",
            "Ask the policy's owner for an exemption (see `az policy exemption create --help`), "
            "or deploy what it allows.",
        )
    if status == 403:
        return Unauthorized(
            f"{what}: not allowed: {detail}",
            "Ask for a role that holds this action, such as Website Contributor on the site.",
        )
    if status == 404:
        return NotFound(f"{what} was not found: {detail}")
    again = "Run the same command again: it continues where it stopped."
    if status == 409:
        return AzureFailed(
            f"{what}: a conflict with another operation: {detail}", again, status=status
        )
    if status == 429:
        wait = retry_after_seconds(response.headers.get("Retry-After"))
        return AzureFailed(
            f"{what}: Azure throttles these calls: {detail}",
            again_after(wait) or again,
            status=status,
            retry_after=wait,
        )
    if status >= 500:
        detail = f": {detail}" if message or code else "."
        return AzureFailed(f"{what}: Azure failed with HTTP {status}{detail}", again, status=status)
    return AzureFailed(f"{what}: {detail}", status=status)
