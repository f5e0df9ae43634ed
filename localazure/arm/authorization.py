"""Microsoft.Authorization: role assignments, role definitions and locks, at any scope."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response

from localazure.arm import access, errors
from localazure.arm.call import Call
from localazure.arm.responses import arm, empty
from localazure.arm.roles import BY_ID, BY_NAME, ROLES, Role
from localazure.arm.routing import Route
from localazure.state import Lock, RoleAssignment

BASE = "{scope:path}/providers/Microsoft.Authorization"

_WHEN = "2026-01-05T08:00:00.0000000Z"


async def list_assignments(call: Call) -> Response:
    """GET roleAssignments. `atScope()` leaves out what lies below; `principalId eq '…'` and
    `assignedTo('…')` choose a principal.
    """
    scope, text = call.names["scope"], call.request.query_params.get("$filter", "")
    principal = re.search(r"(?:principalId eq |assignedTo\()'([^']*)'", text)
    at_scope = "atscope()" in text.lower()
    value = [
        _assignment(call, each)
        for each in call.state.role_assignments
        if (access.within(scope, each.scope) or (not at_scope and access.within(each.scope, scope)))
        and (principal is None or each.principal_id == principal[1])
    ]
    return arm(200, {"value": value})


async def get_assignment(call: Call) -> Response:
    """GET of one role assignment."""
    return arm(200, _assignment(call, _find(call)))


async def put_assignment(call: Call) -> Response:
    """PUT of a role assignment: 201, or 409 when the principal has that role there already."""
    given, scope = call.properties(), call.names["scope"]
    definition = str(given.get("roleDefinitionId", "")).rpartition("/")[2]
    role = BY_ID.get(definition.lower())
    if role is None:
        raise _no_definition(definition)
    new = RoleAssignment(
        name=call.names["assignment"],
        scope=scope or "/",
        role=role.name,
        principal_id=str(given.get("principalId", "")),
        principal_type=str(given.get("principalType") or "ServicePrincipal"),
    )
    for each in call.state.role_assignments:
        same = each.scope.lower() == new.scope.lower() and each.role == new.role
        if each.name == new.name or (same and each.principal_id == new.principal_id):
            message = "The role assignment already exists."
            raise errors.provider(409, "RoleAssignmentExists", message)
    call.state.role_assignments.append(new)
    answer = _assignment(call, new)
    # The response to PUT has no creator; a later GET does.
    answer["properties"]["createdBy"] = None
    return arm(201, answer)


async def delete_assignment(call: Call) -> Response:
    """DELETE of a role assignment: 200 with the deleted assignment."""
    found = _find(call)
    call.state.role_assignments.remove(found)
    return arm(200, _assignment(call, found))


def _find(call: Call) -> RoleAssignment:
    name = call.names["assignment"]
    for each in call.state.role_assignments:
        if each.name.lower() == name.lower():
            return each
    message = f"The role assignment '{name}' is not found."
    raise errors.provider(404, "RoleAssignmentNotFound", message)


def _assignment(call: Call, assignment: RoleAssignment) -> dict[str, Any]:
    role = BY_NAME[assignment.role.lower()]
    at = "" if assignment.scope == "/" else assignment.scope
    return {
        "properties": {
            "roleDefinitionId": _definition_id(call, role),
            "principalId": assignment.principal_id,
            "principalType": assignment.principal_type,
            "scope": assignment.scope,
            "condition": None,
            "conditionVersion": None,
            "createdOn": _WHEN,
            "updatedOn": _WHEN,
            "createdBy": call.object_id,
            "updatedBy": call.object_id,
            "delegatedManagedIdentityResourceId": None,
            "description": None,
        },
        "id": f"{at}/providers/Microsoft.Authorization/roleAssignments/{assignment.name}",
        "type": "Microsoft.Authorization/roleAssignments",
        "name": assignment.name,
    }


async def list_definitions(call: Call) -> Response:
    """GET roleDefinitions, all or `$filter=roleName eq '…'` (any case)."""
    text = call.request.query_params.get("$filter", "")
    wanted = re.search(r"roleName eq '([^']*)'", text)
    value = [
        _definition(call, role)
        for role in ROLES
        if wanted is None or role.name.lower() == wanted[1].lower()
    ]
    return arm(200, {"value": value})


async def get_definition(call: Call) -> Response:
    """GET of one role definition by its GUID."""
    role = BY_ID.get(call.names["definition"].lower())
    if role is None:
        raise _no_definition(call.names["definition"])
    return arm(200, _definition(call, role))


def _no_definition(name: str) -> errors.ArmError:
    message = f"The specified role definition with ID '{name}' does not exist."
    return errors.provider(404, "RoleDefinitionDoesNotExist", message)


def _definition_id(call: Call, role: Role) -> str:
    definitions = "/providers/Microsoft.Authorization/roleDefinitions"
    return f"/subscriptions/{call.subscription}{definitions}/{role.id}"


def _definition(call: Call, role: Role) -> dict[str, Any]:
    return {
        "properties": {
            "roleName": role.name,
            "type": "BuiltInRole",
            "description": role.description,
            "assignableScopes": ["/"],
            "permissions": [
                {
                    "actions": list(role.actions),
                    "notActions": list(role.not_actions),
                    "dataActions": list(role.data_actions),
                    "notDataActions": [],
                }
            ],
            "createdOn": _WHEN,
            "updatedOn": _WHEN,
            "createdBy": None,
            "updatedBy": None,
        },
        "id": _definition_id(call, role),
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": role.id,
    }


async def list_locks(call: Call) -> Response:
    """GET locks: those at the scope, above and below it."""
    scope = call.names["scope"]
    value = [
        _lock(each)
        for each in call.state.locks
        if access.within(scope, each.scope) or access.within(each.scope, scope)
    ]
    return arm(200, {"value": value})


async def put_lock(call: Call) -> Response:
    """PUT of a lock: 201, or 200 if it replaces one."""
    given, name, scope = call.properties(), call.names["lock"], call.names["scope"]
    level = str(given.get("level"))
    if level not in {"CanNotDelete", "ReadOnly"}:
        message = f"The specified lock level '{level}' is not valid."
        raise errors.provider(400, "InvalidLockLevel", message)
    kept = [lock for lock in call.state.locks if not _is(lock, scope, name)]
    status = 200 if len(kept) < len(call.state.locks) else 201
    lock = Lock(name, scope, level, given.get("notes"))
    call.state.locks[:] = [*kept, lock]
    return arm(status, _lock(lock))


async def delete_lock(call: Call) -> Response:
    """DELETE of a lock: 200, or 204 if it doesn't exist."""
    name, scope = call.names["lock"], call.names["scope"]
    kept = [lock for lock in call.state.locks if not _is(lock, scope, name)]
    status = 200 if len(kept) < len(call.state.locks) else 204
    call.state.locks[:] = kept
    return empty(status)


def _is(lock: Lock, scope: str, name: str) -> bool:
    return lock.scope.lower() == scope.lower() and lock.name.lower() == name.lower()


def _lock(lock: Lock) -> dict[str, Any]:
    properties = {"level": lock.level, **({"notes": lock.notes} if lock.notes else {})}
    return {
        "properties": properties,
        "id": f"{lock.scope}/providers/Microsoft.Authorization/locks/{lock.name}",
        "type": "Microsoft.Authorization/locks",
        "name": lock.name,
    }


ROUTES = (
    Route("GET", BASE + "/roleAssignments", list_assignments),
    Route("GET", BASE + "/roleAssignments/{assignment}", get_assignment),
    Route("PUT", BASE + "/roleAssignments/{assignment}", put_assignment),
    Route("DELETE", BASE + "/roleAssignments/{assignment}", delete_assignment),
    Route("GET", BASE + "/roleDefinitions", list_definitions),
    Route("GET", BASE + "/roleDefinitions/{definition}", get_definition),
    Route("GET", BASE + "/locks", list_locks),
    Route("PUT", BASE + "/locks/{lock}", put_lock),
    Route("DELETE", BASE + "/locks/{lock}", delete_lock),
)
