"""App Service plans (Microsoft.Web/serverfarms)."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from localazure.arm import errors
from localazure.arm.call import Call
from localazure.arm.responses import web
from localazure.arm.routing import GROUP, SUBSCRIPTION, Route
from localazure.arm.site_json import listing, tier
from localazure.state import Plan, State

TYPE = "Microsoft.Web/serverfarms"
BASE = f"/providers/{TYPE}"


def all_plans(state: State) -> list[Plan]:
    """The plans of the state, and the implicit plans that only sites name."""
    named = {
        (site.group.lower(), site.plan.lower()): Plan(site.group, site.plan, site.location)
        for site in state.sites.values()
    }
    return list({**named, **state.plans}.values())


def _find(call: Call) -> Plan | None:
    name = call.names["plan"].lower()
    group = call.group().name.lower()
    plans = (p for p in all_plans(call.state) if (p.group.lower(), p.name.lower()) == (group, name))
    return next(plans, None)


def plan_id(state: State, plan: Plan) -> str:
    """The ARM id of a plan."""
    return f"{state.group_id(plan.group)}{BASE}/{plan.name}"


def summary(state: State, plan: Plan) -> dict[str, Any]:
    """The plan's entry in the list of all resources."""
    return {
        "id": plan_id(state, plan),
        "name": plan.name,
        "type": "Microsoft.Web/serverFarms",
        "sku": _sku(plan),
        "kind": plan.kind,
        "location": plan.location.replace(" ", "").lower(),
        "tags": dict(plan.tags),
    }


def _sku(plan: Plan) -> dict[str, Any]:
    return {
        "name": plan.sku,
        "tier": tier(plan.sku),
        "size": plan.sku,
        "family": plan.sku.rstrip("0123456789"),
        "capacity": plan.capacity,
    }


def resource(state: State, plan: Plan) -> dict[str, Any]:
    """GET of a plan."""
    linux = plan.kind == "linux"
    space = f"{plan.group}-{plan.location.replace(' ', '')}webspace{'-Linux' if linux else ''}"
    held = [each for each in state.sites.values() if each.plan.lower() == plan.name.lower()]
    return {
        "id": plan_id(state, plan),
        "name": plan.name,
        "type": TYPE,
        "kind": plan.kind,
        "location": plan.location,
        **({"tags": dict(plan.tags)} if plan.tags else {}),
        "properties": {
            "serverFarmId": 23146,
            "name": plan.name,
            "workerSize": "Default",
            "workerSizeId": 0,
            "workerTierName": None,
            "numberOfWorkers": plan.capacity,
            "currentWorkerSize": "Default",
            "currentWorkerSizeId": 0,
            "currentNumberOfWorkers": plan.capacity,
            "status": "Ready",
            "webSpace": space,
            "subscription": state.subscription_of(plan.group),
            "adminSiteName": None,
            "hostingEnvironment": None,
            "hostingEnvironmentProfile": None,
            "maximumNumberOfWorkers": 10,
            "planName": "VirtualDedicatedPlan",
            "adminRuntimeSiteName": None,
            "computeMode": "Dedicated",
            "siteMode": None,
            "geoRegion": plan.location,
            "perSiteScaling": False,
            "elasticScaleEnabled": False,
            "maximumElasticWorkerCount": 1,
            "numberOfSites": len(held),
            "hostingEnvironmentId": None,
            "isSpot": False,
            "spotExpirationTime": None,
            "freeOfferExpirationTime": None,
            "tags": dict(plan.tags) or None,
            "kind": plan.kind,
            "resourceGroup": plan.group,
            "reserved": linux,
            "isXenon": False,
            "hyperV": False,
            "mdmId": "waws-local-001_23146",
            "targetWorkerCount": 0,
            "targetWorkerSizeId": 0,
            "provisioningState": "Succeeded",
            "webSiteId": None,
            "existingServerFarmIds": None,
            "kubeEnvironmentProfile": None,
            "zoneRedundant": False,
            "migrateToVMSS": None,
            "vnetConnectionsUsed": 0,
            "vnetConnectionsMax": 2,
            "createdTime": "2026-01-05T08:00:00.0000000",
        },
        "sku": _sku(plan),
    }


async def list_plans(call: Call) -> Response:
    """GET of the subscription's or a group's plans."""
    listed = call.listed()
    entries = [
        resource(call.state, each)
        for each in all_plans(call.state)
        if listed(each.group) and call.may(f"{TYPE}/read", plan_id(call.state, each))
    ]
    return web(listing(entries))


async def get_plan(call: Call) -> Response:
    """GET of a plan; in a 404, ARM spells its type serverFarms."""
    found = _find(call)
    if found is None:
        name, group = call.names["plan"], call.group().name
        raise errors.resource_not_found("Microsoft.Web/serverFarms", name, group)
    return web(resource(call.state, found))


async def put_plan(call: Call) -> Response:
    """PUT of a plan."""
    body, group = call.object(), call.group()
    sku = body.get("sku") or {}
    given = call.properties()
    if given.get("zoneRedundant"):
        message = "Requested features are not supported in region. Please try another region."
        raise errors.web(400, "BadRequest", message, extended="59911")
    found = _find(call)
    plan = Plan(
        group=group.name,
        name=call.names["plan"],
        location=body.get("location") or (found.location if found else group.location),
        kind="linux" if given.get("reserved") or "linux" in str(body.get("kind")) else "app",
        sku=sku.get("name") or (found.sku if found else "S1"),
        capacity=int(sku.get("capacity") or 1),
        tags=dict(body.get("tags") or {}),
    )
    call.state.plans[group.name.lower(), plan.name.lower()] = plan
    return web(resource(call.state, plan))


ROUTES = (
    Route("GET", SUBSCRIPTION + BASE, list_plans, checked=False),
    Route("GET", GROUP + BASE, list_plans),
    Route("GET", GROUP + BASE + "/{plan}", get_plan),
    Route("PUT", GROUP + BASE + "/{plan}", put_plan),
)
