"""Microsoft.Web sites and slots: list, get, make, change, delete, start, stop, restart."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from localazure.arm import config_schema, errors, site_json
from localazure.arm.call import Call
from localazure.arm.responses import empty, web
from localazure.arm.routing import GROUP, SUBSCRIPTION, Handler, Route
from localazure.state import Identity, Site

SITES = "/providers/Microsoft.Web/sites"
SITE = GROUP + SITES + "/{site}"
SLOT = SITE + "/slots/{slot}"
CHECK_NAME = SUBSCRIPTION + "/providers/Microsoft.Web/checknameavailability"

WRITABLE = {
    "clientAffinityEnabled",
    "clientCertEnabled",
    "clientCertExclusionPaths",
    "clientCertMode",
    "containerSize",
    "dailyMemoryTimeQuota",
    "enabled",
    "endToEndEncryptionEnabled",
    "hostNamesDisabled",
    "httpsOnly",
    "keyVaultReferenceIdentity",
    "publicNetworkAccess",
    "redundancyMode",
    "scmSiteAlsoStopped",
    "storageAccountRequired",
    "virtualNetworkSubnetId",
    "vnetContentShareEnabled",
    "vnetImagePullEnabled",
    "vnetRouteAllEnabled",
}
"""Site properties that are stored as sent, and shown in GET."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9-]{0,58}[A-Za-z0-9])?")


def both(method: str, below: str, handler: Handler) -> tuple[Route, Route]:
    """The route for a site, and the same route for its slots."""
    return Route(method, SITE + below, handler), Route(method, SLOT + below, handler)


def writable(call: Call) -> Site:
    """The path's site or slot for a write; 409 while an operation occupies it."""
    site = call.site()
    call.operations.refuse_if_busy(call.parent().resource_id)
    return site


async def list_sites(call: Call) -> Response:
    """GET of the subscription's or a group's sites; with `includeSlots=true` also slots."""
    slots = call.request.query_params.get("includeSlots", "").lower() == "true"
    listed = call.listed()
    entries = [
        site_json.listed_site(call.state, site)
        for site in call.state.all_sites()
        if listed(site.group)
        and (slots or not site.slot)
        and call.may(f"{site_json.site_type(site)}/read", site.resource_id)
    ]
    return web(site_json.listing(entries))


async def list_slots(call: Call) -> Response:
    """GET …/slots."""
    site = call.site()
    entries = [site_json.listed_slot(call.state, slot) for slot in site.slots.values()]
    return web(site_json.listing(entries), etag=site.etag)


async def get_site(call: Call) -> Response:
    """GET of a site or slot."""
    site = call.site()
    return web(site_json.site_resource(call.state, site), etag=site.etag)


async def put_site(call: Call) -> Response:
    """PUT of a site or slot: 200 for a new one, too. Missing properties stay unchanged."""
    body, group = call.object(), call.group()
    key = group.name.lower(), call.names["site"].lower()
    parent = call.state.sites.get(key)
    slot = call.names.get("slot")
    if slot is not None:
        parent = call.parent()
        if slot.lower() not in {name.lower() for name in parent.slots}:
            return await _make(call, body, parent)
    elif parent is None:
        return await _make(call, body, None)
    site = writable(call)
    _change(call, site, body)
    return web(site_json.site_resource(call.state, site, fresh=True), etag=site.etag)


async def patch_site(call: Call) -> Response:
    """PATCH of a site or slot."""
    body = call.object()
    site = writable(call)
    _change(call, site, body)
    return web(site_json.site_resource(call.state, site), etag=site.etag)


async def _make(call: Call, body: dict[str, Any], parent: Site | None) -> Response:
    name = call.names["slot"] if parent else call.names["site"]
    if not _NAME.fullmatch(name):
        raise errors.bad_parameter("name", f"'{name}' can't be used as a name.")
    given = call.properties()
    wanted = given.get("siteConfig") or {}
    if "linuxFxVersion" in wanted and wanted["linuxFxVersion"] is not None:
        config_schema.check_stack("LinuxFxVersion", wanted["linuxFxVersion"])
    if parent is not None:
        call.operations.refuse_if_busy(parent.resource_id)
        # A new slot starts with the default configuration and no settings: az copies both itself.
        inherited = {key: getattr(parent, key) for key in ("name", "group", "location", "kind")}
        fields = {**inherited, "slot": name, "plan": parent.plan}
    else:
        plan = str(given.get("serverFarmId") or "plan").rpartition("/")[2]
        farm = call.state.plans.get((call.group().name.lower(), plan.lower()))
        linux = given.get("reserved") or (farm is not None and farm.kind == "linux")
        fields = {
            "name": name,
            "group": call.group().name,
            "location": body.get("location") or call.group().location,
            "kind": body.get("kind") or ("app,linux" if linux else "app"),
            "plan": plan,
        }
    site = await call.double.add_site({**fields, "config": {"alwaysOn": False}})
    _change(call, site, body, new=True)
    answer = site_json.site_resource(call.state, site, fresh=True)
    # The response to the PUT that creates a site shows it before the change: so it was recorded.
    unseen = {"linuxFxVersion": "", "alwaysOn": False, "http20Enabled": False}
    answer["properties"]["siteConfig"] |= unseen
    return web(answer, etag=site.etag)


