"""Calls to Azure Resource Manager: the pipeline, its errors in words, long-running operations.

The pipeline leaves out azure-core's trace policies: az swaps in one that logs whole bodies with
`--debug`, and the bodies here hold app settings.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from azext_otelembed.azure.arm_errors import azure_errors, error_text
from azext_otelembed.azure.arm_json import Json, parts, text, whole
from azext_otelembed.errors import AzureFailed
from azext_otelembed.urls import resolve_safe

if TYPE_CHECKING:
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

        with azure_errors(what):
            # Addresses of running operations come absolute, at times of a regional host.
            address = self._endpoint + url if url.startswith("/") else url
            absolute = address.startswith(("https://", self._endpoint))
            if not absolute or resolve_safe(self._endpoint, address) is None:
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
