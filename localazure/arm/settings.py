"""App settings, connection strings and metadata: each a set that a PUT replaces completely."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from localazure.arm import errors, key_vault, site_json
from localazure.arm.call import Call
from localazure.arm.responses import web
from localazure.arm.routing import Route
from localazure.arm.sites import both, writable


def _document(call: Call, name: str, properties: Any) -> dict[str, Any]:
    return site_json.sub_resource(call.site(), f"config/{name}", "config", dict(properties))


async def list_settings(call: Call) -> Response:
    """POST config/appsettings/list: as stored, with secrets and references."""
    return web(_document(call, "appsettings", call.site().app_settings))


async def put_settings(call: Call) -> Response:
    """PUT config/appsettings: replaces the set; the container restarts if it differs."""
    given = call.properties()
    for key, value in given.items():
        if isinstance(value, dict | list):
            raise errors.bad_parameter(key, "A setting's value has to be a text.")
    wanted = {key: _text(value) for key, value in given.items()}
    site = writable(call)
    differs = wanted != site.app_settings
    site.app_settings = wanted
    site_json.touch(site)
    if differs:
        call.double.runtime.changed(site, "app settings changed")
    return web(_document(call, "appsettings", wanted), etag=site.etag)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)


async def list_strings(call: Call) -> Response:
    """POST config/connectionstrings/list."""
    return web(_document(call, "connectionstrings", call.site().connection_strings))


async def put_strings(call: Call) -> Response:
    """PUT config/connectionstrings: {name: {value, type}}."""
    given = call.properties()
    site = writable(call)
    differs = given != site.connection_strings
    site.connection_strings = dict(given)
    site_json.touch(site)
    if differs:
        call.double.runtime.changed(site, "connection strings changed")
    return web(_document(call, "connectionstrings", given), etag=site.etag)


def _stored(name: str) -> tuple[Route, ...]:
    """The list and the PUT of a set that has no effect on the container."""
    key = f"config/{name}"

    async def show(call: Call) -> Response:
        return web(_document(call, name, call.site().documents.get(key, {})))

    async def put(call: Call) -> Response:
        given = call.properties()
        site = writable(call)
        site.documents[key] = dict(given)
        site_json.touch(site)
        return web(_document(call, name, given), etag=site.etag)

    return *both("POST", f"/{key}/list", show), *both("PUT", f"/{key}", put)


async def list_references(call: Call) -> Response:
    """GET config/configreferences/appsettings: the settings that refer to a Key Vault."""
    found = (_reference(call, key) for key in call.site().app_settings)
    return web(site_json.listing([each for each in found if each is not None]))


async def get_reference(call: Call) -> Response:
    """GET config/configreferences/appsettings/{setting}."""
    found = _reference(call, call.names["setting"])
    if found is None:
        name = call.names["setting"]
        raise errors.web(404, "NotFound", f"App setting {name} is not a Key Vault reference.")
    return web(found)


def _reference(call: Call, key: str) -> dict[str, Any] | None:
    site = call.site()
    found = key_vault.resolve(call.state, site, site.app_settings.get(key, ""))
    if found is None:
        return None
    properties = {
        "reference": site.app_settings[key],
        "status": found.status,
        "vaultName": found.vault,
        "secretName": found.secret,
        "secretVersion": found.version,
        "identityType": found.identity,
        "details": found.details,
        "source": "KeyVault",
        "activeVersion": found.active_version,
    }
    path = f"config/configreferences/appsettings/{key}"
    return site_json.sub_resource(site, path, "config/configreferences/appsettings", properties)


ROUTES = (
    *both("POST", "/config/appsettings/list", list_settings),
    *both("PUT", "/config/appsettings", put_settings),
    *both("POST", "/config/connectionstrings/list", list_strings),
    *both("PUT", "/config/connectionstrings", put_strings),
    *_stored("metadata"),
    *_stored("azurestorageaccounts"),
    *both("GET", "/config/configreferences/appsettings", list_references),
    *both("GET", "/config/configreferences/appsettings/{setting}", get_reference),
)
