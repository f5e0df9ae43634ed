"""One registry's HTTP: an azure-core pipeline with the policies of `policies`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from azure.core.pipeline import Pipeline
from azure.core.rest import HttpRequest

from azext_otelembed._version import __version__
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import RegistryFailed
from azext_otelembed.http_session import PlainSession
from azext_otelembed.http_transport import GuardedTransport
from azext_otelembed.redaction import Secrets
from azext_otelembed.registry import policies
from azext_otelembed.registry.auth import Credential
from azext_otelembed.registry.policies import BODY, OPTIONS, RequestOptions, RetryOptions
from azext_otelembed.registry.response import RegistryResponse
from azext_otelembed.registry.tokens import Tokens
from azext_otelembed.urls import origin, resolve_safe


class HttpPipeline:
    """Sends requests to one registry. Threads may share it."""

    def __init__(
        self,
        host: str,
        credential: Credential,
        *,
        origin: str,
        retry: RetryOptions,
        transport: Mapping[str, Any],
        secrets: Secrets,
        deadline: Deadline,
    ) -> None:
        self.host = host
        self.origin = origin
        self._chunk_seconds = 2 * retry.read_timeout
        self.tokens = Tokens(host, origin, credential, self._send_token_request, secrets)
        chain: list[policies.Policy] = [
            policies.RedirectPolicy(host),
            policies.RetryPolicy(host, retry, deadline),
            policies.AuthenticationPolicy(origin, self.tokens),
            policies.BodyPolicy(host, retry.max_total),
        ]
        self._session = PlainSession()
        options = {
            "connection_timeout": retry.connect_timeout,
            "read_timeout": retry.read_timeout,
            "connection_data_block_size": 1 << 16,
            **transport,
            "session": self._session,
            "session_owner": False,
        }
        self._pipeline: Any = Pipeline(GuardedTransport(deadline, **options), chain)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(
        self,
        method: str,
        url: str,
        options: RequestOptions,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        form: dict[str, Any] | None = None,
    ) -> RegistryResponse:
        """Send a request; any status is returned. `url` may be relative to the registry."""
        address = resolve_safe(self.origin, url)
        if address is None:
            raise RegistryFailed(
                f"Registry '{self.host}' sends an invalid address for {options.what}."
            )
        request = HttpRequest(
            method,
            address,
            headers={
                "User-Agent": f"otelembed/{__version__}",
                # A digest covers the stored bytes, so they must come without another encoding.
                "Accept-Encoding": "identity",
                **(headers or {}),
            },
            content=content,
            data=form,
        )
        if content is None and form is None and method in ("POST", "PUT", "PATCH"):
            request.headers["Content-Length"] = "0"
        response = self._pipeline.run(request, stream=True, **{OPTIONS: options})
        http = response.http_response
        return RegistryResponse(
            status=http.status_code,
            headers=http.headers,
            body=response.context.get(BODY, b""),
            by_registry=origin(http.request.url) == origin(self.origin),
            _response=http,
            _chunk_seconds=self._chunk_seconds,
        )

    def _send_token_request(
        self, url: str, headers: Mapping[str, str], form: dict[str, Any] | None
    ) -> RegistryResponse:
        options = RequestOptions(f"a token ({urlsplit(url).path})")
        return self.send("POST" if form else "GET", url, options, headers, form=form)
