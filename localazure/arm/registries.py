"""Microsoft.ContainerRegistry: registries, their admin credentials, and imports."""

from __future__ import annotations

import asyncio
from typing import Any

from starlette.responses import Response

from localazure.acr import image_import
from localazure.arm import errors
from localazure.arm.call import Call
from localazure.arm.providers import REGISTRY
from localazure.arm.registry_json import BASE, TYPE, lookup, resource
from localazure.arm.responses import arm, empty
from localazure.arm.routing import GROUP, SUBSCRIPTION, Route
from localazure.state import Registry

ONE = GROUP + BASE + "/{registry}"
PROVIDER = SUBSCRIPTION + "/providers/Microsoft.ContainerRegistry"
RESULT = "/locations/{region}/operationResults/{operation}"

SETTLING = 0.2
"""Seconds until the status of a created registry is Succeeded."""


def find(call: Call) -> Registry:
    """The path's registry, or ARM's 404."""
    group = call.group()
    found = lookup(call.state, group.name, call.names["registry"])
    if found is None:
        raise errors.resource_not_found(TYPE, call.names["registry"], group.name)
    return found


def _answer(
    call: Call, status: int, body: dict[str, Any], headers: dict[str, str] | None = None
) -> Response:
    common = {"api-supported-versions": call.api_version, "server": "Kestrel"}
    return arm(status, body, common | (headers or {}))


async def list_registries(call: Call) -> Response:
    """GET of the subscription's or a group's registries."""
    listed = call.listed()
    value = [
        resource(call.state, each, call.api_version)
        for each in call.state.registries.values()
        if each.acr
        and listed(each.group)
        and call.may(f"{TYPE}/read", call.state.registry_id(each))
    ]
    return _answer(call, 200, {"value": value})


async def get_registry(call: Call) -> Response:
    """GET of a registry."""
    return _answer(call, 200, resource(call.state, find(call), call.api_version))


async def put_registry(call: Call) -> Response:
    """PUT of a registry: 201 and Azure-AsyncOperation for a new one."""
    group, given = call.group(), call.properties()
    found = lookup(call.state, group.name, call.names["registry"])
    if found is not None:
        return await _write(call, found, given)
    fields = {
        "name": call.names["registry"],
        "group": group.name,
        "location": str(call.object().get("location") or group.location),
        "role_assignment_mode": given.get("roleAssignmentMode") or "LegacyRegistryPermissions",
    }
    registry = await call.double.add_registry(fields)
    _apply(registry, given)
    return _settling(call, 201, registry, "Creating")


async def patch_registry(call: Call) -> Response:
    """PATCH of a registry: 200."""
    return await _write(call, find(call), call.properties())


async def _write(call: Call, registry: Registry, given: dict[str, Any]) -> Response:
    _apply(registry, given)
    return _answer(call, 200, resource(call.state, registry, call.api_version))


def _apply(registry: Registry, given: dict[str, Any]) -> None:
    if given.get("adminUserEnabled") is not None:
        registry.admin_enabled = bool(given["adminUserEnabled"])
    if given.get("anonymousPullEnabled") is not None:
        registry.anonymous_pull = bool(given["anonymousPullEnabled"])
    if given.get("roleAssignmentMode"):
        registry.role_assignment_mode = str(given["roleAssignmentMode"])


def _settling(call: Call, status: int, registry: Registry, provisioning: str) -> Response:
    identifier = call.state.registry_id(registry)
    operation = call.operations.start(
        f"{provisioning} registry",
        lambda name: f"{identifier}/operationStatuses/{name}",
        asyncio.sleep(SETTLING),
        lambda: arm(200, {"status": "Succeeded"}),
        pending={"status": provisioning},
        prefix="registries-",
    )
    body = resource(call.state, registry, call.api_version, provisioning)
    headers = {"azure-asyncoperation": call.operations.location(call.request, operation)}
    return _answer(call, status, body, headers)


