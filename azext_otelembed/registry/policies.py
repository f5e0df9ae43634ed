"""The pipeline's policies: redirects, retries, authentication, and bounded reading of bodies.

From the outside in: `RedirectPolicy`, `RetryPolicy`, `AuthenticationPolicy`, `BodyPolicy`,
transport. azure-core's own policies are not used: its trace policy logs headers, its redirect
policy keeps the request's headers, and its retry policy doesn't see an incomplete body.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import HTTPPolicy
from azure.core.rest import HttpRequest, HttpResponse

from azext_otelembed.connection_errors import TIMED_OUT, cause, is_permanent, never_sent
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import RegistryFailed
from azext_otelembed.log_redaction import no_http_logs
from azext_otelembed.registry.error_responses import unreachable
from azext_otelembed.registry.http_headers import retry_after_seconds
from azext_otelembed.registry.response import SlowBodyGuard
from azext_otelembed.registry.response_body import BodyTooLongError, raw_chunks
from azext_otelembed.registry.scope import Scope
from azext_otelembed.registry.tokens import Tokens
from azext_otelembed.urls import origin, resolve_safe

_LOG = logging.getLogger(__name__)

Request = PipelineRequest[HttpRequest]
Response = PipelineResponse[HttpRequest, HttpResponse]
Policy = HTTPPolicy[HttpRequest, HttpResponse]

BODY = "otelembed.body"
OPTIONS = "otelembed.options"


@dataclass(frozen=True, slots=True)
class RequestOptions:
    """How one request is sent. `what` names its object in errors.

    `scopes` are the rights that it needs (none: no token is sent). `body_limit` is the maximum size
    of the body in bytes; with `stream` the body of a 200 or 206 is left to the caller. A request
    that isn't `idempotent` is sent again only when the registry can't have processed it: after a
    refused connection or HTTP 429.
    """

    what: str
    scopes: tuple[Scope, ...] = ()
    body_limit: int = 1 << 20
    stream: bool = False
    idempotent: bool = True


@dataclass(frozen=True, slots=True)
class RetryOptions:
    """Retries and timeouts for a registry that throttles or fails. Times in seconds.

    `max_total` bounds the retries of one request; a Retry-After above `max_delay` or above the rest
    of `max_total` ends them.
    """

    attempts: int = 5
    first_delay: float = 0.4
    max_delay: float = 60.0
    max_total: float = 150.0
    connect_timeout: float = 20.0
    read_timeout: float = 60.0

    def delay(self, attempt: int) -> float:
        """The delay after attempt number `attempt`, counted from 1."""
        return float(min(self.first_delay * 2 ** (attempt - 1), self.max_delay))


_REDIRECTS = (301, 302, 303, 307, 308)
_TRANSIENT = (408, 429, 500, 502, 503, 504)


class RedirectPolicy(Policy):
    """Follows redirects of reads, without the Authorization header where the origin changes.

    `AuthenticationPolicy` adds the registry's token again where the new address is the registry's.
    """

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host

    def send(self, request: Request) -> Response:
        """Send the request and follow redirects."""
        request.context[OPTIONS] = request.context.options.pop(OPTIONS)
        http = request.http_request
        for _ in range(6):
            response = self.next.send(request)
            location = response.http_response.headers.get("Location")
            redirected = response.http_response.status_code in _REDIRECTS
            if not (redirected and location and http.method in ("GET", "HEAD")):
                return response
            target = resolve_safe(http.url, location)
            if target is None:
                raise RegistryFailed(
                    f"Registry '{self._host}' redirects {_options(request).what} to an address "
                    "that isn't https."
                )
            if origin(target) != origin(http.url):
                http.headers.pop("Authorization", None)
            http.url = target
        raise RegistryFailed(
            f"Registry '{self._host}' redirects {_options(request).what} more than 5 times."
        )


class RetryPolicy(Policy):
    """Repeats requests after transient failures; honours Retry-After within `RetryOptions`."""

    def __init__(self, host: str, retry: RetryOptions, deadline: Deadline) -> None:
        super().__init__()
        self._host = host
        self._retry = retry
        self._deadline = deadline

    def send(self, request: Request) -> Response:
        """Send the request, with retries. Raises `RegistryFailed` when no response comes."""
        options = _options(request)
        started = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            failure: AzureError | None = None
            delay: float | None = None
            try:
                response = self.next.send(request)
            except AzureError as error:
                failure, reason = error, cause(error)
                repeatable = options.idempotent or never_sent(error)
                # A firewall that drops packets will drop those of a third attempt as well.
                dropped = never_sent(error) and reason == TIMED_OUT and attempt > 1
                if repeatable and not dropped and not is_permanent(error):
                    delay = self._delay(attempt, None)
            else:
                status = response.http_response.status_code
                if status not in (_TRANSIENT if options.idempotent else (429,)):
                    return response
                delay = self._delay(attempt, response.http_response.headers.get("Retry-After"))
            left = self._retry.max_total - (time.monotonic() - started)
            last = attempt >= self._retry.attempts
            if delay is None or last or delay > min(left, self._deadline.remaining):
                if failure is None:
                    return response
                # Raised outside the handler: the exception's message holds the whole address.
                raise unreachable(self._host, options.what, reason, attempt)
            _LOG.debug("Retry in %.1f s: %s of registry %s", delay, options.what, self._host)
            self._deadline.sleep(delay, f"{options.what} could be requested again")

    def _delay(self, attempt: int, retry_after: str | None) -> float | None:
        asked = retry_after_seconds(retry_after)
        pause = self._retry.delay(attempt) * random.uniform(0.8, 1.2)  # noqa: S311
        if asked is not None:
            return max(asked, pause) if asked <= self._retry.max_delay else None
        return pause


class AuthenticationPolicy(Policy):
    """Sends the registry's token to the registry only, and a new token after a 401."""

    def __init__(self, registry: str, tokens: Tokens) -> None:
        super().__init__()
        self._registry = origin(registry)
        self._tokens = tokens

    def send(self, request: Request) -> Response:
        """Send the request with a token for its scopes, or without one."""
        http = request.http_request
        scopes = _options(request).scopes
        if not scopes:
            return self.next.send(request)
        http.headers.pop("Authorization", None)
        if origin(http.url) != self._registry:
            return self.next.send(request)
        header = self._tokens.header(scopes)
        if header:
            http.headers["Authorization"] = header
        response = self.next.send(request)
        if response.http_response.status_code != 401:
            return response
        challenge = response.http_response.headers.get("WWW-Authenticate") or ""
        renewed = self._tokens.renew(scopes, header, challenge)
        if renewed is None:
            return response
        http.headers["Authorization"] = renewed
        return self.next.send(request)


