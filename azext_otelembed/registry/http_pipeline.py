"""One registry's HTTP: an azure-core pipeline with the policies of `policies`, and its answers."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any
from urllib.parse import urlsplit

import requests
from azure.core.exceptions import AzureError
from azure.core.pipeline import Pipeline
from azure.core.pipeline.transport import RequestsTransport
from azure.core.rest import HttpRequest, HttpResponse

from azext_otelembed._version import __version__
from azext_otelembed.errors import RegistryFailed
from azext_otelembed.log_redaction import no_http_logs
from azext_otelembed.registry import policies
from azext_otelembed.registry.auth import Credential
from azext_otelembed.registry.error_responses import cause
from azext_otelembed.registry.policies import BODY, TERMS, Patience, Terms
from azext_otelembed.registry.slow_body_guard import SlowBodyGuard
from azext_otelembed.registry.tokens import Tokens
from azext_otelembed.urls import origin, resolve_safe


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer. `body` is whole, or empty where it was asked for as a stream.

    `by_registry` is False where a redirect led to another host, such as blob storage.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    by_registry: bool
    _response: HttpResponse = field(repr=False)
    _slowest: float = 120.0
    """Seconds that a block of 64 KiB may take."""

    def chunks(self) -> Generator[bytes, None, None]:
        """The body as it comes. Raises `CutShort` when it breaks off."""
        reason = ""
        chunks = self._response.iter_raw()
        guard = SlowBodyGuard(self._response, self._slowest)
        try:
            while True:
                # A generator gives control away between chunks, and with it the thread: only the
                # reading itself is quieted.
                try:
                    with no_http_logs(), guard.reading():
                        chunk = next(chunks, b"")
                except AzureError as error:
                    reason = cause(error)
                    break
                if guard.late:  # cut, which may look like the end
                    break
                if not chunk:
                    return
                yield chunk
        finally:
            guard.close()
            self._response.close()
        raise CutShort("it comes too slowly" if guard.late else reason)


class CutShort(RegistryFailed):
    """A body broke off; the rest can be asked for."""


class HttpPipeline:
    """Sends requests to one registry. Threads may share it."""

    def __init__(
        self,
        host: str,
        credential: Credential,
        *,
        origin: str,
        patience: Patience,
        transport: Mapping[str, Any],
    ) -> None:
        self.host = host
        self.origin = origin
        self._slowest = 2 * patience.read
        self.tokens = Tokens(host, origin, credential, self._ask_for_token)
        chain: list[policies.Policy] = [
            policies.Redirect(host),
            policies.Retry(host, patience),
            policies.Authenticate(origin, self.tokens),
            policies.Read(host, patience.total),
        ]
        self._session = _Session()
        options = {
            "connection_timeout": patience.connect,
            "read_timeout": patience.read,
            "connection_data_block_size": 1 << 16,
            **transport,
            "session": self._session,
            "session_owner": False,
        }
        self._pipeline: Pipeline[HttpRequest, HttpResponse] = Pipeline(
            RequestsTransport(**options), chain
        )

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(
        self,
        method: str,
        url: str,
        terms: Terms,
        *,
        headers: Mapping[str, str] | None = None,
        content: bytes | None = None,
        form: Mapping[str, Any] | None = None,
    ) -> Answer:
        """Send a request and return whatever comes back; `url` may be relative to the registry."""
        address = resolve_safe(self.origin, url)
        if address is None:
            raise RegistryFailed(
                f"Registry '{self.host}' gives no address that can be used for {terms.what}."
            )
        request = HttpRequest(
            method,
            address,
            headers={
                "User-Agent": f"otelembed/{__version__}",
                # Content is checked by its digest, which covers the bytes as they are stored.
                "Accept-Encoding": "identity",
                **(headers or {}),
            },
            content=content,
            data=dict(form) if form is not None else None,
        )
        if content is None and form is None and method in ("POST", "PUT", "PATCH"):
            request.headers["Content-Length"] = "0"
        run: Callable[..., Any] = self._pipeline.run
        response = run(request, stream=True, **{TERMS: terms})
        http = response.http_response
        return Answer(
            status=http.status_code,
            headers=http.headers,
            body=response.context.get(BODY, b""),
            by_registry=origin(http.request.url) == origin(self.origin),
            _response=http,
            _slowest=self._slowest,
        )

    def _ask_for_token(
        self, method: str, url: str, *, headers: Mapping[str, str], form: Mapping[str, Any] | None
    ) -> Answer:
        terms = Terms(f"a token ({urlsplit(url).path})")
        return self.send(method, url, terms, headers=headers, form=form)


class _Session(requests.Session):
    """A session that keeps no cookies and takes no password from ~/.netrc over our token."""

    def __init__(self) -> None:
        super().__init__()
        self.auth = lambda request: request
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))

    def get_redirect_target(self, resp: requests.Response) -> str | None:
        """Nowhere: `Redirect` follows. Requests would look ahead and raise what it likes."""
        return None
