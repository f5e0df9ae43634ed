"""Microsoft.Resources: subscriptions, tenants, groups, the list of all resources, providers."""

from __future__ import annotations

import re
from typing import Any

from starlette.responses import Response

from localazure.arm import (
    access,
    components,
    errors,
    identities,
    plans,
    registry_json,
    site_json,
    vaults,
)
from localazure.arm.call import Call
from localazure.arm.providers import PROVIDERS, RESOURCES
from localazure.arm.responses import arm, empty
from localazure.arm.routing import GROUP, SUBSCRIPTION, Route
from localazure.state import Group, Site

API_VERSIONS = ("2015-01-01", "2016-06-01", "2019-11-01", *reversed(RESOURCES))

GROUP_READ = "Microsoft.Resources/subscriptions/resourceGroups/read"


async def list_subscriptions(call: Call) -> Response:
    """GET /subscriptions: those in which the caller has a role."""
    value = [
        _subscription(call, each)
        for each in call.state.subscriptions
        if access.has_any_role(call.state, call.object_id, each)
    ]
    return arm(200, {"value": value, "count": {"type": "Total", "value": len(value)}})


async def get_subscription(call: Call) -> Response:
    """GET /subscriptions/{id}."""
    if not access.has_any_role(call.state, call.object_id, call.subscription):
        need = access.demand("GET", call.request.url.path)
        raise errors.forbidden(call.client_id, call.object_id, need.action, need.scope)
    return arm(200, _subscription(call, call.subscription))


def _subscription(call: Call, subscription: str) -> dict[str, Any]:
    state = call.state
    return {
        "id": f"/subscriptions/{subscription}",
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": subscription,
        "tenantId": state.tenant,
        "displayName": state.subscriptions[subscription],
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    }


async def list_tenants(call: Call) -> Response:
    """GET /tenants."""
    tenant = call.state.tenant
    value = {"id": f"/tenants/{tenant}", "tenantId": tenant}
    if call.api_version >= "2020-01-01":
        value |= {
            "countryCode": "NL",
            "displayName": "localazure",
            "defaultDomain": "localazure.example",
            "tenantCategory": "Home",
            "tenantType": "AAD",
        }
    return arm(200, {"value": [value]})


async def list_locations(call: Call) -> Response:
    """GET /subscriptions/{id}/locations."""
    names = {"westeurope": "West Europe", "eastus": "East US"}
    value = [
        {
            "id": f"/subscriptions/{call.subscription}/locations/{name}",
            "name": name,
            "type": "Region",
            "displayName": display,
            "regionalDisplayName": display,
            "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
        }
        for name, display in names.items()
    ]
    return arm(200, {"value": value})


async def list_groups(call: Call) -> Response:
    """GET …/resourcegroups: those that the caller may read."""
    listed = call.listed()
    found = (each for each in call.state.groups.values() if listed(each.name))
    groups = [_group(call, each) for each in found]
    return arm(200, {"value": [each for each in groups if call.may(GROUP_READ, each["id"])]})


async def get_group(call: Call) -> Response:
    """GET of a group."""
    return arm(200, _group(call, call.group()))


async def head_group(call: Call) -> Response:
    """HEAD of a group: 204 if it exists, else 404 without a body."""
    name = call.names["group"]
    found = name.lower() in call.state.groups
    return empty(204 if found and call.state.subscription_of(name) == call.subscription else 404)


async def put_group(call: Call) -> Response:
    """PUT of a group: 201 for a new one."""
    body, name = call.object(), call.names["group"]
    found = call.state.groups.get(name.lower())
    if not isinstance(body.get("location"), str):
        text = "The location property is required for this definition."
        raise errors.gateway(400, "LocationRequired", text)
    location = body["location"].replace(" ", "").lower()
    group = found or Group(name, location, subscription=call.subscription)
    group.tags = dict(body.get("tags") or {})
    call.state.groups[name.lower()] = group
    return arm(200 if found else 201, _group(call, group))


