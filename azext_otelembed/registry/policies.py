"""The pipeline's policies: redirects without credentials, retries, tokens, reading with a limit.

From the outside in: `Redirect`, `Retry`, `Authenticate`, `Read`, transport. azure-core's own are
not used: its trace policy logs headers, its redirect policy works on the request's headers as they
are, and its retry policy doesn't see a body that breaks off.
"""

from __future__ import annotations

import logging
import random
import time
from dataclasses import dataclass
from enum import Enum
from typing import Any
from urllib.parse import urlsplit

from azure.core.exceptions import AzureError
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import HTTPPolicy
from azure.core.rest import HttpRequest, HttpResponse

from azext_otelembed.errors import RegistryFailed
from azext_otelembed.log_redaction import no_http_logs
from azext_otelembed.registry.error_responses import (
    TIMED_OUT,
    cause,
    is_final,
    never_sent,
    unreachable,
)
from azext_otelembed.registry.http_dates import timestamp
from azext_otelembed.registry.scope import Scope
from azext_otelembed.registry.slow_body_guard import SlowBodyGuard
from azext_otelembed.registry.tokens import Tokens
from azext_otelembed.urls import origin, resolve_safe

_LOG = logging.getLogger(__name__)

Request = PipelineRequest[HttpRequest]
Response = PipelineResponse[HttpRequest, HttpResponse]
Policy = HTTPPolicy[HttpRequest, HttpResponse]

BODY = "otelembed.body"
TERMS = "otelembed.terms"


class Repeat(Enum):
    """When a request may be sent again by itself."""

    ALWAYS = "always"
    """Sending it twice does what sending it once does."""
    UNTOUCHED = "untouched"
    """Only where the registry can't have acted on it: refused connections and 429."""


@dataclass(frozen=True, slots=True)
class Terms:
    """How one request is to be sent. `what` names its object in errors.

    `scopes` are the rights that it takes (none: no token is sent). `limit` is the most bytes of
    body that are read; with `stream` the body of a 200 or 206 is left to the caller.
    """

    what: str
    scopes: tuple[Scope, ...] = ()
    limit: int = 1 << 20
    stream: bool = False
    repeat: Repeat = Repeat.ALWAYS


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to go on with a registry that throttles or fails. Times in seconds.

    `total` bounds what one call spends on repeating itself; a Retry-After past `longest` or past
    what is left of it ends the call.
    """

    attempts: int = 5
    first_pause: float = 0.4
    longest: float = 60.0
    total: float = 150.0
    connect: float = 20.0
    read: float = 60.0


_REDIRECTS = (301, 302, 303, 307, 308)
_PASSING = (408, 429, 500, 502, 503, 504)


class Redirect(Policy):
    """Follows redirects of reads. What authorizes at one origin isn't taken along to another.

    `Authenticate` adds the registry's token where it belongs, by the new address.
    """

    def __init__(self, host: str) -> None:
        super().__init__()
        self._host = host

    def send(self, request: Request) -> Response:
        """Send, and follow where the answer leads."""
        request.context[TERMS] = request.context.options.pop(TERMS)
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
                    f"Registry '{self._host}' redirects {_terms(request).what} to an address "
                    "that isn't https."
                )
            if origin(target) != origin(http.url):
                http.headers.pop("Authorization", None)
            http.url = target
        raise RegistryFailed(
            f"Registry '{self._host}' redirects {_terms(request).what} in circles."
        )


class Retry(Policy):
    """Sends again what failed in passing, honouring Retry-After, within `Patience`."""

    def __init__(self, host: str, patience: Patience) -> None:
        super().__init__()
        self._host = host
        self._patience = patience

    def send(self, request: Request) -> Response:
        """Send until an answer is worth passing on. Raises `RegistryFailed` when none comes."""
        terms = _terms(request)
        started = time.monotonic()
        attempt = 0
        while True:
            attempt += 1
            failed: AzureError | None = None
            pause: float | None = None
            try:
                response = self.next.send(request)
            except AzureError as error:
                failed, reason = error, cause(error)
                repeatable = terms.repeat is Repeat.ALWAYS or never_sent(error)
                # A host behind a firewall that drops everything won't answer a third time either.
                silent = never_sent(error) and reason == TIMED_OUT and attempt > 1
                if repeatable and not silent and not is_final(error):
                    pause = self._pause(attempt, None)
            else:
                status = response.http_response.status_code
                again = _PASSING if terms.repeat is Repeat.ALWAYS else (429,)
                if status not in again:
                    return response
                pause = self._pause(attempt, response.http_response.headers.get("Retry-After"))
            spent = time.monotonic() - started
            last = attempt >= self._patience.attempts
            if pause is None or last or spent + pause > self._patience.total:
                if failed is None:
                    return response
                # Not from within the handler: the cause's text holds the whole address.
                raise unreachable(self._host, terms.what, reason, attempt)
            _LOG.debug("Again in %.1f s: %s of registry %s", pause, terms.what, self._host)
            time.sleep(pause)

    def _pause(self, attempt: int, retry_after: str | None) -> float | None:
        asked = seconds_of(retry_after)
        if asked is not None:
            return asked if asked <= self._patience.longest else None
        pause: float = self._patience.first_pause * 2 ** (attempt - 1)
        return min(pause, self._patience.longest) * random.uniform(0.8, 1.2)  # noqa: S311


class Authenticate(Policy):
    """Sends the registry's token to the registry alone, and another one after a 401."""

    def __init__(self, registry: str, tokens: Tokens) -> None:
        super().__init__()
        self._registry = origin(registry)
        self._tokens = tokens

    def send(self, request: Request) -> Response:
        """Send with the right token, or with none."""
        http = request.http_request
        needed = _terms(request).scopes
        if not needed:
            return self.next.send(request)
        http.headers.pop("Authorization", None)
        if origin(http.url) != self._registry:
            return self.next.send(request)
        header = self._tokens.header(needed)
        if header:
            http.headers["Authorization"] = header
        response = self.next.send(request)
        if response.http_response.status_code != 401:
            return response
        challenge = response.http_response.headers.get("WWW-Authenticate") or ""
        another = self._tokens.after_refusal(needed, header, challenge)
        if another is None:
            return response
        http.headers["Authorization"] = another
        return self.next.send(request)


