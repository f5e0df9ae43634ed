"""The tokens that a registry gives out.

Any registry answers 401 with a Bearer challenge that names its token server (Docker Registry v2
token authentication); an Azure container registry takes an Azure token instead, exchanged at
`/oauth2/exchange` and `/oauth2/token`, and there nothing has to be refused first.
"""

from __future__ import annotations

import base64
import math
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from azext_otelembed.errors import RegistryFailed, Unauthorized
from azext_otelembed.registry.auth import AcrExchange, Basic, Challenge, Credential, challenges
from azext_otelembed.registry.http_dates import timestamp
from azext_otelembed.registry.response_json import fields
from azext_otelembed.registry.scope import Scope, covers, in_words, merged
from azext_otelembed.urls import resolve_safe

_TOKEN_USER = "00000000-0000-0000-0000-000000000000"  # noqa: S105  # a name, no secret
"""The user name that goes with a registry's refresh token as password."""
UNTOLD_LIFETIME = 60.0
"""Seconds that a token is good for when nothing says so (Docker's token specification)."""


class TokenAnswer(Protocol):
    """What `Tokens` reads of an answer."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers, by name in any case."""

    @property
    def body(self) -> bytes:
        """The whole body."""


class Ask(Protocol):
    """Sends a request for a token, with retries, and returns whatever the server says."""

    def __call__(
        self, method: str, url: str, *, headers: Mapping[str, str], form: Mapping[str, Any] | None
    ) -> TokenAnswer:
        """`form` is sent as application/x-www-form-urlencoded."""


def lifetime(token: str, answer: Mapping[str, Any], date: str | None) -> float:
    """Seconds that a token is still good for, with a margin taken off.

    `expires_in` says it; where it is missing, as in ACR's answers, the `exp` of the JWT does,
    counted from the server's own Date (ACR dates `iat` 15 minutes back, so `exp - iat` misleads).
    """
    seconds = UNTOLD_LIFETIME
    told, expires = _number(answer.get("expires_in")), _number(_claims(token).get("exp"))
    if told is not None and told > 0:
        seconds = told
    elif expires is not None:
        now = timestamp(date)
        seconds = expires - (time.time() if now is None else now)
    return seconds - min(60.0, seconds / 10)


def _claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified (they only tell when to ask for the next one)."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except ValueError:
        return {}
    return fields(claims) or {}


def _number(value: object) -> float | None:
    try:
        number = float(value) if isinstance(value, int | float) else math.nan
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


@dataclass(frozen=True, slots=True)
class _Token:
    header: str = field(repr=False)
    scopes: tuple[Scope, ...]
    until: float

    @property
    def good(self) -> bool:
        return time.monotonic() < self.until


class _RefusedError(Exception):
    """A token server says no. `status` is its answer's, `wait` the seconds that it asks for."""

    def __init__(self, answer: TokenAnswer) -> None:
        super().__init__(answer.status)
        self.status = answer.status
        self.wait = answer.headers.get("Retry-After")

    @property
    def final(self) -> bool:
        """Whether asking for fewer rights can't help."""
        return self.status == 429 or self.status >= 500


