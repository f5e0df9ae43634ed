"""A site's Kudu: its logs as a zip, as a list and as a stream.

Callers authenticate with the publishing user's name and password, if the site's policy allows it,
or with a token for App Service or ARM.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import datetime, timezone

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from localazure.aad.tokens import Problem
from localazure.arm import access, site_json
from localazure.arm.instances import zipped
from localazure.arm.sitecontainers import containers
from localazure.arm.web_config import policy_key
from localazure.double import Double
from localazure.state import Site

Handler = Callable[[Request], Awaitable[Response]]
AUDIENCES = (
    "https://appservice.azure.com",
    "https://management.core.windows.net",
    "https://management.azure.com",
)
ACTION = "Microsoft.Web/sites/publish/Action"
_DOCKER_LOG = re.compile(r"\d{4}_\d\d_\d\d_(?P<machine>.+?)_(default_)?docker\.log$")
POLL = 0.3
"""Seconds between two reads of the log while it is streamed."""


def make(double: Double, site: Site) -> ASGIApp:
    """The Kudu of a site or slot."""
    kudu = _Kudu(double, site)
    handlers: dict[str, Handler] = {
        "/": kudu.home,
        "/dump": kudu.dump,
        "/api/dump": kudu.dump,
        "/api/logs/docker": kudu.docker_logs,
        "/api/logs/docker/zip": kudu.dump,
        "/api/vfs/LogFiles/{name:path}": kudu.log_file,
        "/api/sitecontainers": kudu.containers,
        "/api/sitecontainers/": kudu.containers,
        "/api/sitecontainers/{name}/logs": kudu.container_log,
        "/logstream": kudu.stream,
        "/logstream/{provider:path}": kudu.stream,
        "/api/logstream": kudu.stream,
    }
    return Starlette(routes=[Route(path, kudu.checked(each)) for path, each in handlers.items()])


class _Kudu:
    def __init__(self, double: Double, site: Site) -> None:
        self._double = double
        self._site = site

    def checked(self, handler: Handler) -> Handler:
        """`handler`, for callers that may publish."""

        async def answer(request: Request) -> Response:
            return self._refused(request) or await handler(request)

        return answer

    def _refused(self, request: Request) -> Response | None:
        header = request.headers.get("authorization", "")
        if header.lower().startswith("basic "):
            return None if self._password_fits(header[6:]) else _unauthorized()
        claims = self._double.tokens.check(header, AUDIENCES)
        if isinstance(claims, Problem):
            return _unauthorized()
        need = access.Demand(ACTION, self._site.resource_id)
        if not access.allowed(self._double.state, claims.object_id, need):
            return Response("Forbidden", 403)
        return None

    def _password_fits(self, encoded: str) -> bool:
        policy = self._site.documents.get(policy_key("scm"), {"allow": True})
        try:
            user, _, password = base64.b64decode(encoded).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        expected = site_json.publishing_user(self._site), self._site.publishing_password
        return bool(policy["allow"]) and (user, password) == expected

    async def home(self, _request: Request) -> Response:
        return Response("Kudu", media_type="text/html")

    async def dump(self, _request: Request) -> Response:
        files = {
            f"LogFiles/{name}": data
            for name, data in self._double.runtime.log_files(self._site).items()
        }
        name = f"{self._site.name}-{datetime.now(timezone.utc):%Y%m%d%H%M%S}.zip"
        headers = {"content-disposition": f"attachment; filename={name}"}
        return Response(zipped(files), media_type="application/zip", headers=headers)

    async def docker_logs(self, request: Request) -> Response:
        files = self._double.runtime.log_files(self._site)
        now = datetime.now(timezone.utc).isoformat()
        found = ((_DOCKER_LOG.search(name), name, data) for name, data in files.items())
        body = [
            {
                "machineName": match["machine"],
                "lastUpdated": now,
                "size": len(data),
                "href": f"{request.base_url}api/vfs/LogFiles/{name}",
                "path": f"/home/LogFiles/{name}",
            }
            for match, name, data in found
            if match
        ]
        return _json(body)

    async def log_file(self, request: Request) -> Response:
        data = self._double.runtime.log_files(self._site).get(request.path_params["name"])
        if data is None:
            return Response("Not found", 404)
        return Response(data, media_type="text/plain")

    async def containers(self, _request: Request) -> Response:
        state = "Running" if self._site.state == "Running" else "Stopped"
        return _json([{"name": name, "status": state} for name in containers(self._site)])

    async def container_log(self, request: Request) -> Response:
        if request.path_params["name"].lower() not in containers(self._site):
            return Response("Not found", 404)
        return Response(self._double.runtime.log(self._site), media_type="text/plain")

    async def stream(self, request: Request) -> Response:
        return StreamingResponse(self._lines(request), media_type="text/plain")

    async def _lines(self, request: Request) -> AsyncIterator[bytes]:
        now = datetime.now(timezone.utc)
        welcome = "Welcome, you are now connected to log-streaming service."
        yield f"{now:%Y-%m-%dT%H:%M:%S}  {welcome}\r\n".encode()
        sent = 0
        while not await request.is_disconnected():
            text = self._double.runtime.log(self._site)
            if len(text) < sent:
                sent = 0
            if text[sent:]:
                yield text[sent:].replace("\n", "\r\n").encode()
                sent = len(text)
            await asyncio.sleep(POLL)


def _unauthorized() -> Response:
    return Response("", 401, {"www-authenticate": 'Basic realm="site"'})


def _json(body: object) -> Response:
    return Response(json.dumps(body), media_type="application/json")
