"""Microsoft.Insights components. Ids and types are lower case, properties PascalCase."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from localazure.arm import errors
from localazure.arm.call import Call
from localazure.arm.responses import arm
from localazure.arm.routing import GROUP, SUBSCRIPTION, Route
from localazure.state import Component, State

TYPE = "microsoft.insights/components"
BASE = "/providers/Microsoft.Insights/components"

_HEADERS = {
    "access-control-expose-headers": "Request-Context",
    "request-context": "appId=cid-v1:0dd6a9c3-b728-41ca-aa78-7e1962e22331",
    "server": "Microsoft-IIS/10.0",
}


def component_id(state: State, component: Component) -> str:
    """The ARM id of a component."""
    return f"{state.group_id(component.group)}/providers/{TYPE}/{component.name}"


def summary(state: State, component: Component) -> dict[str, Any]:
    """The component's entry in the list of all resources; the type is capitalised there."""
    return {
        "id": component_id(state, component),
        "name": component.name,
        "type": "Microsoft.Insights/components",
        "kind": "web",
        "location": component.location,
        "tags": dict(component.tags),
    }


def resource(state: State, component: Component) -> dict[str, Any]:
    """GET of a component."""
    group = state.group_id(component.group)
    return {
        "id": component_id(state, component),
        "name": component.name,
        "type": TYPE,
        "location": component.location,
        "tags": dict(component.tags),
        "kind": "web",
        "etag": '"06042594-0000-0e00-0000-6564c6a20000"',
        "properties": {
            "ApplicationId": component.name,
            "AppId": component.app_id,
            "Application_Type": "web",
            "Flow_Type": None,
            "Request_Source": None,
            "InstrumentationKey": component.instrumentation_key,
            "ConnectionString": component.connection_string,
            "Name": component.name,
            "CreationDate": "2026-01-05T08:00:00.1234567+00:00",
            "TenantId": state.subscription_of(component.group),
            "provisioningState": "Succeeded",
            "SamplingPercentage": None,
            "RetentionInDays": 90,
            "WorkspaceResourceId": (
                f"{group}/providers/Microsoft.OperationalInsights/workspaces/{component.name}"
            ),
            "IngestionMode": "LogAnalytics",
            "publicNetworkAccessForIngestion": "Enabled",
            "publicNetworkAccessForQuery": "Enabled",
            "Ver": "v2",
        },
    }


async def list_components(call: Call) -> Response:
    """GET of the subscription's or a group's components."""
    listed = call.listed()
    value = [
        resource(call.state, each)
        for each in call.state.components.values()
        if listed(each.group) and call.may(f"{TYPE}/read", component_id(call.state, each))
    ]
    return arm(200, {"value": value, "nextLink": None}, _HEADERS)


async def get_component(call: Call) -> Response:
    """GET of a component."""
    group, name = call.group(), call.names["component"]
    found = call.state.components.get((group.name.lower(), name.lower()))
    if found is None:
        raise errors.resource_not_found(TYPE, name, group.name)
    return arm(200, resource(call.state, found), _HEADERS)


async def put_component(call: Call) -> Response:
    """PUT of a component: 200 for a new one too."""
    group, name, body = call.group(), call.names["component"], call.object()
    found = call.state.components.get((group.name.lower(), name.lower()))
    if found is None:
        location = str(body.get("location") or group.location)
        fields = {"group": group.name, "name": name, "location": location}
        found = await call.double.add_component(fields)
    if body.get("tags") is not None:
        found.tags = dict(body["tags"])
    return arm(200, resource(call.state, found), _HEADERS)


ROUTES = (
    Route("GET", SUBSCRIPTION + BASE, list_components, checked=False),
    Route("GET", GROUP + BASE, list_components),
    Route("GET", GROUP + BASE + "/{component}", get_component),
    Route("PUT", GROUP + BASE + "/{component}", put_component),
)
