"""Entra ID's routes: metadata, OpenID configuration, token endpoint, a little of Graph."""

from __future__ import annotations

import json
import re
import uuid
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from localazure.aad import grants, metadata
from localazure.aad.error_response import ErrorResponse
from localazure.double import Double

_HEADERS = {
    "strict-transport-security": "max-age=31536000; includeSubDomains",
    "x-content-type-options": "nosniff",
    "p3p": 'CP="DSP CUR OTPi IND OTRi ONL FIN"',
    "x-ms-ests-server": "2.1.0 - localazure ProdSlices",
    "x-xss-protection": "0",
}


def make(double: Double) -> ASGIApp:
    """The app of Entra ID; it shares the management listener with ARM."""

    async def endpoints(_request: Request) -> Response:
        return JSONResponse(metadata.endpoints(double.management, double.insights))

    async def openid(request: Request) -> Response:
        tenant = request.path_params["tenant"]
        if tenant.lower() not in (double.state.tenant, "common", "organizations"):
            return _error(grants.unknown_tenant(tenant))
        return _document(metadata.openid(double.management, tenant))

    async def keys(_request: Request) -> Response:
        return _document(double.tokens.keys())

    async def workloads(_request: Request) -> Response:
        return _document(metadata.issuer(double.workloads))

    async def instances(_request: Request) -> Response:
        return _document(metadata.instances(double.management, double.state.tenant))

    async def token(request: Request) -> Response:
        tenant = request.path_params["tenant"]
        form = {k: str(v) for k, v in (await request.form()).items()}
        answer = grants.grant(double, tenant, form, request.headers.get("authorization"))
        if isinstance(answer, ErrorResponse):
            return _error(answer, request)
        return _answer(200, answer.body(), request)

    async def service_principals(request: Request) -> Response:
        wanted = re.findall(r"'([^']*)'", request.query_params.get("$filter", ""))
        found = [p for p in double.state.principals.values() if p.client_id in wanted]
        return _graph([_principal(p.object_id, p.client_id) for p in found])

    async def by_ids(request: Request) -> Response:
        wanted = json.loads(await request.body()).get("ids", [])
        found = [p for p in double.state.principals.values() if p.object_id in wanted]
        return _graph([_principal(p.object_id, p.client_id) for p in found])

    return Starlette(
        routes=[
            Route("/metadata/endpoints", endpoints),
            Route("/common/discovery/instance", instances),
            Route("/workloads/.well-known/openid-configuration", workloads),
            Route("/workloads/discovery/keys", keys),
            Route("/{tenant}/v2.0/.well-known/openid-configuration", openid),
            Route("/{tenant}/.well-known/openid-configuration", openid),
            Route("/{tenant}/discovery/v2.0/keys", keys),
            Route("/{tenant}/oauth2/v2.0/token", token, methods=["POST"]),
            Route("/{tenant}/oauth2/token", token, methods=["POST"]),
            Route("/v1.0/servicePrincipals", service_principals),
            Route("/v1.0/directoryObjects/getByIds", by_ids, methods=["POST"]),
        ]
    )


def _document(body: dict[str, Any]) -> Response:
    headers = _HEADERS | {
        "cache-control": "max-age=86400, private",
        "access-control-allow-methods": "GET, OPTIONS",
        "access-control-allow-origin": "*",
    }
    return _json(200, body, headers)


def _answer(status: int, body: dict[str, Any], request: Request | None) -> Response:
    headers = _HEADERS | {
        "cache-control": "no-store, no-cache",
        "pragma": "no-cache",
        "expires": "-1",
        "x-ms-request-id": str(uuid.uuid4()),
        "x-ms-clitelem": "1,0,0,,",
    }
    echoed = request.headers.get("client-request-id") if request else None
    return _json(status, body, headers | ({"client-request-id": echoed} if echoed else {}))


def _error(refused: ErrorResponse, request: Request | None = None) -> Response:
    correlation = request.headers.get("client-request-id") if request else None
    return _answer(refused.status, refused.body(correlation or str(uuid.uuid4())), request)


def _json(status: int, body: dict[str, Any], headers: dict[str, str]) -> Response:
    content_type = {"content-type": "application/json; charset=utf-8"}
    return Response(json.dumps(body).encode(), status, headers | content_type)


def _graph(value: list[dict[str, Any]]) -> Response:
    return JSONResponse({"value": value})


def _principal(object_id: str, client_id: str) -> dict[str, Any]:
    return {
        "@odata.type": "#microsoft.graph.servicePrincipal",
        "id": object_id,
        "appId": client_id,
        "displayName": "localazure",
        "servicePrincipalNames": [client_id],
        "servicePrincipalType": "Application",
    }
