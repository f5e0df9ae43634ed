"""Credentials for a registry, and the challenges that it sends (WWW-Authenticate)."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from azext_otelembed.registry.scope import Scope


@dataclass(frozen=True, slots=True)
class Anonymous:
    """No credential: public repositories only."""


@dataclass(frozen=True, slots=True)
class Basic:
    """A user name and password: an admin user, a repository-scoped token, a Docker Hub login."""

    user: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """The Authorization header."""
        pair = f"{self.user}:{self.password}".encode()
        return "Basic " + base64.b64encode(pair).decode()


@dataclass(frozen=True, slots=True)
class AcrExchange:
    """An Azure identity, for an Azure container registry, which exchanges its token.

    `token` returns a token of the registries' audience, or raises `Unauthorized`. Where it does, or
    the registry refuses that token, the token of `fallback` (for ARM) is exchanged instead.
    """

    token: Callable[[], str]
    tenant: str | None = None
    fallback: Callable[[], str] | None = None


Credential = Anonymous | Basic | AcrExchange


@dataclass(frozen=True, slots=True)
class Challenge:
    """One WWW-Authenticate challenge; `parameters` by lower-case name."""

    scheme: str
    parameters: Mapping[str, str]

    @property
    def scopes(self) -> tuple[Scope, ...]:
        """The scopes that the challenge names."""
        found = (Scope.parse(text) for text in self.parameters.get("scope", "").split())
        return tuple(scope for scope in found if scope)


# `\s*,?\s*` would take n² steps on n spaces.
_SCHEME = re.compile(r"\s*(?:,\s*)?([A-Za-z][A-Za-z0-9._-]*)(?=\s+[A-Za-z0-9_-]+\s*=|\s*$|\s*,)")
_PARAMETER = re.compile(
    r"""\s*(?:,\s*)?([A-Za-z0-9_-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))"""
)


def challenges(header: str) -> list[Challenge]:
    """The challenges in a WWW-Authenticate header (RFC 9110, 11.6.1) up to an invalid one."""
    found: list[Challenge] = []
    position = 0
    while scheme := _SCHEME.match(header, position):
        position = scheme.end()
        parameters: dict[str, str] = {}
        while parameter := _PARAMETER.match(header, position):
            position = parameter.end()
            quoted, bare = parameter.group(2), parameter.group(3)
            value = bare if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
            parameters[parameter.group(1).lower()] = value
        found.append(Challenge(scheme.group(1).lower(), parameters))
    return found
