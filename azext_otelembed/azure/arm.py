"""Calls to Azure Resource Manager: the pipeline, JSON requests, long-running operations.

The pipeline has none of azure-core's trace policies: az replaces them by one that logs whole bodies
with `--debug`, and the bodies here hold app settings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote

from azext_otelembed.azure.arm_errors import error_text, translate_errors
from azext_otelembed.azure.arm_json import (
    AGAIN,
    Json,
    parse_object,
    required_objects_at,
    text_at,
)
from azext_otelembed.azure.arm_policies import ArmAddressPolicy, BodyPolicy
from azext_otelembed.azure.session import Session
from azext_otelembed.errors import AzureFailed
from azext_otelembed.http_transport import GuardedTransport
from azext_otelembed.registry.http_headers import retry_after_seconds

SUBSCRIPTIONS_API = "2022-12-01"
MAX_RETRY_AFTER = 60.0
"""Seconds. ARM can ask for more than five minutes; above this limit the request fails instead."""
MAX_RETRIES = 300.0
"""Seconds after which a request isn't repeated any more."""
MAX_PAGES = 1000
"""Pages of one list; Azure's have up to 1000 entries each."""

_SUCCESSES = (200, 201, 202, 204)
_ENDED = ("Succeeded", "Failed", "Canceled")
_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"})


def retry_policy(attempts: int = 4) -> Any:
    """azure-core's retry policy, limited to `MAX_RETRY_AFTER`, for every method.

    Requests here are idempotent: reads (some of them by POST) and full replacements. The others
    are sent with the option `retry_total=0`.
    """
    from azure.core.pipeline import policies

    class BoundedRetry(policies.RetryPolicy[Any, Any]):
        def configure_retries(self, options: dict[str, Any]) -> dict[str, Any]:
            options.setdefault("retry_on_methods", _METHODS)
            return dict(super().configure_retries(options))

        def get_retry_after(self, response: Any) -> float | None:
            # azure-core's own fails on a value that is neither a number nor a date.
            return retry_after_seconds(response.http_response.headers.get("Retry-After"))

        def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
            # Where the time of the command doesn't suffice, the response tells more than its end.
            longest = min(MAX_RETRY_AFTER, response.context.transport.deadline.remaining)
            bounded = (self.get_retry_after(response) or 0) <= longest
            return bounded and bool(super().is_retry(settings, response))

    return BoundedRetry(
        retry_total=attempts,
        retry_backoff_factor=0.4,
        retry_backoff_max=20,
        timeout=MAX_RETRIES,
    )


def user_agent_policy(session: Session) -> Any:
    """The User-Agent header of the session."""
    from azure.core.pipeline.policies import UserAgentPolicy

    return UserAgentPolicy(user_agent=session.user_agent, user_agent_overwrite=True)


def pipeline_policies(session: Session) -> list[Any]:
    """The policies of the pipelines of `Arm` and of azure-mgmt-web's client.

    `SensitiveHeaderCleanupPolicy` isn't one of them: it would remove the token from a redirect to
    a regional host, and `ArmAddressPolicy` refuses all other hosts.
    """
    from azure.core.pipeline import policies
    from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

    return [
        policies.RequestIdPolicy(),
        policies.HeadersPolicy(),
        user_agent_policy(session),
        policies.RedirectPolicy(),
        policies.CustomHookPolicy(),
        retry_policy(),
        session.clock.policy(),
        ArmAddressPolicy(session.arm_endpoint),
        ARMChallengeAuthenticationPolicy(session.bounded_credential, session.arm_scope),
        BodyPolicy(),
    ]


def make_transport(session: Session) -> GuardedTransport:
    """The transport, with timeouts of 20 s to connect and 60 s to read."""
    options = {"connection_timeout": 20, "read_timeout": 60, **session.transport}
    return GuardedTransport(session.deadline, **options)


def add_page(what: str, address: str, visited: set[str]) -> None:
    """Adds the address of the next page of a list to those that were read.

    Raises `AzureFailed` for a page that was read already, and for more than `MAX_PAGES`.
    """
    if address in visited:
        raise AzureFailed(f"{what}: Azure answers with the same page again.", AGAIN)
    visited.add(address)
    if len(visited) > MAX_PAGES:
        raise AzureFailed(f"{what}: Azure answers with more than {MAX_PAGES} pages.")


