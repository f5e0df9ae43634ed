"""Microsoft.ManagedIdentity: user-assigned identities."""

from __future__ import annotations

import uuid
from typing import Any

from starlette.responses import Response

from localazure.arm import errors
from localazure.arm.call import Call
from localazure.arm.responses import arm
from localazure.arm.routing import GROUP, SUBSCRIPTION, Route
from localazure.state import Identity, State

TYPE = "Microsoft.ManagedIdentity/userAssignedIdentities"
BASE = f"/providers/{TYPE}"


def resource(state: State, identity: Identity) -> dict[str, Any]:
    """GET of an identity; its id has a lower-case `resourcegroups`."""
    resource_id = (identity.resource_id or "").replace("/resourceGroups/", "/resourcegroups/")
    group = state.groups.get(resource_id.split("/")[4].lower())
    return {
        "location": group.location if group else "westeurope",
        "tags": {},
        "id": resource_id,
        "name": resource_id.rpartition("/")[2],
        "type": TYPE,
        "properties": {
            "tenantId": identity.tenant_id,
            "principalId": identity.principal_id,
            "clientId": identity.client_id,
        },
    }


async def list_identities(call: Call) -> Response:
    """GET of the subscription's or a group's identities."""
    listed = call.listed()
    value = [
        resource(call.state, each)
        for key, each in call.state.identities.items()
        if listed(key.split("/")[4])
    ]
    allowed = [each for each in value if call.may(f"{TYPE}/read", each["id"])]
    return arm(200, {"value": allowed})


async def get_identity(call: Call) -> Response:
    """GET of one identity."""
    found = call.state.identities.get(_id(call).lower())
    if found is None:
        raise errors.resource_not_found(TYPE, call.names["identity"], call.group().name)
    return arm(200, resource(call.state, found))


async def put_identity(call: Call) -> Response:
    """PUT of an identity: 201 for a new one."""
    resource_id = _id(call)
    found = call.state.identities.get(resource_id.lower())
    if found is not None:
        return arm(200, resource(call.state, found))
    new = Identity(str(uuid.uuid4()), str(uuid.uuid4()), call.state.tenant, resource_id)
    call.state.identities[resource_id.lower()] = new
    body = resource(call.state, new)
    return arm(201, body, {"location": body["id"]})


def _id(call: Call) -> str:
    group = f"/subscriptions/{call.subscription}/resourceGroups/{call.group().name}"
    return f"{group}{BASE}/{call.names['identity']}"


ROUTES = (
    Route("GET", SUBSCRIPTION + BASE, list_identities, checked=False),
    Route("GET", GROUP + BASE, list_identities),
    Route("GET", GROUP + BASE + "/{identity}", get_identity),
    Route("PUT", GROUP + BASE + "/{identity}", put_identity),
)
