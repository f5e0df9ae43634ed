"""Calls to Azure Resource Manager: the pipeline, its errors in words, long-running operations.

The pipeline leaves out azure-core's trace policies: az swaps in one that logs whole bodies with
`--debug`, and the bodies here hold app settings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from azext_otelembed.azure.shape import Json, parts, text, whole
from azext_otelembed.errors import AzureFailed, NotFound, OtelembedError, Unauthorized
from azext_otelembed.location import led_to

if TYPE_CHECKING:
    from azure.core.exceptions import HttpResponseError

    from azext_otelembed.azure.session import Session

LONGEST_WAIT = 60.0
"""Seconds. ARM can ask for more than five minutes; past this the caller is told instead."""

ENDED = ("Succeeded", "Failed", "Canceled")
METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"})


def policies(session: Session) -> list[Any]:
    """The pipeline's policies, for our own calls and for azure-mgmt-web's client alike."""
    from azure.core.pipeline import policies as core
    from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

    class BoundedRetry(core.RetryPolicy[Any, Any]):
        """Azure-core's retries, which also honour Retry-After, but never for minutes."""

        def configure_retries(self, options: dict[str, Any]) -> dict[str, Any]:
            # Calls here can be sent twice: reads (also those by POST) and full replacements.
            # What can't says so (`Arm.start`).
            options.setdefault("retry_on_methods", METHODS)
            return dict(super().configure_retries(options))

        def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
            asked = self.get_retry_after(response)
            return not (asked and asked > LONGEST_WAIT) and bool(
                super().is_retry(settings, response)
            )

    return [
        core.RequestIdPolicy(),
        core.HeadersPolicy(),
        core.UserAgentPolicy(user_agent=session.user_agent, user_agent_overwrite=True),
        core.ContentDecodePolicy(),
        core.RedirectPolicy(),
        BoundedRetry(retry_total=4, retry_backoff_factor=0.4, retry_backoff_max=20),
        ARMChallengeAuthenticationPolicy(session.credential, session.arm_scope),
        core.SensitiveHeaderCleanupPolicy(),
    ]


def transport(session: Session) -> Any:
    """A transport of azure-core's that gives up on a silent server after a minute."""
    from azure.core.pipeline.transport import RequestsTransport

    return RequestsTransport(connection_timeout=20, read_timeout=60, **session.transport)


class Arm:
    """JSON calls to Azure Resource Manager, for what azure-mgmt-web doesn't cover."""

    def __init__(self, session: Session) -> None:
        from azure.mgmt.core import ARMPipelineClient

        self._endpoint = session.arm_endpoint
        self._client: Any = ARMPipelineClient(
            base_url=session.arm_endpoint,
            policies=policies(session),
            transport=transport(session),
        )

    def get(self, what: str, path: str, api_version: str, **query: str) -> Json:
        """GET `path`. `what` is named in errors, such as "registry 'shop'"."""
        return self._json(what, "GET", path, {"api-version": api_version, **query})

    def get_all(self, what: str, path: str, api_version: str, **query: str) -> list[Json]:
        """GET a collection, following its nextLink."""
        page = self.get(what, path, api_version, **query)
        found = parts(what, page, "value")
        while page.get("nextLink"):
            page = self._json(what, "GET", text(what, page, "nextLink"), {})
            found += parts(what, page, "value")
        return found

    def post(
        self,
        what: str,
        path: str,
        api_version: str,
        body: Json | None = None,
        *,
        repeatable: bool = True,
    ) -> Json:
        """POST `path` for its answer. `repeatable` as in `start`."""
        options = {} if repeatable else {"retry_total": 0}
        query = {"api-version": api_version}
        return _body(what, self._send(what, "POST", path, query, body, **options))

    def start(
        self, what: str, path: str, api_version: str, body: Json, *, repeatable: bool = True
    ) -> Iterator[str]:
        """POST `path` and follow the operation to its end; yields its state before each wait.

        Polls the newest Location or Azure-AsyncOperation as given, waiting as its Retry-After asks
        (Azure Resource Manager's asynchronous operations). `repeatable`: starting it twice does
        what starting it once does; else a start whose answer is lost is not made again.
        """
        options = {} if repeatable else {"retry_total": 0}
        response = self._send(what, "POST", path, {"api-version": api_version}, body, **options)
        link = ""
        while response.status_code == 202 or (link and _state(what, response) not in ENDED):
            headers = response.headers
            link = headers.get("Azure-AsyncOperation") or headers.get("Location") or link
            if not link:
                raise AzureFailed(
                    f"{what}: Azure accepted the operation but not where to follow it."
                )
            yield "Running"
            time.sleep(_pause(headers.get("Retry-After")))
            response = self._send(what, "GET", link, {})
        state = _state(what, response)
        if state in ("Failed", "Canceled"):
            code, message = error_text(response.text())
            raise AzureFailed(f"{what}: {message or code or state}")
        yield "Succeeded"

    def _json(self, what: str, method: str, path: str, query: Mapping[str, str]) -> Json:
        return _body(what, self._send(what, method, path, query))

    def _send(
        self,
        what: str,
        method: str,
        url: str,
        query: Mapping[str, str],
        body: Json | None = None,
        **options: Any,
    ) -> Any:
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest

        with explained(what):
            # Addresses of running operations come absolute, at times of a regional host.
            address = self._endpoint + url if url.startswith("/") else url
            absolute = address.startswith(("https://", self._endpoint))
            if not absolute or led_to(self._endpoint, address) is None:
                raise AzureFailed(f"{what}: Azure gives an address that can't be used.")
            request = HttpRequest(method, address, params=dict(query), json=body)
            response = self._client.send_request(request, **options)
            if response.status_code >= 400:
                raise HttpResponseError(response=response)
            return response


def _state(what: str, response: Any) -> str:
    """The state that a long-running operation's answer tells; an answer without one is its end."""
    return str(_body(what, response).get("status") or "Succeeded")


def _pause(retry_after: str | None) -> float:
    """Seconds until the next look at an operation."""
    asked = float(retry_after) if retry_after and retry_after.isdigit() else 2.0
    return min(asked, LONGEST_WAIT)


def _body(what: str, response: Any) -> Json:
    body = response.text()
    try:
        return whole(what, json.loads(body) if body.strip() else {})
    except (ValueError, RecursionError):
        raise AzureFailed(f"{what}: Azure answered with something other than JSON.") from None


@contextmanager
def explained(what: str) -> Iterator[None]:
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