class Arm:
    """JSON requests to Azure Resource Manager, where azure-mgmt-web has no operation."""

    def __init__(self, session: Session) -> None:
        from azure.mgmt.core import ARMPipelineClient

        self.caller = session.caller
        self._endpoint = session.arm_endpoint
        self.secrets = session.secrets
        self._deadline = session.deadline
        self._client: Any = ARMPipelineClient(
            base_url=session.arm_endpoint,
            policies=pipeline_policies(session),
            transport=make_transport(session),
        )

    def get(self, what: str, path: str, api_version: str, **query: str) -> Json:
        """GET `path`. `what` is named in errors, such as "registry 'shop'".

        Paths are ARM ids, with any characters. They and the values of `query` are percent-encoded
        here.
        """
        return self._get(what, quote(path), {"api-version": api_version, **query})

    def get_all(self, what: str, path: str, api_version: str, **query: str) -> list[Json]:
        """GET a collection, following its nextLink. A page without `value` is an error."""
        page = self.get(what, path, api_version, **query)
        found = required_objects_at(what, page, "value")
        visited = {path}
        while page.get("nextLink") not in (None, ""):
            link = text_at(what, page, "nextLink")
            add_page(what, link, visited)
            page = self._get(what, link, {})
            found += required_objects_at(what, page, "value")
        return found

    def subscriptions(self) -> dict[str, str]:
        """The names of the subscriptions that the caller may read, by id."""
        what = "Subscriptions"
        listed = self.get_all(what, "/subscriptions", SUBSCRIPTIONS_API)
        return {text_at(what, one, "subscriptionId"): str(one.get("displayName")) for one in listed}

    def post(
        self, what: str, path: str, api_version: str, body: Json | None, *, idempotent: bool = True
    ) -> Json:
        """POST `path` and return the response, empty without one. `idempotent` as in `start`."""
        query = {"api-version": api_version}
        response = self._send(what, "POST", quote(path), query, body, idempotent=idempotent)
        return parse_object(what, response.content) if response.content else {}

    def start(
        self, what: str, path: str, api_version: str, body: Json, *, idempotent: bool = True
    ) -> Iterator[str]:
        """POST `path` and poll the operation to its end; yields its state before each wait.

        Polls the newest Azure-AsyncOperation or Location, after the response's Retry-After (Azure
        Resource Manager's asynchronous operations). A request that isn't `idempotent` is not
        repeated when its response is lost.
        """
        query = {"api-version": api_version}
        response = self._send(what, "POST", quote(path), query, body, idempotent=idempotent)
        link = ""
        while response.status_code == 202 or (link and _state(what, response) not in _ENDED):
            headers = response.headers
            link = headers.get("Azure-AsyncOperation") or headers.get("Location") or link
            if not link:
                raise AzureFailed(
                    f"{what}: Azure accepted the operation and gave no address to poll."
                )
            yield "Running"
            asked = retry_after_seconds(headers.get("Retry-After"))
            pause = None if asked is None else min(asked, MAX_RETRY_AFTER)
            self._deadline.poll(pause, f"'{what}' was done")
            response = self._send(what, "GET", link, {})
        if (state := _state(what, response)) in ("Failed", "Canceled"):
            code, message = error_text(response.text())
            raise AzureFailed(f"{what}: {self.secrets.brief(message or code or state)}")
        yield "Succeeded"

    def _get(self, what: str, url: str, query: Mapping[str, str]) -> Json:
        return parse_object(what, self._send(what, "GET", url, query).content)

    def _send(
        self,
        what: str,
        method: str,
        url: str,
        query: Mapping[str, str],
        body: Json | None = None,
        *,
        idempotent: bool = True,
    ) -> Any:
        from azure.core.exceptions import HttpResponseError
        from azure.core.rest import HttpRequest

        with translate_errors(what, self.secrets):
            # The addresses of running operations are absolute, some of them on a regional host.
            address = self._endpoint + url if url.startswith("/") else url
            # azure-core joins them as they are.
            params = {name: quote(value, safe="") for name, value in query.items()}
            request = HttpRequest(method, address, params=params, json=body)
            options = {} if idempotent else {"retry_total": 0}
            try:
                response = self._client.send_request(request, **options)
            except ValueError:
                raise AzureFailed(
                    f"{what}: Azure answered with an invalid address.", AGAIN
                ) from None
            # A redirect of a POST isn't followed, and a partial body isn't the resource.
            if response.status_code not in _SUCCESSES:
                raise HttpResponseError(response=response)
            return response


def _state(what: str, response: Any) -> str:
    """The state of a long-running operation.

    A resource in its place means that the operation has ended (Azure Resource Manager's
    asynchronous operations); so does any other response than 202 to the start itself.
    """
    polled = response.request.method == "GET"
    if not polled and not response.content:
        return "Succeeded"
    body = parse_object(what, response.content)
    if "status" in body or (polled and "id" not in body):
        return text_at(what, body, "status")
    return "Succeeded"
