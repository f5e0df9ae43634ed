"""Slot swap: the preview, its reset, and the swap itself as a long-running operation."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from starlette.responses import Response

from localazure.arm import config_schema, errors, site_json
from localazure.arm.call import Call
from localazure.arm.responses import empty, web
from localazure.arm.routing import Route
from localazure.arm.sites import SITE, SLOT, both, writable
from localazure.state import Runtime, Site

WARM_UP = 1.0
"""Seconds that a swap takes; minutes in Azure."""

BEFORE, TARGET = "beforepreview", "targetswapslot"
"""Documents of a slot in preview: its own settings, and its target slot."""

STAYS = config_schema.FRONT_END | {
    "alwaysOn",
    "autoSwapSlotName",
    "cors",
    "numberOfWorkers",
    "publicNetworkAccess",
    "publishingUsername",
    "scmIpSecurityRestrictionsUseMain",
    "vnetName",
}
"""Configuration that belongs to the slot and isn't swapped."""


async def swap(call: Call) -> Response:
    """POST slotsswap: 202 with a Location; the final response is the slot of the path.

    The slot form swaps that slot with `targetSlot`, the site form swaps production with it.
    """
    source, target = _pair(call)
    site = call.parent()
    call.operations.refuse_if_busy(site.resource_id)
    operation = call.operations.start(
        "SwapSiteSlots",
        lambda identifier: f"{source.resource_id}/operationresults/{identifier}",
        _swap(call.double.runtime, site, source, target),
        lambda: web(site_json.site_resource(call.state, source), etag=source.etag),
        occupies=site.resource_id,
    )
    headers = call.operations.headers(call.request, operation)
    return empty(202, {**headers, "etag": source.etag})


def _pair(call: Call) -> tuple[Site, Site]:
    name = str(call.object().get("targetSlot") or "")
    if not name:
        raise errors.bad_parameter("targetSlot", "A swap needs a target slot.")
    source, target = call.site(), call.slot(call.parent(), name)
    if source is target:
        raise errors.bad_parameter("targetSlot", "A slot can't be swapped with itself.")
    return source, target


async def _swap(runtime: Runtime, site: Site, source: Site, target: Site) -> None:
    await asyncio.sleep(WARM_UP + site.swap_delay)
    sticky = _sticky(site, "appSettingNames")
    ours, theirs = _own_settings(source), _own_settings(target)
    source.app_settings = _laid_over(theirs, ours, sticky)
    target.app_settings = _laid_over(ours, theirs, sticky)
    sticky = _sticky(site, "connectionStringNames")
    ours, theirs = source.connection_strings, target.connection_strings
    source.connection_strings = _laid_over(theirs, ours, sticky)
    target.connection_strings = _laid_over(ours, theirs, sticky)
    for key in (source.config.keys() | target.config.keys()) - STAYS:
        mine, other = source.config.get(key), target.config.get(key)
        source.config[key], target.config[key] = other, mine
    now = datetime.now(timezone.utc)
    status = {
        "timestampUtc": f"{now:%Y-%m-%dT%H:%M:%S}.{now.microsecond // 1000:03}Z",
        "sourceSlotName": source.slot or "Production",
        "destinationSlotName": target.slot or "Production",
    }
    for swapped in (target, source):
        swapped.documents.pop(BEFORE, None)
        swapped.documents.pop(TARGET, None)
        swapped.swap_status = status
        site_json.touch(swapped)
        runtime.changed(swapped, "slots were swapped")


def _sticky(site: Site, kind: str) -> set[str]:
    return set(site.slot_config_names.get(kind) or [])


def _own_settings(site: Site) -> dict[str, str]:
    """The settings of a slot without those of a preview."""
    before: dict[str, str] | None = site.documents.get(BEFORE)
    return site.app_settings if before is None else before


def _laid_over(
    free: Mapping[str, Any], slots_own: Mapping[str, Any], sticky: set[str]
) -> dict[str, Any]:
    """The settings that move from one slot, with the sticky ones of the other."""
    moving = {key: value for key, value in free.items() if key not in sticky}
    return moving | {key: value for key, value in slots_own.items() if key in sticky}


async def apply_slot_config(call: Call) -> Response:
    """POST applySlotConfig: the first phase of a swap, with the target's settings in the source."""
    source, target = _pair(call)
    writable(call)
    source.documents.setdefault(BEFORE, dict(source.app_settings))
    sticky = _sticky(call.parent(), "appSettingNames")
    source.app_settings = _laid_over(_own_settings(source), target.app_settings, sticky)
    source.documents[TARGET] = target.slot or "production"
    site_json.touch(source)
    call.double.runtime.changed(source, "swap preview")
    return empty(200, {"etag": source.etag})


async def reset_slot_config(call: Call) -> Response:
    """POST resetSlotConfig: restores the settings from before the first phase."""
    site = writable(call)
    before: Any = site.documents.pop(BEFORE, None)
    site.documents.pop(TARGET, None)
    if before is not None:
        site.app_settings = before
        call.double.runtime.changed(site, "swap preview was undone")
    site_json.touch(site)
    return empty(200, {"etag": site.etag})


async def poll(call: Call) -> Response:
    """GET operationresults/{operation}."""
    return call.operations.poll(call.request, call.names["operation"])


ROUTES = (
    *both("POST", "/slotsswap", swap),
    *both("POST", "/applySlotConfig", apply_slot_config),
    *both("POST", "/resetSlotConfig", reset_slot_config),
    Route("GET", SITE + "/operationresults/{operation}", poll, checked=False),
    Route("GET", SLOT + "/operationresults/{operation}", poll, checked=False),
)
