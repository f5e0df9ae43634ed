"""The management endpoint: authentication, rights, routing and the headers of every answer."""

from __future__ import annotations

import json
import re
import uuid
from datetime import datetime, timezone
from email.utils import format_datetime
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from localazure.aad.tokens import Problem
from localazure.arm import (
    access,
    auth_settings,
    authorization,
    components,
    errors,
    identities,
    instances,
    plans,
    registries,
    resources,
    settings,
    sitecontainers,
    sites,
    swap,
    tasks,
    vaults,
    web_config,
)
from localazure.arm.call import Call
from localazure.arm.operations import Operations
from localazure.arm.paging import paged
from localazure.arm.providers import PROVIDERS
from localazure.arm.responses import arm
from localazure.arm.routing import Match, find
from localazure.double import Double

AUDIENCES = ("https://management.core.windows.net", "https://management.azure.com")

ROUTES = (
    *resources.ROUTES,
    *authorization.ROUTES,
    *vaults.ROUTES,
    *sites.ROUTES,
    *web_config.ROUTES,
    *settings.ROUTES,
    *auth_settings.ROUTES,
    *sitecontainers.ROUTES,
    *instances.ROUTES,
    *swap.ROUTES,
    *plans.ROUTES,
    *tasks.ROUTES,
    *registries.ROUTES,
    *components.ROUTES,
    *identities.ROUTES,
)

_API_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-(preview|privatepreview|alpha|beta))?")
_SUBSCRIPTION = re.compile(r"/subscriptions/([^/]+)", re.IGNORECASE)


def make(double: Double) -> ASGIApp:
    """ARM of `double`, as an ASGI app."""
    operations = Operations()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await _answer(double, operations, request)
        except errors.ArmError as refusal:
            response = arm(refusal.status, refusal.body, refusal.headers)
        _show_names(double, request, response)
        _stamp(double, request, response)
        await response(scope, receive, send)

    return app


async def _answer(double: Double, operations: Operations, request: Request) -> Response:
    path = _kept_path(double, re.sub("/{2,}", "/", request.url.path))
    version = request.query_params.get("api-version")
    if version is None:
        text = "The api-version query parameter (?api-version=) is required for all requests."
        raise errors.gateway(400, "MissingApiVersionParameter", text)
    if not _API_VERSION.fullmatch(version):
        known = ",".join(resources.API_VERSIONS)
        text = f"The api-version '{version}' is invalid. The supported versions are '{known}'."
        raise errors.gateway(400, "InvalidApiVersionParameter", text)
    audiences = (*AUDIENCES, str(request.base_url))
    claims = double.tokens.check(request.headers.get("authorization"), audiences)
    if isinstance(claims, Problem):
        headers = {"www-authenticate": claims.challenge}
        raise errors.gateway(401, claims.code, claims.message, **headers)
    asked = _SUBSCRIPTION.match(path)
    if asked and asked[1].lower() not in (each.lower() for each in double.state.subscriptions):
        text = f"The subscription '{asked[1]}' could not be found."
        raise errors.gateway(404, "SubscriptionNotFound", text)
    match = find(ROUTES, request.method, path)
    if match is None or match.route is None:
        raise _unroutable(request.method, path, match)
    need = access.demand(request.method, path)
    state = double.state
    if match.route.checked and not access.allowed(state, claims.object_id, need):
        raise errors.forbidden(claims.client_id, claims.object_id, need.action, need.scope)
    _refuse_if_locked(double, request.method, need)
    body, caller = await _body(request), (claims.client_id, claims.object_id)
    call = Call(double, request, operations, match.names, body, *caller)
    return paged(call, await match.route.handler(call))


def _kept_path(double: Double, path: str) -> str:
    """The path with the name that the double keeps a group under."""
    asked = _SUBSCRIPTION.match(path)
    for group in double.state.renamed_groups(asked[1]) if asked else ():
        wanted = rf"(?i)(/resourceGroups/){re.escape(group.shown)}(?=/|$)"
        path = re.sub(wanted, rf"\g<1>{group.name}", path, count=1)
    return path


