"""Managed identities: the endpoints at which a machine gets tokens without a secret of its own.

In Azure these are link-local addresses that only the machine itself reaches. Here every `Host` has
a folder on one listener: `/{host}/msi/token` answers as in App Service (IDENTITY_ENDPOINT), and
`/{host}/metadata/identity/oauth2/token` as on a virtual machine, whose clients take another
authority than 169.254.169.254 from AZURE_POD_IDENTITY_AUTHORITY_HOST.
"""

from __future__ import annotations

import hmac
import time
import uuid
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from localazure.aad.grants import unknown_resource
from localazure.double import Double
from localazure.state import Host, Identity, Principal

_WAYS = {
    "client_id": "client_id",
    "object_id": "principal_id",
    "principal_id": "principal_id",
    "mi_res_id": "resource_id",
    "msi_res_id": "resource_id",
}
"""Query parameters that name a user-assigned identity, and the field that each one means."""


def make(double: Double) -> ASGIApp:
    """The app of the managed-identity listener."""

    async def app_service(request: Request) -> Response:
        host = double.state.hosts.get(request.path_params["host"])
        given = request.headers.get("x-identity-header", "")
        if host is None or not hmac.compare_digest(given.encode(), host.secret.encode()):
            return _problem(401, "The X-IDENTITY-HEADER is missing or wrong.")
        resource = request.query_params.get("resource")
        if not resource:
            return _problem(400, "A required parameter 'resource' was not provided.")
        identity = _chosen(host, request)
        if identity is None:
            return _problem(
                400,
                "No User Assigned or Delegated Managed Identity found for specified "
                "ClientId/ResourceId/PrincipalId.",
            )
        if unknown := unknown_resource(double, resource):
            return _problem(unknown.status, f"AADSTS{unknown.number}: {unknown.text}")
        return JSONResponse(_issued(double, identity, resource))

    async def virtual_machine(request: Request) -> Response:
        host = double.state.hosts.get(request.path_params["host"])
        if request.headers.get("metadata", "").lower() != "true":
            return _refused("invalid_request", "Required metadata header not specified")
        resource = request.query_params.get("resource")
        if not resource:
            return _refused("invalid_request", "Required query variable 'resource' is missing")
        identity = _chosen(host, request) if host else None
        if identity is None:
            return _refused("invalid_request", "Identity not found")
        if unknown := unknown_resource(double, resource):
            return _refused(unknown.error, f"AADSTS{unknown.number}: {unknown.text}")
        issued = _issued(double, identity, resource)
        lifetime = str(int(issued["expires_on"]) - int(issued["not_before"]))
        return JSONResponse({**issued, "expires_in": lifetime, "ext_expires_in": lifetime})

    return Starlette(
        routes=[
            Route("/{host}/msi/token", app_service),
            Route("/{host}/metadata/identity/oauth2/token", virtual_machine),
        ]
    )


def _chosen(host: Host, request: Request) -> Identity | None:
    """The requested identity: the user-assigned one that is named, else the system-assigned one."""
    for name, attribute in _WAYS.items():
        if wanted := request.query_params.get(name):
            users = host.user_identities
            return next((one for one in users if getattr(one, attribute) == wanted), None)
    return host.system_identity


def _issued(double: Double, identity: Identity, resource: str) -> dict[str, Any]:
    """The fields of both endpoints' responses. Times are seconds since the epoch, as text."""
    principal = Principal(identity.client_id, identity.principal_id, "")
    token, lifetime = double.tokens.issue(principal, resource, cae=True)
    now = int(time.time())
    return {
        "access_token": token,
        "client_id": identity.client_id,
        "expires_on": str(now + lifetime),
        "not_before": str(now),
        "resource": resource,
        "token_type": "Bearer",
    }


def _problem(status: int, message: str) -> Response:
    body = {"statusCode": status, "message": message, "correlationId": str(uuid.uuid4())}
    return JSONResponse(body, status)


def _refused(error: str, description: str) -> Response:
    return JSONResponse({"error": error, "error_description": description}, 400)