def _group(call: Call, group: Group) -> dict[str, Any]:
    body: dict[str, Any] = {
        "id": f"/subscriptions/{call.subscription}/resourceGroups/{group.name}",
        "name": group.name,
        "type": "Microsoft.Resources/resourceGroups",
        "location": group.location,
    }
    if group.tags:
        body["tags"] = dict(group.tags)
    return {**body, "properties": {"provisioningState": "Succeeded"}}


async def list_resources(call: Call) -> Response:
    """GET …/resources[?$filter=…] of the subscription or of a group."""
    text = call.request.query_params.get("$filter", "")
    conditions = re.findall(r"(\w+)\s+eq\s+'([^']*)'", text)
    listed = call.listed()
    entries = [
        entry
        for entry in _all_resources(call)
        if listed(entry["id"].split("/")[4])
        and all(_fits(entry, key, value) for key, value in conditions)
        and call.may(f"{entry['type']}/read", entry["id"])
    ]
    return arm(200, {"value": entries})


def _fits(entry: dict[str, Any], key: str, value: str) -> bool:
    tags: dict[str, str] = entry.get("tags") or {}
    actual = {
        "resourceType": [entry["type"]],
        "resourceGroup": [entry["id"].split("/")[4]],
        "name": [entry["name"]],
        "location": [entry["location"].replace(" ", "")],
        "tagName": list(tags),
        "tagValue": list(tags.values()),
    }
    return value.lower() in (each.lower() for each in actual.get(key, []))


def _all_resources(call: Call) -> list[dict[str, Any]]:
    state = call.state
    return [
        *(_site(each) for each in state.all_sites()),
        *(plans.summary(state, each) for each in plans.all_plans(state)),
        *(registry_json.summary(state, each) for each in state.registries.values() if each.acr),
        *(components.summary(state, each) for each in state.components.values()),
        *(identities.resource(state, each) for each in state.identities.values()),
        *(vaults.summary(state.vault_id(each), vaults.VAULT) for each in state.vaults.values()),
        *(vaults.summary(state.store_id(each), vaults.STORE) for each in state.stores.values()),
    ]


def _site(site: Site) -> dict[str, Any]:
    identity = site_json.identity_block(site)
    return {
        "id": site.resource_id,
        "name": site_json.full_name(site),
        "type": site_json.site_type(site),
        "kind": site.kind,
        "location": site.location.replace(" ", "").lower(),
        **({"identity": identity} if identity else {}),
        "tags": dict(site.tags),
    }


async def get_provider(call: Call) -> Response:
    """GET …/providers/{namespace}."""
    provider = PROVIDERS.get(call.names["namespace"].lower())
    if provider is None:
        name = call.names["namespace"]
        message = f"The resource namespace '{name}' is invalid."
        raise errors.gateway(404, "InvalidResourceNamespace", message)
    return arm(200, provider.document(call.subscription))


async def list_providers(call: Call) -> Response:
    """GET …/providers."""
    value = [each.document(call.subscription) for each in PROVIDERS.values()]
    return arm(200, {"value": value})


ROUTES = (
    Route("GET", "/subscriptions", list_subscriptions, checked=False),
    Route("GET", "/tenants", list_tenants, checked=False),
    Route("GET", SUBSCRIPTION, get_subscription, checked=False),
    Route("GET", SUBSCRIPTION + "/locations", list_locations, checked=False),
    Route("GET", SUBSCRIPTION + "/resourceGroups", list_groups, checked=False),
    Route("GET", GROUP, get_group),
    Route("HEAD", GROUP, head_group),
    Route("PUT", GROUP, put_group),
    Route("GET", SUBSCRIPTION + "/resources", list_resources, checked=False),
    Route("GET", GROUP + "/resources", list_resources, checked=False),
    Route("GET", SUBSCRIPTION + "/providers", list_providers, checked=False),
    Route("GET", SUBSCRIPTION + "/providers/{namespace}", get_provider, checked=False),
)
