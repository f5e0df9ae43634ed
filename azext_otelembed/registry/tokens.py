"""Access tokens of a registry, requested and cached.

A registry responds 401 with a Bearer challenge that names its token server (Docker Registry v2
token authentication). An Azure container registry exchanges an Azure token at `/oauth2/exchange`
and `/oauth2/token`, without a challenge.
"""

from __future__ import annotations

import base64
import math
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urlsplit

from azext_otelembed.errors import RegistryFailed, Unauthorized
from azext_otelembed.redaction import Secrets
from azext_otelembed.registry.auth import AcrExchange, Basic, Challenge, Credential, challenges
from azext_otelembed.registry.http_headers import retry_after_seconds, timestamp
from azext_otelembed.registry.response import RegistryResponse
from azext_otelembed.registry.response_json import parse_object
from azext_otelembed.registry.scope import Scope, covers, describe, merged
from azext_otelembed.urls import resolve_safe

_TOKEN_USER = "00000000-0000-0000-0000-000000000000"  # noqa: S105  # a fixed user name
"""The user name that goes with a registry's refresh token as password."""
DEFAULT_LIFETIME = 60.0
"""Seconds, for a token without `expires_in` and `exp` (Docker's token specification)."""

_REFUSED = (400, 401, 403)
"""Statuses of a token that is not accepted."""

SendTokenRequest = Callable[[str, Mapping[str, str], dict[str, Any] | None], RegistryResponse]
"""Sends a token request (address, headers and form; GET without a form), with retries."""


def lifetime(token: str, response: Mapping[str, Any], date: str | None) -> float:
    """Seconds until a token expires, less a margin.

    Read from `expires_in`; where it is missing, as in ACR's responses, from the JWT's `exp` and the
    server's Date (ACR sets `iat` 15 minutes back, so `exp - iat` is too long).
    """
    seconds = DEFAULT_LIFETIME
    expires_in, expires_at = _number(response.get("expires_in")), _number(_claims(token).get("exp"))
    if expires_in is not None and expires_in > 0:
        seconds = expires_in
    elif expires_at is not None:
        now = timestamp(date)
        seconds = expires_at - (time.time() if now is None else now)
    return seconds - min(60.0, seconds / 10)