class Tokens:
    """The tokens of one registry. Threads share it and wait for each other's tokens."""

    def __init__(self, host: str, origin: str, credential: Credential, ask: Ask) -> None:
        self._host = host
        self._origin = origin
        self._credential = credential
        self._ask = ask
        self._lock = threading.RLock()
        self._held: list[_Token] = []
        self._expected: tuple[Scope, ...] = ()
        self._challenge: Challenge | None = None
        self._refresh: _Token | None = None

    def expect(self, scopes: tuple[Scope, ...]) -> None:
        """Ask for these rights too with the next token: one then serves what is to come."""
        with self._lock:
            self._expected = merged((*self._expected, *scopes))

    def header(self, needed: tuple[Scope, ...]) -> str | None:
        """The Authorization header for a call; None to go without and see what is asked for."""
        with self._lock:
            self._held = [token for token in self._held if token.good]
            for token in self._held:
                if covers(token.scopes, needed):
                    return token.header
            if isinstance(self._credential, AcrExchange) or self._challenge:
                return self._new(needed)
            return None

    def login(self) -> Basic:
        """User and password for another program, as `docker login` takes them.

        For an Azure identity that is a refresh token of the registry's, good for 3 hours (the user
        name is fixed: see `az acr login --expose-token`). Raises `Unauthorized`.
        """
        if isinstance(self._credential, Basic):
            return self._credential
        if not isinstance(self._credential, AcrExchange):
            raise Unauthorized(
                f"Nobody is logged in to registry '{self._host}'.", "Log in with `az login`."
            )
        with self._lock:
            try:
                return Basic(_TOKEN_USER, self._refresh_token(self._credential))
            except _RefusedError as refusal:
                raise self._no_token((), refusal) from None

    def after_refusal(
        self, needed: tuple[Scope, ...], refused: str | None, challenge_header: str
    ) -> str | None:
        """Another Authorization header after a 401, or None where there is none to be had."""
        with self._lock:
            if refused is not None:
                others = [token for token in self._held if token.header != refused]
                if len(others) == len(self._held):
                    # Another thread's call was refused before this one and has replaced it.
                    for token in others:
                        if token.good and covers(token.scopes, needed):
                            return token.header
                self._held = others
                # The rights hoped for are not all granted, or the sign-in itself was withdrawn.
                self._expected = ()
                self._refresh = None
            for challenge in challenges(challenge_header):
                if challenge.scheme == "basic" and isinstance(self._credential, Basic):
                    header = self._credential.header
                    self._held.append(_Token(header, needed, time.monotonic() + 3600))
                    return None if header == refused else header
                if challenge.scheme == "bearer":
                    self._challenge = challenge
                    return self._new(merged((*needed, *challenge.scopes)))
            return None

    def _new(self, needed: tuple[Scope, ...]) -> str:
        hoped = merged((*needed, *self._expected))
        try:
            token = self._fetch(hoped)
        except _RefusedError as refusal:
            if hoped == needed or refusal.final:
                raise self._no_token(needed, refusal) from None
            self._expected = ()
            token = self._fetch_or_fail(needed)
        self._held.append(token)
        return token.header

    def _fetch_or_fail(self, needed: tuple[Scope, ...]) -> _Token:
        try:
            return self._fetch(needed)
        except _RefusedError as refusal:
            raise self._no_token(needed, refusal) from None

    def _no_token(
        self, needed: tuple[Scope, ...], refusal: _RefusedError
    ) -> Unauthorized | RegistryFailed:
        rights, status = in_words(needed) or "a login", refusal.status
        if status in (400, 401, 403):
            return Unauthorized(
                f"Registry '{self._host}' gives no token for {rights} (HTTP {status}).",
                "Ask for a role on the registry that holds it, such as AcrPull or AcrPush "
                "(Container Registry Repository Writer where the registry uses repository "
                "permissions), or check the user name and password given.",
            )
        return RegistryFailed(
            f"The token server of registry '{self._host}' answered HTTP {status} for {rights}.",
            "Run the same command again"
            + (f" in {refusal.wait} seconds." if refusal.wait else "."),
            status=status,
        )

    def _fetch(self, scopes: tuple[Scope, ...]) -> _Token:
        if isinstance(self._credential, AcrExchange):
            return self._from_acr(self._credential, scopes)
        return self._from_challenge(scopes)

    def _from_challenge(self, scopes: tuple[Scope, ...]) -> _Token:
        asked = self._challenge.parameters if self._challenge else {}
        realm = asked.get("realm", "")
        if resolve_safe(self._origin, realm) is None or not urlsplit(realm).scheme:
            raise RegistryFailed(
                f"Registry '{self._host}' names a token server that can't be used safely: "
                f"'{realm.partition('?')[0]}'."
            )
        query = [("service", asked["service"])] if "service" in asked else []
        query += [("scope", str(scope)) for scope in scopes]
        headers = {}
        if isinstance(self._credential, Basic):
            headers["Authorization"] = self._credential.header
        joint = "&" if "?" in realm else "?"
        url = f"{realm}{joint}{urlencode(query)}"
        return self._token(self._ask("GET", url, headers=headers, form=None), scopes)

    def _from_acr(self, credential: AcrExchange, scopes: tuple[Scope, ...]) -> _Token:
        form = {
            "grant_type": "refresh_token",
            "service": self._service,
            "scope": [str(scope) for scope in scopes],
            "refresh_token": self._refresh_token(credential),
        }
        answer = self._ask("POST", f"{self._origin}/oauth2/token", headers={}, form=form)
        return self._token(answer, scopes)

    def _refresh_token(self, credential: AcrExchange) -> str:
        if self._refresh is None or not self._refresh.good:
            self._refresh = self._exchanged(credential)
        return self._refresh.header

    def _exchanged(self, credential: AcrExchange) -> _Token:
        form = {
            "grant_type": "access_token",
            "service": self._service,
            "access_token": credential.arm_token(),
        }
        if credential.tenant:
            form["tenant"] = credential.tenant
        answer = self._ask("POST", f"{self._origin}/oauth2/exchange", headers={}, form=form)
        if answer.status in (400, 401, 403):
            raise Unauthorized(
                f"Registry '{self._host}' doesn't accept the Azure sign-in "
                f"(HTTP {answer.status} on exchanging its token).",
                "Check that you are logged in to the registry's tenant (`az account show`) and "
                "hold a role on the registry, such as AcrPush.",
            )
        if answer.status == 404:
            raise RegistryFailed(
                f"'{self._host}' isn't an Azure container registry: it can't exchange an Azure "
                "token.",
                "Check the registry's name.",
                status=404,
            )
        if answer.status != 200:
            raise _RefusedError(answer)
        body = self._parsed(answer)
        value = self._value(body, "refresh_token")
        return self._made(value, value, (), body, answer)

    @property
    def _service(self) -> str:
        """The registry's own name for itself: it is its host."""
        if self._challenge and "service" in self._challenge.parameters:
            return self._challenge.parameters["service"]
        return self._host

    def _token(self, answer: TokenAnswer, scopes: tuple[Scope, ...]) -> _Token:
        if answer.status != 200:
            raise _RefusedError(answer)
        body = self._parsed(answer)
        value = self._value(body, "token" if body.get("token") else "access_token")
        return self._made(value, f"Bearer {value}", scopes, body, answer)

    def _value(self, body: Mapping[str, Any], name: str) -> str:
        value = body.get(name)
        if not isinstance(value, str) or not re.fullmatch("[!-~]+", value):
            raise RegistryFailed(
                f"The token server of registry '{self._host}' answered without a token."
            )
        return value

    def _made(
        self,
        value: str,
        header: str,
        scopes: tuple[Scope, ...],
        body: Mapping[str, Any],
        answer: TokenAnswer,
    ) -> _Token:
        seconds = lifetime(value, body, answer.headers.get("Date"))
        return _Token(header, scopes, time.monotonic() + seconds)

    def _parsed(self, answer: TokenAnswer) -> dict[str, Any]:
        body = fields(answer.body)
        if body is None:
            raise RegistryFailed(
                f"The token server of registry '{self._host}' answered with something other "
                "than a JSON object."
            )
        return body