class BodyPolicy(Policy):
    """Reads bodies inside the retries, so that a request with an incomplete body is repeated."""

    def __init__(self, host: str, max_seconds: float) -> None:
        super().__init__()
        self._host = host
        self._max_seconds = max_seconds

    def send(self, request: Request) -> Response:
        """Send the request and read the body, unless the caller streams it."""
        options = _options(request)
        started = time.monotonic()
        with no_http_logs():
            response = self.next.send(request)
            http = response.http_response
            if not (options.stream and http.status_code in (200, 206)):
                response.context[BODY] = self._body(request, http, options)
        url = urlsplit(request.http_request.url)
        took = (time.monotonic() - started) * 1000
        # Without the query, which may hold a signature, and without a user's password.
        host = url.netloc.rpartition("@")[2]
        sent = f"{request.http_request.method} {host}{url.path}"
        _LOG.debug("%s: HTTP %d in %.0f ms", sent, http.status_code, took)
        return response

    def _body(self, request: Request, http: HttpResponse, options: RequestOptions) -> bytes:
        if request.http_request.method == "HEAD":
            http.close()
            return b""
        guard = SlowBodyGuard(http, self._max_seconds)
        body = bytearray()
        try:
            with guard.reading():
                for chunk in raw_chunks(http):
                    body += chunk
                    if len(body) > options.body_limit:
                        http.close()
                        break
        except AzureError:
            if not guard.expired:
                raise
        except BodyTooLongError:
            raise RegistryFailed(
                f"Registry '{self._host}' sends more bytes for {options.what} than it announces."
            ) from None
        finally:
            guard.close()
        if guard.expired:
            raise RegistryFailed(
                f"Registry '{self._host}' took longer than {self._max_seconds:.0f} seconds to send "
                f"{options.what}.",
                "Check the network, then run the same command again.",
            )
        if len(body) > options.body_limit and http.status_code < 300:
            raise RegistryFailed(
                f"Registry '{self._host}' sends more than {options.body_limit} bytes for "
                f"{options.what}."
            )
        return bytes(body)


def _options(request: Request) -> RequestOptions:
    options: Any = request.context[OPTIONS]
    assert isinstance(options, RequestOptions)  # noqa: S101  # set by `HttpPipeline.send`
    return options