def _change(call: Call, site: Site, body: Mapping[str, Any], *, new: bool = False) -> None:
    properties: dict[str, Any] = body.get("properties") or {}
    given: dict[str, Any] = properties.get("siteConfig") or {}
    changed = apply_config(site, given)
    if body.get("tags") is not None:
        site.tags = dict(body["tags"])
    if body.get("kind"):
        site.kind = str(body["kind"])
    if body.get("identity") is not None:
        _identify(call, site, body["identity"])
        changed.add("identity")
    if properties.get("serverFarmId"):
        site.plan = str(properties["serverFarmId"]).rpartition("/")[2]
    kept = {key: value for key, value in properties.items() if key in WRITABLE}
    enabled = kept.get("enabled")
    access = kept.get("publicNetworkAccess")
    if access is not None and access != site.properties.get("publicNetworkAccess"):
        changed.add("publicNetworkAccess")  # a restart, as documented for Linux sites
    site.properties.update({key: value for key, value in kept.items() if value is not None})
    site_json.touch(site)
    if enabled is False and site.state == "Running":
        _halt(call, site)
    elif enabled is True and site.state != "Running":
        _run(call, site)
    elif changed or new:
        call.double.runtime.changed(site, "the site was written")


def apply_config(site: Site, given: Mapping[str, Any]) -> set[str]:
    """Merge properties of config/web into a site; app settings in there replace the set."""
    changed = config_schema.merge(site.config, given)
    settings = given.get("appSettings")
    if isinstance(settings, list):
        wanted = {str(each["name"]): str(each.get("value") or "") for each in settings}
        if wanted != site.app_settings:
            site.app_settings = wanted
            changed.add("appSettings")
    return changed


def _identify(call: Call, site: Site, block: Mapping[str, Any]) -> None:
    """Set the site's identities to those of an `identity` block."""
    kinds = {kind.strip().lower() for kind in str(block.get("type") or "None").split(",")}
    if "systemassigned" not in kinds:
        site.system_identity = None
    elif site.system_identity is None:
        new = str(uuid.uuid4()), str(uuid.uuid4())
        site.system_identity = Identity(*new, call.state.tenant)
    if "userassigned" not in kinds:
        site.user_identities = []
        return
    wanted = block.get("userAssignedIdentities") or {}
    site.user_identities = [_user_identity(call, each) for each in wanted]


def _user_identity(call: Call, resource_id: str) -> Identity:
    found = call.state.identities.get(resource_id.lower())
    if found is None:
        text = (
            f"Identity operation for resource failed: the identity '{resource_id}' was not found."
        )
        raise errors.gateway(400, "FailedIdentityOperation", text)
    return found


async def delete_site(call: Call) -> Response:
    """DELETE of a site with its slots, or of a slot: 200 without a body."""
    site = writable(call)
    for each in (site, *site.slots.values()):
        call.double.runtime.stop(each)
    if site.slot:
        parent = call.parent()
        parent.slots = {key: slot for key, slot in parent.slots.items() if slot is not site}
    else:
        del call.state.sites[site.group.lower(), site.name.lower()]
    return empty(200, {"etag": site.etag})


def _halt(call: Call, site: Site) -> None:
    site.state = "Stopped"
    site_json.touch(site)
    call.double.runtime.stop(site)


def _run(call: Call, site: Site) -> None:
    site.state = "Running"
    site_json.touch(site)
    call.double.runtime.start(site)


async def restart(call: Call) -> Response:
    """POST …/restart: responds at once, before the container has started."""
    site = writable(call)
    if site.state == "Running":
        call.double.runtime.restart(site)
    return empty(200)


async def stop(call: Call) -> Response:
    """POST …/stop."""
    site = writable(call)
    _halt(call, site)
    return empty(200, {"etag": site.etag})


async def start(call: Call) -> Response:
    """POST …/start."""
    site = writable(call)
    _run(call, site)
    return empty(200, {"etag": site.etag})


async def check_name(call: Call) -> Response:
    """POST …/checknameavailability of the subscription."""
    name = str(call.object().get("name", ""))
    if name.lower() in {key for _, key in call.state.sites}:
        message = f"Hostname '{name}' already exists. Please select a different name."
        return web({"nameAvailable": False, "reason": "AlreadyExists", "message": message})
    return web({"nameAvailable": True, "reason": "", "message": ""})


async def list_stacks(call: Call) -> Response:
    """GET /providers/Microsoft.Web/webAppStacks: an empty list, enough for `az webapp create`."""
    return web(site_json.listing([]))


ROUTES = (
    Route("GET", "/providers/Microsoft.Web/webAppStacks", list_stacks, checked=False),
    Route("POST", CHECK_NAME, check_name, checked=False),
    Route("GET", SUBSCRIPTION + SITES, list_sites, checked=False),
    Route("GET", GROUP + SITES, list_sites),
    Route("GET", SITE + "/slots", list_slots),
    *both("GET", "", get_site),
    *both("PUT", "", put_site),
    *both("PATCH", "", patch_site),
    *both("DELETE", "", delete_site),
    *both("POST", "/restart", restart),
    *both("POST", "/stop", stop),
    *both("POST", "/start", start),
)
