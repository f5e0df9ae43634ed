"""Queries on telemetry: by AppId on the insights listener, or on a component through ARM."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from localazure.aad.metadata import ARM_AUDIENCE
from localazure.aad.tokens import Problem
from localazure.arm import access, errors
from localazure.double import Double
from localazure.insights import kql, tables
from localazure.state import Component

_COMPONENT = re.compile(
    r"/subscriptions/[^/]+/resourcegroups/([^/]+)/providers/microsoft\.insights"
    r"/components/([^/]+)(?:/api)?/query",
    re.IGNORECASE,
)
_EXPOSED = "Retry-After,Age,WWW-Authenticate,x-resource-identities,x-ms-status-location"
_QUERIES, _SECONDS = 200, 30.0
"""Queries that a caller may send in so many seconds ("Service limits", learn.microsoft.com)."""
_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?")


def make(double: Double) -> ASGIApp:
    """The app for `{componentId}/query` on the management listener."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        match = _COMPONENT.fullmatch(request.scope["path"])
        key = (match[1].lower(), match[2].lower()) if match else ("", "")
        component = double.state.components.get(key)
        refusal = _refused_by_arm(double, request)
        response = refusal or await answer(
            double, request, component, (ARM_AUDIENCE, double.management)
        )
        await response(scope, receive, send)

    return app


def _refused_by_arm(double: Double, request: Request) -> Response | None:
    """Azure Resource Manager's own refusal of a caller without the right to query, if it is one."""
    audiences = (ARM_AUDIENCE, double.management)
    claims = double.tokens.check(request.headers.get("authorization"), audiences)
    need = access.demand(request.method, request.url.path.replace("/api/query", "/query"))
    if isinstance(claims, Problem) or access.allowed(double.state, claims.object_id, need):
        return None
    refusal = errors.forbidden(claims.client_id, claims.object_id, need.action, need.scope)
    return _json(refusal.status, refusal.body)


async def answer(
    double: Double, request: Request, component: Component | None, audiences: Iterable[str]
) -> Response:
    """Answer POST (or GET) of a query, for a caller with a token for one of `audiences`."""
    claims = double.tokens.check(request.headers.get("authorization"), audiences)
    if isinstance(claims, Problem):
        text = "Valid authentication was not provided"
        return _error(401, "AuthorizationRequiredError", text, {"message": claims.message})
    if wait := double.telemetry.throttled(claims.object_id, _QUERIES, _SECONDS):
        # The body isn't recorded anywhere; the code is the one that clients look for.
        late = _error(429, "ThrottledError", "Rate limit is exceeded. Try again later.")
        late.headers["retry-after"] = str(wait)
        return late
    if component is None or request.method not in ("GET", "POST"):
        return _error(404, "PathNotFoundError", "The requested path does not exist")
    asked: Any = dict(request.query_params)
    if request.method == "POST":
        try:
            asked |= json.loads(await request.body())
        except ValueError:
            return _error(400, "BadArgumentError", "The request had some invalid properties")
    try:
        found = _run(double, component, str(asked.get("query", "")), asked.get("timespan"))
    except kql.QueryError as error:
        kind = "Syntax" if error.code.startswith("SYN") else "Semantic"
        inner = {
            "code": f"{kind}Error",
            "message": f"A {kind.lower()} error occurred.",
            "innererror": {"code": error.code, "message": str(error)},
        }
        return _error(400, "BadArgumentError", "The request had some invalid properties", inner)
    columns = [{"name": name, "type": type_} for name, type_ in found.columns.items()]
    rows = [[_cell(row[name]) for name in found.columns] for row in found.rows]
    table = {"name": "PrimaryResult", "columns": columns, "rows": rows}
    return _json(200, {"tables": [table]})


def _run(double: Double, component: Component, query: str, timespan: Any) -> kql.Table:
    start, end = _span(str(timespan)) if timespan else (tables.EPOCH, None)

    def source(name: str) -> kql.Table | None:
        if name not in tables.TABLES:
            return None
        envelopes = double.telemetry.of(component.instrumentation_key)
        rows = tables.rows(name, envelopes, component.app_id, component.name)
        seen = [r for r in rows if r["timestamp"] >= start and (not end or r["timestamp"] <= end)]
        return kql.Table(tables.TABLES[name], seen)

    return kql.run(query, source)


def _span(text: str) -> tuple[datetime, datetime | None]:
    """`START/END` or a duration before now, both ISO 8601."""
    start, slash, end = text.partition("/")
    if slash:
        return tables.moment(start), tables.moment(end)
    match = _DURATION.fullmatch(text)
    if not match:
        raise kql.QueryError("SYN0002", f"The timespan '{text}' could not be parsed.")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    span = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return datetime.now(timezone.utc) - span, None


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%dT%H:%M:%S.%f}Z"
    return json.dumps(value) if isinstance(value, dict) else value


def _error(status: int, code: str, message: str, inner: dict[str, Any] | None = None) -> Response:
    error = {"message": message, "code": code, "correlationId": str(uuid.uuid4())}
    return _json(status, {"error": {**error, **({"innererror": inner} if inner else {})}})


def _json(status: int, body: dict[str, Any]) -> Response:
    headers = {
        "access-control-allow-origin": "*",
        "access-control-expose-headers": _EXPOSED,
        "content-type": "application/json; charset=utf-8",
        "vary": "Accept-Encoding",
        "x-content-type-options": "nosniff",
    }
    return Response(json.dumps(body, separators=(",", ":")).encode(), status, headers)