def _show_names(double: Double, request: Request, response: Response) -> None:
    """Replaces the names that the double keeps groups under by those that clients know."""
    asked = _SUBSCRIPTION.match(request.url.path)
    for group in double.state.renamed_groups(asked[1]) if asked else ():
        response.body = bytes(response.body).replace(group.name.encode(), group.shown.encode())
        response.headers["content-length"] = str(len(response.body))
        for name in ("location", "azure-asyncoperation"):
            if name in response.headers:
                response.headers[name] = response.headers[name].replace(group.name, group.shown)


def _unroutable(method: str, path: str, match: Match | None) -> errors.ArmError:
    if match is not None:
        text = f"The HTTP method '{method}' is not supported for '{path}'."
        return errors.gateway(405, "HttpMethodNotAllowed", text)
    _, marker, tail = path.lower().rpartition("/providers/")
    namespace, _, kind = tail.partition("/")
    if not marker or not namespace:
        return errors.gateway(404, "NotFound", f"The path '{path}' is not known.")
    types = "/".join(kind.split("/")[::2])
    spelt = path[len(path) - len(tail) :].partition("/")[0]
    if namespace in PROVIDERS:
        known = PROVIDERS[namespace].namespace
        text = f"The resource type '{types}' could not be found in the namespace '{known}'."
        return errors.gateway(404, "InvalidResourceType", text)
    if method in {"PUT", "PATCH"} and namespace.startswith("microsoft."):
        return _not_registered(spelt)
    message = f"The resource namespace '{spelt}' is invalid."
    return errors.gateway(404, "InvalidResourceNamespace", message)


def _not_registered(namespace: str) -> errors.ArmError:
    code = "MissingSubscriptionRegistration"
    text = (
        f"The subscription is not registered to use namespace '{namespace}'. See "
        "https://aka.ms/rps-not-found for how to register subscriptions."
    )
    refusal = errors.gateway(409, code, text)
    refusal.body["error"]["details"] = [{"code": code, "target": namespace, "message": text}]
    return refusal


def _refuse_if_locked(double: Double, method: str, need: access.Demand) -> None:
    if method in {"GET", "HEAD"} or need.action.lower().startswith("microsoft.authorization/locks"):
        return
    held = [
        lock.scope
        for lock in double.state.locks
        if access.within(need.scope, lock.scope)
        and (method == "DELETE" or lock.level == "ReadOnly")
    ]
    if held:
        raise errors.locked(need.scope, "delete" if method == "DELETE" else "write", held)


async def _body(request: Request) -> Any:
    data = await request.body()
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError as error:
        raise errors.invalid_content(str(error)) from None


def _stamp(double: Double, request: Request, response: Response) -> None:
    """Add the headers that every response of ARM has."""
    now = datetime.now(timezone.utc)
    identifier = str(uuid.uuid4())
    correlation = request.headers.get("x-ms-correlation-request-id", identifier)
    writes = ("writes", 799)
    quotas = {"POST": writes, "PUT": writes, "PATCH": writes, "DELETE": ("deletes", 799)}
    kind, left = quotas.get(request.method, ("global-reads", 16499))
    common = {
        "cache-control": "no-cache",
        "pragma": "no-cache",
        "expires": "-1",
        "date": format_datetime(now, usegmt=True),
        "strict-transport-security": "max-age=31536000; includeSubDomains",
        "x-content-type-options": "nosniff",
        "x-cache": "CONFIG_NOCACHE",
        "x-ms-request-id": identifier,
        "x-ms-correlation-request-id": correlation,
        "x-ms-routing-request-id": f"WESTEUROPE:{now:%Y%m%dT%H%M%SZ}:{uuid.uuid4()}",
        f"x-ms-ratelimit-remaining-subscription-{kind}": str(left),
    }
    if request.headers.get("x-ms-return-client-request-id", "").lower() == "true":
        common["x-ms-client-request-id"] = request.headers.get("x-ms-client-request-id", "")
    for name, value in common.items():
        response.headers.setdefault(name, value)