def _claims(token: str) -> dict[str, Any]:
    """The claims of a JWT, unverified (they only set the time of the next request)."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))
    except ValueError:
        return {}
    return parse_object(claims) or {}


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
    expires_at: float

    @property
    def valid(self) -> bool:
        return time.monotonic() < self.expires_at


class _TokenRefusedError(Exception):
    """A token server refused."""

    def __init__(self, response: RegistryResponse) -> None:
        super().__init__(response.status)
        self.status = response.status
        self.retry_after = retry_after_seconds(response.headers.get("Retry-After"))


class Tokens:
    """The tokens of one registry. Threads may share it; only one requests a token at a time.

    Each token, and the password, is added to `secrets`.
    """

    def __init__(
        self,
        host: str,
        origin: str,
        credential: Credential,
        send: SendTokenRequest,
        secrets: Secrets,
    ) -> None:
        self._host = host
        self._origin = origin
        self._credential = credential
        self._send = send
        self._secrets = secrets
        if isinstance(credential, Basic):
            secrets.add(credential.password)
        self._lock = threading.RLock()
        self._cached: list[_Token] = []
        self._declared: tuple[Scope, ...] = ()
        self._challenge: Challenge | None = None
        self._refresh: _Token | None = None
        self.fell_back = False
        """Whether the token of `AcrExchange.fallback` was exchanged."""

    def declare(self, scopes: tuple[Scope, ...]) -> None:
        """Include these scopes in the next token request."""
        with self._lock:
            self._declared = merged((*self._declared, *scopes))

    def header(self, needed: tuple[Scope, ...]) -> str | None:
        """The Authorization header for a request; None until the registry has sent a challenge."""
        with self._lock:
            self._cached = [token for token in self._cached if token.valid]
            for token in self._cached:
                if covers(token.scopes, needed):
                    return token.header
            if isinstance(self._credential, AcrExchange) or self._challenge:
                return self._request_token(needed)
            return None

    def login(self) -> Basic:
        """User and password in the form that `docker login` takes.

        For an Azure identity the password is a refresh token of the registry, valid for 3 hours
        (with a fixed user name: see `az acr login --expose-token`). Raises `Unauthorized`.
        """
        if isinstance(self._credential, Basic):
            return self._credential
        if not isinstance(self._credential, AcrExchange):
            raise Unauthorized(
                f"There is no login for registry '{self._host}'.", "Log in with `az login`."
            )
        with self._lock:
            try:
                return Basic(_TOKEN_USER, self._refresh_token(self._credential))
            except _TokenRefusedError as refusal:
                raise self._refusal((), refusal) from None

    def renew(
        self, needed: tuple[Scope, ...], refused: str | None, challenge_header: str
    ) -> str | None:
        """A new Authorization header after a 401; None where the credential can't give one."""
        with self._lock:
            if refused is not None:
                others = [token for token in self._cached if token.header != refused]
                if len(others) == len(self._cached):
                    # Another thread has replaced the refused token already.
                    for token in others:
                        if token.valid and covers(token.scopes, needed):
                            return token.header
                self._cached = others
                # The declared scopes aren't all granted, or the refresh token was revoked.
                self._declared = ()
                self._refresh = None
            for challenge in challenges(challenge_header):
                if challenge.scheme == "basic" and isinstance(self._credential, Basic):
                    header = self._credential.header
                    self._cached.append(_Token(header, needed, time.monotonic() + 3600))
                    return None if header == refused else header
                if challenge.scheme == "bearer":
                    self._challenge = challenge
                    return self._request_token(merged((*needed, *challenge.scopes)))
            return None

    def _request_token(self, needed: tuple[Scope, ...]) -> str:
        wider = merged((*needed, *self._declared))
        try:
            if isinstance(self._credential, AcrExchange):
                token = self._from_acr(self._credential, wider)
            else:
                token = self._from_challenge(wider)
        except _TokenRefusedError as refusal:
            # Fewer scopes may be granted, but don't help against throttling or a failure.
            if wider == merged(needed) or refusal.status == 429 or refusal.status >= 500:
                raise self._refusal(needed, refusal) from None
            self._declared = ()
            return self._request_token(needed)
        self._cached.append(token)
        return token.header

    def _refusal(
        self, needed: tuple[Scope, ...], refusal: _TokenRefusedError
    ) -> Unauthorized | RegistryFailed:
        rights, status = describe(needed) or "a login", refusal.status
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
            + (f" in {refusal.retry_after:.0f} seconds." if refusal.retry_after else "."),
            status=status,
        )

    def _from_challenge(self, scopes: tuple[Scope, ...]) -> _Token:
        parameters = self._challenge.parameters if self._challenge else {}
        realm = parameters.get("realm", "")
        if resolve_safe(self._origin, realm) is None or not urlsplit(realm).scheme:
            raise RegistryFailed(
                f"Registry '{self._host}' names a token server whose address isn't safe: "
                f"'{self._secrets.brief(realm.partition('?')[0])}'."
            )
        query = [("service", parameters["service"])] if "service" in parameters else []
        query += [("scope", str(scope)) for scope in scopes]
        basic = self._credential if isinstance(self._credential, Basic) else None
        headers = {"Authorization": basic.header} if basic else {}
        url = f"{realm}{'&' if '?' in realm else '?'}{urlencode(query)}"
        return self._token(self._send(url, headers, None), scopes)

    def _from_acr(self, credential: AcrExchange, scopes: tuple[Scope, ...]) -> _Token:
        form = {
            "grant_type": "refresh_token",
            "service": self._service,
            "scope": [str(scope) for scope in scopes],
            "refresh_token": self._refresh_token(credential),
        }
        return self._token(self._send(f"{self._origin}/oauth2/token", {}, form), scopes)

    def _refresh_token(self, credential: AcrExchange) -> str:
        if self._refresh is None or not self._refresh.valid:
            self._refresh = self._exchanged(credential)
        return self._refresh.header

    def _exchanged(self, credential: AcrExchange) -> _Token:
        """A refresh token for `credential.token`'s token or, if that fails, `fallback`'s."""
        fallback, missing = credential.fallback, None
        try:
            response = self._exchange(credential.token(), credential.tenant)
            self.fell_back = fallback is not None and response.status in _REFUSED
        except Unauthorized as error:
            if fallback is None:
                raise
            missing, self.fell_back = error, True
        if self.fell_back and fallback is not None:
            response = self._exchange(fallback(), credential.tenant)
        if response.status in _REFUSED:
            raise self._sign_in_refused(response.status, missing)
        if response.status == 404:
            raise RegistryFailed(
                f"'{self._host}' isn't an Azure container registry: it can't exchange an Azure "
                "token.",
                "Check the registry's name.",
                status=404,
            )
        return self._token(response, (), "refresh_token")

    def _exchange(self, token: str, tenant: str | None) -> RegistryResponse:
        form = {"grant_type": "access_token", "service": self._service, "access_token": token}
        if tenant:
            form["tenant"] = tenant
        return self._send(f"{self._origin}/oauth2/exchange", {}, form)

    def _sign_in_refused(self, status: int, missing: Unauthorized | None) -> Unauthorized:
        """`missing` is the reason why there was no token of the registries' audience."""
        message = (
            f"Registry '{self._host}' doesn't accept the Azure sign-in (HTTP {status} on "
            "exchanging its token"
        )
        if missing is not None:
            return Unauthorized(
                f"{message} for Azure Resource Manager). {missing.message}", missing.recommendation
            )
        return Unauthorized(
            f"{message}).",
            "Check that you are logged in to the registry's tenant (`az account show`) and hold a "
            "role on the registry, such as AcrPush.",
        )

    @property
    def _service(self) -> str:
        """The service name of the registry: by default its host."""
        parameters = self._challenge.parameters if self._challenge else {}
        return parameters.get("service", self._host)

    def _token(
        self, response: RegistryResponse, scopes: tuple[Scope, ...], name: str = ""
    ) -> _Token:
        """The token under `name`, or else the access token, of a token server's response."""
        if response.status != 200:
            raise _TokenRefusedError(response)
        body = parse_object(response.body)
        if body is None:
            raise RegistryFailed(
                f"The token server of registry '{self._host}' sent a response that isn't a JSON "
                "object."
            )
        value = body.get(name or ("token" if body.get("token") else "access_token"))
        if not isinstance(value, str) or not re.fullmatch("[!-~]+", value):
            raise RegistryFailed(
                f"The token server of registry '{self._host}' answered without a token."
            )
        self._secrets.add(value)
        seconds = lifetime(value, body, response.headers.get("Date"))
        header = value if name else f"Bearer {value}"
        return _Token(header, scopes, time.monotonic() + seconds)
