"""Responses of a registry: the headers of recordings, and the distribution spec's errors."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

JSON = "application/json; charset=utf-8"
_EXPOSED = ("Docker-Content-Digest", "WWW-Authenticate", "Link", "X-Ms-Correlation-Request-Id")
_HSTS = "max-age=31536000; includeSubDomains"
_VISIT = "authentication required, visit https://aka.ms/acr/authorization for more information."


class Refused(Exception):
    """An error response that a handler raises."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


@dataclass(frozen=True, slots=True)
class Scope:
    """A resource, and the actions on it: `repository:shop:pull,push`."""

    type: str
    name: str
    actions: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.type}:{self.name}:{','.join(self.actions)}"


class RegistryResponses:
    """Makes the responses of one registry to one request."""

    def __init__(self, login: str, acr: bool, request: Request) -> None:
        self._login = login
        self._acr = acr
        self._request = request

    def plain(
        self,
        status: int,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        content_type: str | None = None,
    ) -> Response:
        """A response with these bytes; HEAD gets only their length."""
        kind = {"content-type": content_type} if content_type else {}
        silent = self._request.method == "HEAD"
        length = {"content-length": str(len(body))} if body or not silent else {}
        response = Response(b"" if silent else body, status, {**length, **(headers or {}), **kind})
        self._adorn(response)
        return response

    def json(
        self, body: Any, status: int = 200, headers: Mapping[str, str] | None = None
    ) -> Response:
        """A JSON response; it ends with a newline."""
        data = json.dumps(body, separators=(",", ":")).encode() + b"\n"
        return self.plain(status, headers, data, JSON)

    def error(self, status: int, code: str, message: str, detail: Any = ...) -> Response:
        """The distribution spec's error body; `detail` is left out by default."""
        error = {"code": code, "message": message}
        return self.json(
            {"errors": [error if detail is ... else {**error, "detail": detail}]}, status
        )

    def challenge(self, scopes: Iterable[Scope] = (), *, insufficient: bool = False) -> Response:
        """401 with the address of the token endpoint and the scopes."""
        wanted = list(scopes)
        path = "/oauth2/token" if self._acr else "/token"
        value = f'Bearer realm="https://{self._login}{path}",service="{self.service}"'
        if wanted:
            value += f',scope="{" ".join(map(str, wanted))}"'
        if insufficient:
            value += ',error="insufficient_scope"'
        keys = ("Type", "Name", "Action") if self._acr else ("Type", "Class", "Name")
        detail = [
            dict(zip(keys, (s.type, s.name, action), strict=True))
            for s in wanted
            for action in s.actions
        ]
        response = self.error(401, "UNAUTHORIZED", self._required(), detail or None)
        response.headers["www-authenticate"] = value
        return response

    def token(self, body: dict[str, Any]) -> Response:
        """A response of the token endpoints, which has fewer headers."""
        headers = {
            "content-type": JSON,
            "server": "openresty",
            "strict-transport-security": _HSTS,
            "x-ms-correlation-request-id": str(uuid.uuid4()),
            "x-ms-ratelimit-remaining-calls-per-second": "166.65",
        }
        return Response(
            json.dumps(body).encode(), 200, headers if self._acr else {"content-type": JSON}
        )

    @property
    def service(self) -> str:
        """The name of this registry in challenges and in the audience of tokens."""
        return self._login

    def _required(self) -> str:
        return _VISIT if self._acr else "authentication required"

    def _adorn(self, response: Response) -> None:
        response.headers["docker-distribution-api-version"] = "registry/2.0"
        if not self._acr:
            return
        echoed = self._request.headers.get("x-ms-client-request-id", "")
        once = {
            "server": "openresty",
            "x-content-type-options": "nosniff",
            "x-ms-correlation-request-id": str(uuid.uuid4()),
            "x-ms-request-id": str(uuid.uuid4()),
            "x-ms-client-request-id": echoed,
        }
        for name, value in once.items():
            response.headers[name] = value
        for value in _EXPOSED:
            response.headers.append("access-control-expose-headers", value)
        for _ in range(2):
            response.headers.append("strict-transport-security", _HSTS)