async def get_status(call: Call) -> Response:
    """GET operationStatuses/{operation}: 200 with a status, with a new address until the end."""
    response = call.operations.poll(call.request, call.names["operation"])
    if response.status_code == 202:
        response.status_code = 200
        response.headers["azure-asyncoperation"] = response.headers["location"]
        del response.headers["location"]
    return response


async def delete_registry(call: Call) -> Response:
    """DELETE of a registry: 202 with a body and a Location."""
    registry = find(call)
    state = call.state

    async def remove() -> None:
        await asyncio.sleep(SETTLING)
        state.registries.pop(registry.login_server.lower(), None)

    operation = call.operations.start(
        "delete registry",
        _results_path(call, registry),
        remove(),
        lambda: empty(200),
        prefix="registries-",
    )
    body = resource(state, registry, call.api_version, "Deleting")
    return arm(202, body, call.operations.headers(call.request, operation))


def _results_path(call: Call, registry: Registry) -> Any:
    region = registry.location.replace(" ", "").upper()
    base = f"/subscriptions/{call.subscription}/providers/Microsoft.ContainerRegistry"
    return lambda name: f"{base}/locations/{region}/operationResults/{name}"


async def list_credentials(call: Call) -> Response:
    """POST listCredentials: the admin user's name and its two passwords (here the same)."""
    registry = find(call)
    if not registry.admin_enabled:
        raise errors.registry(
            400,
            "UnAuthorizedForCredentialOperations",
            f"Cannot perform credential operations for {call.state.registry_id(registry)} as "
            "admin user is disabled. Kindly enable admin user as per docs: "
            "https://docs.microsoft.com/en-us/azure/container-registry/"
            "container-registry-authentication#admin-account",
        )
    passwords = [
        {"name": name, "value": registry.admin_password} for name in ("password", "password2")
    ]
    return _answer(call, 200, {"username": registry.name, "passwords": passwords})


async def import_image(call: Call) -> Response:
    """POST importImage: 202 with a Location; the registry makes the copy in the background."""
    registry, body = find(call), call.object()
    wanted = image_import.parse(call.double, body, call.object_id)
    operation = call.operations.start(
        "importImage",
        _results_path(call, registry),
        image_import.copy_image(call.double, registry, wanted),
        lambda: arm(200, {"status": "Succeeded"}, {"server": "Kestrel"}),
        pending={"status": "Accepted"},
        prefix="registries-",
    )
    headers = {"api-supported-versions": ", ".join(REGISTRY), "server": "Kestrel"}
    return empty(202, headers | call.operations.headers(call.request, operation))


async def check_name(call: Call) -> Response:
    """POST checkNameAvailability of the subscription."""
    name = str(call.object().get("name", ""))
    taken = any(each.acr and each.name == name.lower() for each in call.state.registries.values())
    body: dict[str, Any] = {"nameAvailable": not taken}
    if taken:
        body |= {"reason": "AlreadyExists", "message": f"The registry {name} is already in use."}
    return arm(200, body)


async def get_result(call: Call) -> Response:
    """GET operationResults/{operation}."""
    return call.operations.poll(call.request, call.names["operation"])


async def missing(call: Call) -> Response:
    """GET of sub-resources that the double doesn't have (scope maps, tokens …): 404."""
    find(call)
    name = call.names["name"]
    raise errors.registry(404, "ResourceNotFound", f"The resource {name} could not be found.")


ROUTES = (
    Route("POST", PROVIDER + "/checkNameAvailability", check_name, checked=False),
    Route("GET", SUBSCRIPTION + BASE, list_registries, checked=False),
    Route("GET", GROUP + BASE, list_registries),
    Route("GET", ONE, get_registry),
    Route("PUT", ONE, put_registry),
    Route("PATCH", ONE, patch_registry),
    Route("DELETE", ONE, delete_registry),
    Route("POST", ONE + "/listCredentials", list_credentials),
    Route("POST", ONE + "/importImage", import_image),
    Route("GET", ONE + "/operationStatuses/{operation}", get_status, checked=False),
    Route("GET", PROVIDER + RESULT, get_result, checked=False),
    Route("GET", ONE + "/{kind}/{name}", missing),
)
