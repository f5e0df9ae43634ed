"""The documents below a site: config/web, logs, names of sticky settings, credentials, policies."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any
from xml.sax.saxutils import quoteattr

from starlette.responses import Response

from localazure.arm import errors, site_json
from localazure.arm.call import Call
from localazure.arm.responses import web
from localazure.arm.routing import Route
from localazure.arm.sites import SITE, apply_config, both, writable
from localazure.state import STICKY, Site

LOGS: dict[str, Any] = {
    "applicationLogs": {
        "fileSystem": {"level": "Off"},
        "azureTableStorage": {"level": "Off", "sasUrl": None},
        "azureBlobStorage": {"level": "Off", "sasUrl": None, "retentionInDays": None},
    },
    "httpLogs": {
        "fileSystem": {"retentionInMb": 35, "retentionInDays": None, "enabled": False},
        "azureBlobStorage": {"sasUrl": None, "retentionInDays": None, "enabled": False},
    },
    "failedRequestsTracing": {"enabled": False},
    "detailedErrorMessages": {"enabled": False},
}


async def get_config(call: Call) -> Response:
    """GET config/web."""
    return web(site_json.config_resource(call.site()))


async def list_configs(call: Call) -> Response:
    """GET config: the one entry that Azure lists."""
    return web(site_json.listing([site_json.config_resource(call.site())]))


async def write_config(call: Call) -> Response:
    """PATCH and PUT config/web: merge the given properties; a change replaces the container."""
    given = call.properties()
    site = writable(call)
    changed = apply_config(site, given)
    site_json.touch(site)
    if changed:
        call.double.runtime.changed(site, "config/web changed: " + ", ".join(sorted(changed)))
    return web(site_json.written_config(site), etag=site.etag)


async def get_logs(call: Call) -> Response:
    """GET config/logs."""
    site = call.site()
    return web(site_json.sub_resource(site, "config/logs", "config", _logs(site)))


async def put_logs(call: Call) -> Response:
    """PUT config/logs."""
    given = call.properties()
    site = writable(call)
    merged = _merge(_logs(site), given)
    for sink in merged["applicationLogs"].values():
        sink["level"] = str(sink["level"]).capitalize()
    kept = merged["httpLogs"]["fileSystem"]["retentionInDays"]
    merged["httpLogs"]["azureBlobStorage"]["retentionInDays"] = kept
    site.documents["config/logs"] = merged
    site_json.touch(site)
    return web(site_json.sub_resource(site, "config/logs", "config", merged), etag=site.etag)


def _logs(site: Site) -> dict[str, Any]:
    return copy.deepcopy(site.documents.get("config/logs", LOGS))


def _merge(base: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in given.items():
        if isinstance(value, Mapping) and isinstance(base.get(key), dict):
            _merge(base[key], value)
        elif value is not None:
            base[key] = value
    return base


async def get_sticky(call: Call) -> Response:
    """GET config/slotConfigNames: only for the site, without an id, null until it is set."""
    return web(_sticky(call.parent()))


async def put_sticky(call: Call) -> Response:
    """PUT config/slotConfigNames: a list that is left out becomes empty."""
    given = call.properties()
    site = writable(call)
    site.slot_config_names = {key: list(given.get(key) or []) for key in STICKY}
    site_json.touch(site)
    return web(_sticky(site))


def _sticky(site: Site) -> dict[str, Any]:
    return {
        "id": None,
        "name": site.name,
        "type": "Microsoft.Web/sites",
        "location": site.location,
        "properties": dict(site.slot_config_names),
    }


async def list_credentials(call: Call) -> Response:
    """POST config/publishingcredentials/list: answered at once."""
    site = call.site()
    user = site_json.publishing_user(site)
    body = {
        "id": f"{site.resource_id}/publishingcredentials/{user}",
        "name": site_json.full_name(site),
        "type": "Microsoft.Web/sites/publishingcredentials",
        "location": site.location,
        "properties": {
            "name": None,
            "publishingUserName": user,
            "publishingPassword": site.publishing_password,
            "publishingPasswordHash": None,
            "publishingPasswordHashSalt": None,
            "metadata": None,
            "isDeleted": False,
            "scmUri": f"https://{user}:{site.publishing_password}@{site.scm_host}",
        },
    }
    # Otherwise the Terraform provider waits ten seconds before its first poll.
    response = web(body)
    response.headers["x-go-azure-sdk-skip-polling-delay"] = "true"
    return response


async def list_policies(call: Call) -> Response:
    """GET basicPublishingCredentialsPolicies."""
    site = call.site()
    return web(site_json.listing([_policy(site, name) for name in ("ftp", "scm")]))


async def get_policy(call: Call) -> Response:
    """GET basicPublishingCredentialsPolicies/{ftp,scm}: is basic authentication allowed?"""
    return web(_policy(call.site(), _policy_name(call)))


async def put_policy(call: Call) -> Response:
    """PUT basicPublishingCredentialsPolicies/{ftp,scm}."""
    given, name = call.properties(), _policy_name(call)
    site = writable(call)
    site.documents[policy_key(name)] = {"allow": bool(given.get("allow"))}
    site_json.touch(site)
    return web(_policy(site, name), etag=site.etag)


def policy_key(name: str) -> str:
    """The key of the policy `ftp` or `scm` in the site's documents."""
    return f"basicpublishingcredentialspolicies/{name}"


