"""A registry's tokens: the exchange, the token endpoint, and the check of a request's credentials.

Lifetimes and claims are those of ACR's tokens: 3 hours for a refresh token, 60 minutes for an
access token, `iat` and `nbf` 15 minutes in the past. Other registries' tokens live 5 minutes.
"""

from __future__ import annotations

import base64
import binascii
import time
import uuid
from collections.abc import Mapping
from typing import Any

import jwt
from starlette.requests import Request
from starlette.responses import Response

from localazure.aad.metadata import ARM_AUDIENCE
from localazure.aad.tokens import Claims
from localazure.acr import access
from localazure.acr.access import Caller
from localazure.acr.registry_responses import RegistryResponses, Scope
from localazure.double import Double
from localazure.state import Registry

TOKEN_USER = "00000000-0000-0000-0000-000000000000"
"""The user name for a refresh token as the password."""
_SKEW = 900
_REFRESH, _ACCESS, _PLAIN = 10800, 3600, 300


class RefusedError(Exception):
    """Invalid credentials: 401 without a token."""


class Auth:
    """Tokens of one registry."""

    def __init__(self, double: Double, registry: Registry) -> None:
        self._double = double
        self._registry = registry

    async def exchange(self, request: Request, responses: RegistryResponses) -> Response:
        """POST /oauth2/exchange: an Entra token for a refresh token, if its owner has any right."""
        form = {k: str(v) for k, v in (await request.form()).items()}
        if form.get("service") != self._registry.login_server:
            return responses.error(400, "UNSUPPORTED", "service parameter is not this registry")
        if form.get("grant_type") not in ("access_token", "access_token_refresh_token"):
            return responses.error(400, "UNSUPPORTED", "grant_type is not supported")
        audiences = [self._registry.audience]
        if self._registry.arm_tokens:
            audiences += [ARM_AUDIENCE, self._double.management]
        claims = self._double.tokens.check(f"Bearer {form.get('access_token', '')}", audiences)
        if not isinstance(claims, Claims):
            # The code and message that pulls fail with (MicrosoftDocs/azure-docs#128528).
            return responses.error(401, "UNAUTHORIZED", "token validation failed")
        if not access.rights(self._double.state, self._registry, claims.object_id):
            return responses.challenge()
        extra = {"grant_type": "access_token", "appid": claims.client_id, "tenant": claims.tenant}
        permissions = {"Actions": ["read", "write", "delete"], "NotActions": None}
        token = self._sign(claims.object_id, _REFRESH, {**extra, "permissions": permissions})
        return responses.token({"refresh_token": token})

    async def token(self, request: Request, responses: RegistryResponses) -> Response:
        """The token endpoint: POST a refresh token or nothing (anonymous), or GET with Basic."""
        form = {k: str(v) for k, v in (await request.form()).items()}
        given = form if request.method == "POST" else request.query_params
        scopes = [
            scope
            for text in (await request.form()).getlist("scope")
            + request.query_params.getlist("scope")
            for scope in parse_scopes(str(text))
        ]
        try:
            caller = self._caller(given, request.headers.get("authorization"))
        except RefusedError:
            return responses.challenge()
        rights = access.rights(self._double.state, self._registry, caller)
        granted = [
            scope for scope in (_allowed(scope, rights) for scope in scopes) if scope.actions
        ]
        if not granted and (scopes or caller is None) and self._registry.acr:
            return responses.challenge(scopes, insufficient=True)
        subject = caller[0] if isinstance(caller, tuple) else caller or ""
        return responses.token(self._access(subject, granted))

    def allowed(self, request: Request, wanted: Scope) -> bool | None:
        """Whether a request's credentials cover a scope; None without valid credentials."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            caller = self._basic(value)
            if caller is None:
                return None
            rights = access.rights(self._double.state, self._registry, caller)
            return set(_allowed(wanted, rights).actions) == set(wanted.actions)
        if scheme.lower() != "bearer":
            return None
        try:
            claims = self._double.tokens.read(value, audience=self._registry.login_server)
        except jwt.InvalidTokenError:
            return None
        if "access" not in claims:
            return None
        granted = [{k.lower(): v for k, v in entry.items()} for entry in claims["access"]]
        return all(
            any(
                entry["type"] == wanted.type
                and entry["name"] == wanted.name
                and (action in entry["actions"] or "*" in entry["actions"])
                for entry in granted
            )
            for action in wanted.actions
        )

    def _caller(self, given: Mapping[str, str], authorization: str | None) -> Caller:
        """The caller that requests a token. Raises RefusedError for wrong credentials."""
        scheme, _, value = (authorization or "").partition(" ")
        if scheme.lower() == "basic":
            caller = self._basic(value)
        elif given.get("refresh_token"):
            caller = self._refreshed(given["refresh_token"])
        elif given.get("username"):
            caller = self._user(given["username"], given.get("password", ""))
        else:
            return None
        if caller is None:
            raise RefusedError
        return caller

    def _basic(self, value: str) -> Caller:
        try:
            user, _, password = base64.b64decode(value, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        return self._user(user, password)

    def _user(self, user: str, password: str) -> Caller:
        if user == TOKEN_USER and self._registry.acr:
            return self._refreshed(password)
        found = access.known(self._double.state, self._registry, user, password)
        return (user, password) if found else None

    def _refreshed(self, token: str) -> str | None:
        try:
            claims = self._double.tokens.read(token, audience=self._registry.login_server)
        except jwt.InvalidTokenError:
            return None
        return str(claims["sub"]) if "permissions" in claims else None

    def _access(self, subject: str, granted: list[Scope]) -> dict[str, Any]:
        if self._registry.acr:
            entries = [
                {"Type": s.type, "Name": s.name, "Actions": list(s.actions)} for s in granted
            ]
            claims = {"access": entries, "roles": [], "grant_type": "refresh_token"}
            return {"access_token": self._sign(subject, _ACCESS, claims)}
        entries = [{"type": s.type, "name": s.name, "actions": list(s.actions)} for s in granted]
        token = self._sign(subject, _PLAIN, {"access": entries})
        return {"token": token, "access_token": token, "expires_in": _PLAIN}

    def _sign(self, subject: str, lifetime: int, claims: dict[str, Any]) -> str:
        now = int(time.time())
        return self._double.tokens.sign(
            {
                "jti": str(uuid.uuid4()),
                "sub": subject,
                "nbf": now - _SKEW,
                "exp": now + (self._double.tokens.lifetime or lifetime),
                "iat": now - _SKEW,
                "iss": "Azure Container Registry" if self._registry.acr else "auth.hub.localhost",
                "aud": self._registry.login_server,
                "version": "1.0",
                "rid": uuid.uuid5(uuid.NAMESPACE_DNS, self._registry.name).hex,
                **claims,
            }
        )


def parse_scopes(text: str) -> list[Scope]:
    """`repository:a/b:pull,push registry:catalog:*` as scopes; malformed ones are left out."""
    parts = [scope.split(":") for scope in text.split()]
    return [
        Scope(part[0], ":".join(part[1:-1]), tuple(part[-1].split(",")))
        for part in parts
        if len(part) >= 3
    ]


def _allowed(scope: Scope, rights: frozenset[str]) -> Scope:
    """A scope, limited to these rights."""
    if scope.type == "registry":
        covered = scope.actions if "catalog" in rights else ()
    else:
        wanted = access.ALL if "*" in scope.actions else scope.actions
        covered = tuple(action for action in wanted if action in rights)
    return Scope(scope.type, scope.name, covered)
