"""Microsoft.Insights components, and their Log Analytics workspaces.

Ids and types are lower case, properties PascalCase. Quota status and capping have the fields of
azure-mgmt-applicationinsights' and azure-mgmt-loganalytics' models; their bodies are unconfirmed.
"""

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
WORKSPACES = "/providers/Microsoft.OperationalInsights/workspaces"
_RESET = "2026-11-28T00:00:00.0000000Z"

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
    # Azure leaves it out until it is set.
    local = {"DisableLocalAuth": True} if component.disable_local_auth else {}
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
            **local,
            "publicNetworkAccessForIngestion": component.public_ingestion,
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
    properties = call.properties()
    found.disable_local_auth = properties.get("DisableLocalAuth") is True
    found.public_ingestion = str(properties.get("publicNetworkAccessForIngestion") or "Enabled")
    return arm(200, resource(call.state, found), _HEADERS)


async def get_quota(call: Call) -> Response:
    """GET of a component's quotastatus."""
    group, name = call.group(), call.names["component"]
    found = call.state.components.get((group.name.lower(), name.lower()))
    if found is None:
        raise errors.resource_not_found(TYPE, name, group.name)
    until = {"ExpirationTime": _RESET} if found.over_quota else {}
    quota = {"AppId": found.app_id, "ShouldBeThrottled": found.over_quota, **until}
    return arm(200, quota, _HEADERS)


async def get_workspace(call: Call) -> Response:
    """GET of the workspace of a component, which has the component's name."""
    group, name = call.group(), call.names["workspace"]
    found = call.state.components.get((group.name.lower(), name.lower()))
    if found is None:
        kind = "Microsoft.OperationalInsights/workspaces"
        raise errors.resource_not_found(kind, name, group.name)
    capping = {
        "dailyQuotaGb": -1.0 if found.workspace_state == "RespectQuota" else 1.0,
        "quotaNextResetTime": _RESET,
        "dataIngestionStatus": found.workspace_state,
    }
    body = {
        "id": f"{call.state.group_id(found.group)}{WORKSPACES}/{found.name}",
        "name": found.name,
        "type": "Microsoft.OperationalInsights/workspaces",
        "location": found.location,
        "properties": {"provisioningState": "Succeeded", "workspaceCapping": capping},
    }
    return arm(200, body, _HEADERS)


ROUTES = (
    Route("GET", SUBSCRIPTION + BASE, list_components, checked=False),
    Route("GET", GROUP + BASE, list_components),
    Route("GET", GROUP + BASE + "/{component}", get_component),
    Route("PUT", GROUP + BASE + "/{component}", put_component),
    Route("GET", GROUP + BASE + "/{component}/quotastatus", get_quota),
    Route("GET", GROUP + WORKSPACES + "/{workspace}", get_workspace),
)