def _policy_name(call: Call) -> str:
    name = call.names["policy"].lower()
    if name not in {"ftp", "scm"}:
        raise errors.web(404, "NotFound", f"Cannot find the policy {call.names['policy']}.")
    return name


def _policy(site: Site, name: str) -> dict[str, Any]:
    path, kind = f"basicPublishingCredentialsPolicies/{name}", "basicPublishingCredentialsPolicies"
    properties = site.documents.get(policy_key(name), {"allow": True})
    return site_json.sub_resource(site, path, kind, properties)


async def publish_profile(call: Call) -> Response:
    """POST publishxml: the publish profiles for Web Deploy, zip and FTP."""
    site = call.site()
    user = site_json.publishing_user(site)
    kinds = {
        "MSDeploy": ("Web Deploy", site.scm_host),
        "ZipDeploy": ("Zip Deploy", site.scm_host),
        "FTP": ("FTP", "ftps://waws-local-001.ftp.localhost/site/wwwroot"),
    }
    profiles = "".join(
        _profile(
            profileName=f"{site_json.deployment_name(site)} - {title}",
            publishMethod=method,
            publishUrl=address,
            msdeploySite=site_json.deployment_name(site),
            userName=user,
            userPWD=site.publishing_password,
            destinationAppUrl=f"https://{site.host}",
            hostingProviderForumLink="",
            controlPanelLink="",
            webSystem="WebSites",
        )
        for method, (title, address) in kinds.items()
    )
    content = f"<publishData>{profiles}</publishData>"
    return Response(content, media_type="application/xml", headers={"etag": site.etag})


def _profile(**attributes: str) -> str:
    text = " ".join(f"{key}={quoteattr(value)}" for key, value in attributes.items())
    return f"<publishProfile {text}><databases /></publishProfile>"


async def list_backup(call: Call) -> Response:
    """POST config/backup/list: none is configured."""
    call.site()
    raise errors.web(404, "NotFound", "Backup configuration not found for site.", extended="04206")


async def list_backups(call: Call) -> Response:
    """GET backups: none was made."""
    call.site()
    return web(site_json.listing([]))


async def list_host_names(call: Call) -> Response:
    """GET hostNameBindings: the site's own host name."""
    site = call.site()
    body = site_json.sub_resource(
        site,
        f"hostNameBindings/{site.host}",
        "hostNameBindings",
        {"siteName": site.name, "domainId": None, "hostNameType": "Verified"},
    )
    body["name"] = f"{site_json.full_name(site)}/{site.host}"
    return web(site_json.listing([body]), etag=site.etag)


ROUTES = (
    *both("GET", "/config", list_configs),
    *both("GET", "/config/web", get_config),
    *both("PATCH", "/config/web", write_config),
    *both("PUT", "/config/web", write_config),
    *both("GET", "/config/logs", get_logs),
    *both("PUT", "/config/logs", put_logs),
    Route("GET", SITE + "/config/slotConfigNames", get_sticky),
    Route("PUT", SITE + "/config/slotConfigNames", put_sticky),
    *both("POST", "/config/publishingcredentials/list", list_credentials),
    *both("POST", "/config/backup/list", list_backup),
    *both("GET", "/backups", list_backups),
    *both("GET", "/basicPublishingCredentialsPolicies", list_policies),
    *both("GET", "/basicPublishingCredentialsPolicies/{policy}", get_policy),
    *both("PUT", "/basicPublishingCredentialsPolicies/{policy}", put_policy),
    *both("POST", "/publishxml", publish_profile),
    *both("GET", "/hostNameBindings", list_host_names),
)
