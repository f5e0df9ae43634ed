"""Easy Auth: config/authsettings (version 1) and config/authsettingsV2, two views of one thing.

Answers and the refusal of version 1 on a site of version 2 as in the recordings of the az
extension authV2 (Azure/azure-cli-extensions) and in Azure/azure-cli#17837 and #30322.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from localazure.arm import errors, site_json
from localazure.arm.call import Call
from localazure.arm.config_schema import AUTH_SETTINGS
from localazure.arm.responses import web
from localazure.arm.sites import both, writable
from localazure.state import Site

V1, V2 = "config/authsettings", "config/authsettingsv2"
"""Documents of a site. V2 is there in both versions: `Site.easy_auth` and the front end use it."""
OFF: dict[str, Any] = {"platform": {"enabled": False}}


async def get_v2(call: Call) -> Response:
    """GET config/authsettingsV2, and its `list`: neither holds secrets, only settings' names."""
    return web(_document(call.site()))


async def put_v2(call: Call) -> Response:
    """PUT config/authsettingsV2: replaces the settings, and restarts the site if they differ."""
    given = call.properties()
    site = writable(call)
    site.documents.pop(V1, None)
    _write(call, site, given or OFF)
    return web(_document(site), etag=site.etag)


async def list_v1(call: Call) -> Response:
    """POST config/authsettings/list: of a site of version 2, what version 1 can express."""
    return web(_document_v1(call.site()))


async def put_v1(call: Call) -> Response:
    """PUT config/authsettings: 400 for a site of version 2."""
    given = call.properties()
    site = writable(call)
    if _version(site) == "v2":
        template = (
            "Cannot execute the request for site {0} because the site is running on auth "
            "version {1}."
        )
        names = [site.name, "v2"]
        text = template.format(*names)
        raise errors.web(
            400, "BadRequest", text, extended="04534", template=template, parameters=names
        )
    site.documents[V1] = {key: value for key, value in given.items() if key in AUTH_SETTINGS}
    _write(call, site, _upgraded(given))
    return web(_document_v1(site), etag=site.etag)


def _write(call: Call, site: Site, settings: dict[str, Any]) -> None:
    differs = settings != site.documents.get(V2, OFF)
    site.documents[V2] = settings
    site_json.touch(site)
    if differs:
        # Easy Auth runs in a container of its own, which starts and stops with the site's.
        call.double.runtime.changed(site, "authentication settings changed")


def _document(site: Site) -> dict[str, Any]:
    settings = site.documents.get(V2, OFF)
    return site_json.sub_resource(site, "config/authsettingsV2", "config", settings)


def _document_v1(site: Site) -> dict[str, Any]:
    validation = site.easy_auth.get("globalValidation") or {}
    properties = {
        **dict.fromkeys(AUTH_SETTINGS),
        "isAadAutoProvisioned": False,
        **site.documents.get(V1, {}),
        "enabled": bool(site.easy_auth),
        "unauthenticatedClientAction": validation.get("unauthenticatedClientAction"),
        "configVersion": _version(site),
    }
    return site_json.sub_resource(site, V1, "config", properties)


def _version(site: Site) -> str:
    return "v2" if V2 in site.documents and V1 not in site.documents else "v1"


def _upgraded(given: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of version 1 in the form of version 2, as far as the double uses them."""
    action = given.get("unauthenticatedClientAction") or "RedirectToLoginPage"
    provider = given.get("defaultProvider") or "AzureActiveDirectory"
    return {
        "platform": {"enabled": bool(given.get("enabled"))},
        "globalValidation": {
            "requireAuthentication": action != "AllowAnonymous",
            "unauthenticatedClientAction": action,
            "redirectToProvider": str(provider).lower(),
        },
        "identityProviders": {
            "azureActiveDirectory": {
                "enabled": True,
                "registration": {
                    "openIdIssuer": given.get("issuer"),
                    "clientId": given.get("clientId"),
                },
            }
        },
    }


ROUTES = (
    *both("GET", "/config/authsettingsV2", get_v2),
    *both("GET", "/config/authsettingsV2/list", get_v2),
    *both("PUT", "/config/authsettingsV2", put_v2),
    *both("POST", "/config/authsettings/list", list_v1),
    *both("PUT", "/config/authsettings", put_v1),
)
