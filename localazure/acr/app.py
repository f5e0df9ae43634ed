"""A registry's routes, and the token scope that each one requires."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from localazure.acr import attributes, distribution
from localazure.acr.auth import Auth
from localazure.acr.call import Call
from localazure.acr.registry_responses import Refused, RegistryResponses
from localazure.acr.registry_responses import Scope as Wanted
from localazure.acr.uploads import Uploads
from localazure.double import Double
from localazure.state import Registry

Handler = Callable[[Call], Awaitable[Response]]
_NAME = re.compile(
    r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
)


@dataclass(frozen=True, slots=True)
class Route:
    """`actions` are those of the challenge; a token must contain the last of them."""

    methods: str
    pattern: re.Pattern[str]
    actions: tuple[str, ...]
    handler: Handler
    acr: bool = False
    """Only Azure's registries have it."""


def _route(methods: str, path: str, actions: str, handler: Handler) -> Route:
    # ACR's operations begin with `_`, and no repository does. Other paths accept any name here,
    # so that an invalid one gets NAME_INVALID.
    name = "(?P<name>[^_/]+(?:/[^_/][^/]*)*)" if path.startswith("/acr/") else "(?P<name>.+)"
    pattern = path.replace("{name}", name).replace("{ref}", "(?P<ref>[^/]+)")
    wanted = tuple(actions.split(","))
    return Route(methods, re.compile(pattern), wanted, handler, path.startswith("/acr/"))


def _routes(uploads: Uploads) -> list[Route]:
    chunk = "/v2/{name}/blobs/uploads/{ref}"
    return [
        _route("GET", "/v2/_catalog", "*", distribution.catalog),
        _route("GET", "/v2/{name}/tags/list", "pull", distribution.list_tags),
        _route("GET HEAD", "/v2/{name}/manifests/{ref}", "pull", distribution.get_manifest),
        _route("PUT", "/v2/{name}/manifests/{ref}", "pull,push", distribution.put_manifest),
        _route("DELETE", "/v2/{name}/manifests/{ref}", "delete", distribution.delete_manifest),
        _route("GET", "/v2/{name}/referrers/{ref}", "pull", distribution.referrers),
        _route("POST", "/v2/{name}/blobs/uploads/?", "pull,push", uploads.begin),
        _route("GET", chunk, "pull,push", uploads.status),
        _route("PATCH", chunk, "pull,push", uploads.append),
        _route("PUT", chunk, "pull,push", uploads.finish),
        _route("DELETE", chunk, "pull,push", uploads.cancel),
        _route("GET HEAD", "/v2/{name}/blobs/{ref}", "pull", distribution.get_blob),
        _route("DELETE", "/v2/{name}/blobs/{ref}", "delete", distribution.delete_blob),
        _route("GET", "/acr/v1/_catalog", "*", distribution.catalog),
        _route("GET", "/acr/v1/{name}/_tags", "metadata_read", attributes.list_tags),
        _route("GET", "/acr/v1/{name}/_tags/{ref}", "metadata_read", attributes.get_tag),
        _route("DELETE", "/acr/v1/{name}/_tags/{ref}", "delete", attributes.delete_tag),
        _route("GET", "/acr/v1/{name}/_manifests", "metadata_read", attributes.list_manifests),
        _route("GET", "/acr/v1/{name}/_manifests/{ref}", "metadata_read", attributes.get_manifest),
        _route("GET", "/acr/v1/{name}", "metadata_read", attributes.get_repository),
        _route("DELETE", "/acr/v1/{name}", "delete", attributes.delete_repository),
    ]


def make(double: Double, registry: Registry) -> ASGIApp:
    """The app of one registry."""
    front = _Front(double, registry)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await front.answer(request)
        except ClientDisconnect:
            return  # cut in the middle of an upload: the received part is kept
        await response(scope, receive, send)

    return app


class _Front:
    def __init__(self, double: Double, registry: Registry) -> None:
        self._double = double
        self._registry = registry
        self._auth = Auth(double, registry)
        self._routes = _routes(Uploads())

    async def answer(self, request: Request) -> Response:
        responses = RegistryResponses(self._registry.login_server, self._registry.acr, request)
        path, method = request.scope["path"], request.method
        prefix = "/oauth2" if self._registry.acr else ""
        if path == f"{prefix}/token" and method in ("GET", "POST"):
            return await self._auth.token(request, responses)
        if path == "/oauth2/exchange" and method == "POST" and self._registry.acr:
            return await self._auth.exchange(request, responses)
        if path in ("/v2/", "/v2") and method in ("GET", "HEAD"):
            return await self._version(request, responses)
        for route in self._routes:
            match = route.pattern.fullmatch(path)
            if match and method in route.methods.split() and (self._registry.acr or not route.acr):
                return await self._route(route, match, request, responses)
        text = "The specified operation does not exist"
        return responses.error(404, "OPERATION_UNKNOWN", text)

    async def _version(self, request: Request, responses: RegistryResponses) -> Response:
        if self._auth.allowed(request, Wanted("registry", "", ())) is None:
            return responses.challenge()
        return await distribution.version(self._call(request, responses, "", ""))

    async def _route(
        self, route: Route, match: re.Match[str], request: Request, responses: RegistryResponses
    ) -> Response:
        found = match.groupdict()
        name = found.get("name")
        wanted = Wanted("registry", "catalog", route.actions)
        if name is not None:
            if not _NAME.fullmatch(name):
                return responses.error(400, "NAME_INVALID", "invalid repository name")
            wanted = Wanted("repository", name, route.actions)
        needed = Wanted(wanted.type, wanted.name, route.actions[-1:])
        allowed = self._auth.allowed(request, needed)
        if not allowed:
            return responses.challenge([wanted], insufficient=allowed is False)
        try:
            return await route.handler(
                self._call(request, responses, name or "", found.get("ref") or "")
            )
        except Refused as refusal:
            return refusal.response

    def _call(
        self, request: Request, responses: RegistryResponses, name: str, reference: str
    ) -> Call:
        parts = self._double, self._registry, request, responses, self._auth
        return Call(*parts, name, reference)