class Read(Policy):
    """Reads bodies inside the retries, so that one which breaks off is asked for again."""

    def __init__(self, host: str, longest: float) -> None:
        super().__init__()
        self._host = host
        self._longest = longest

    def send(self, request: Request) -> Response:
        """Send and read the body, unless it was asked for as a stream."""
        terms = _terms(request)
        started = time.monotonic()
        with no_http_logs():
            response = self.next.send(request)
            http = response.http_response
            if not (terms.stream and http.status_code in (200, 206)):
                response.context[BODY] = self._body(request, http, terms)
        url = urlsplit(request.http_request.url)
        took = (time.monotonic() - started) * 1000
        _LOG.debug(
            # The query is left out: it may carry a signature.
            "%s %s%s: HTTP %d in %.0f ms",
            request.http_request.method,
            url.netloc,
            url.path,
            http.status_code,
            took,
        )
        return response

    def _body(self, request: Request, http: HttpResponse, terms: Terms) -> bytes:
        if request.http_request.method == "HEAD":
            http.close()
            return b""
        guard = SlowBodyGuard(http, self._longest)
        try:
            with guard.reading():
                body = self._whole(http, terms)
            if not guard.late:
                return body
        except AzureError:
            if not guard.late:
                raise
        finally:
            guard.close()
        raise RegistryFailed(
            f"Registry '{self._host}' took longer than {self._longest:.0f} seconds to send "
            f"{terms.what}.",
            "Check the network, then run the same command again.",
        )

    def _whole(self, http: HttpResponse, terms: Terms) -> bytes:
        body = bytearray()
        for chunk in http.iter_raw():
            body += chunk
            if len(body) > terms.limit:
                http.close()
                if http.status_code >= 300:
                    break
                raise RegistryFailed(
                    f"Registry '{self._host}' sends more than {terms.limit} bytes for {terms.what}."
                )
        return bytes(body)


def _terms(request: Request) -> Terms:
    terms: Any = request.context[TERMS]
    assert isinstance(terms, Terms)  # noqa: S101  # `HttpPipeline.send` puts it there
    return terms


def seconds_of(retry_after: str | None) -> float | None:
    """Retry-After in seconds, whether it is a number or a date (RFC 9110, 10.2.3)."""
    if not retry_after:
        return None
    try:
        return max(0.0, float(retry_after))
    except ValueError:
        pass
    at = timestamp(retry_after)
    return None if at is None else max(0.0, at - time.time())
