"""The containers of a site whose linuxFxVersion is SITECONTAINERS."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from starlette.responses import Response

from localazure.arm import errors, site_json
from localazure.arm.call import Call
from localazure.arm.responses import empty, web
from localazure.arm.sites import both, writable
from localazure.state import Site

DEFAULTS: dict[str, Any] = {
    "image": None,
    "targetPort": None,
    "isMain": False,
    "startUpCommand": None,
    "authType": "Anonymous",
    "userName": None,
    "passwordSecret": None,
    "userManagedIdentityClientId": None,
    "createdTime": None,
    "lastModifiedTime": None,
    "volumeMounts": [],
    "inheritAppSettingsAndConnectionStrings": True,
    "environmentVariables": [],
}

_PREFIX = "sitecontainers/"


def containers(site: Site) -> dict[str, dict[str, Any]]:
    """The properties of a site's containers, by name."""
    return {
        key.removeprefix(_PREFIX): {**DEFAULTS, **document}
        for key, document in site.documents.items()
        if key.startswith(_PREFIX)
    }


async def list_containers(call: Call) -> Response:
    """GET sitecontainers."""
    site = call.site()
    entries = [_resource(site, name, each) for name, each in containers(site).items()]
    return web(site_json.listing(entries))


async def get_container(call: Call) -> Response:
    """GET sitecontainers/{name}."""
    site, name = call.site(), call.names["container"]
    found = containers(site).get(name.lower())
    if found is None:
        raise errors.web(404, "NotFound", f"Cannot find SiteContainer with name {name}.")
    return web(_resource(site, name, found))


async def put_container(call: Call) -> Response:
    """PUT sitecontainers/{name}: 201 for a new one, 200 otherwise."""
    given, name = call.properties(), call.names["container"]
    if not given.get("image"):
        raise errors.bad_parameter("image", "A site container needs an image.")
    site = writable(call)
    found = containers(site).get(name.lower())
    now = datetime.now(timezone.utc).isoformat()
    wanted = {key: given[key] for key in DEFAULTS if given.get(key) is not None}
    new = {
        **(found or DEFAULTS),
        **wanted,
        "createdTime": found["createdTime"] if found else now,
        "lastModifiedTime": now,
    }
    site.documents[_PREFIX + name.lower()] = new
    site_json.touch(site)
    if site.container_put_restarts:
        call.double.runtime.changed(site, f"site container {name} changed")
    return web(_resource(site, name, new), etag=site.etag, status=200 if found else 201)


async def delete_container(call: Call) -> Response:
    """DELETE sitecontainers/{name}: 200, or 204 if it doesn't exist."""
    site = writable(call)
    gone = site.documents.pop(_PREFIX + call.names["container"].lower(), None)
    if gone is None:
        return empty(204)
    call.double.runtime.changed(site, f"site container {call.names['container']} was deleted")
    return empty(200)


def _resource(site: Site, name: str, properties: dict[str, Any]) -> dict[str, Any]:
    shown = {**properties, "passwordSecret": None}
    return site_json.sub_resource(site, f"sitecontainers/{name}", "sitecontainers", shown)


ROUTES = (
    *both("GET", "/sitecontainers", list_containers),
    *both("GET", "/sitecontainers/{container}", get_container),
    *both("PUT", "/sitecontainers/{container}", put_container),
    *both("DELETE", "/sitecontainers/{container}", delete_container),
)
