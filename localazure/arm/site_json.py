"""The JSON of sites, slots and their configuration, in the form of Microsoft.Web.

In a site's own GET, nearly all of `siteConfig` is null: it shows only numberOfWorkers,
linuxFxVersion, acrUseManagedIdentityCreds, alwaysOn and http20Enabled.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timezone
from typing import Any

from localazure.arm import config_schema
from localazure.arm.operations import file_time
from localazure.state import Site, State

OUTBOUND = "203.0.113.21,203.0.113.86,203.0.113.142"
"""Documentation addresses (RFC 5737)."""

SITE_CONFIG_ONLY = ("siteAuthEnabled", "siteAuthSettings")
"""Keys of config/web that are not in the site's siteConfig."""

TOLD = ("numberOfWorkers", "linuxFxVersion", "windowsFxVersion", "acrUseManagedIdentityCreds")
TOLD_TOO = ("alwaysOn", "http20Enabled")

LOG_CATEGORIES = (
    "AppServiceAppLogs,AppServiceAuditLogs,AppServiceConsoleLogs,AppServiceHTTPLogs,"
    "AppServiceIPSecAuditLogs,AppServicePlatformLogs,ScanLogs"
)


def touch(site: Site) -> None:
    """Set a new etag, as every write does; its digits are the time in 100 ns since 1601."""
    ticks = max(file_time(datetime.now(timezone.utc)), _ticks(site) + 1)
    site.etag = f'"{ticks:X}"'


def _ticks(site: Site) -> int:
    return int(site.etag.strip('"'), 16)


def modified(site: Site) -> str:
    """The time of the last write, without a time zone, in the format of Microsoft.Web."""
    return datetime.fromtimestamp(
        (_ticks(site) - 116_444_736_000_000_000) / 10_000_000, timezone.utc
    ).strftime("%Y-%m-%dT%H:%M:%S.%f")


def full_name(site: Site) -> str:
    """`site` or `site/slot`."""
    return f"{site.name}/{site.slot}" if site.slot else site.name


def site_type(site: Site) -> str:
    """Microsoft.Web/sites or Microsoft.Web/sites/slots."""
    return "Microsoft.Web/sites/slots" if site.slot else "Microsoft.Web/sites"


def deployment_name(site: Site) -> str:
    """The name of the site in FTP and Kudu: `site` or `site__slot`."""
    return f"{site.name}__{site.slot}" if site.slot else site.name


def publishing_user(site: Site) -> str:
    """`$site` or `$site__slot`."""
    return "$" + deployment_name(site)


def plan_id(site: Site) -> str:
    """The id of the site's App Service plan."""
    group = f"/subscriptions/{site.subscription}/resourceGroups/{site.group}"
    return f"{group}/providers/Microsoft.Web/serverfarms/{site.plan}"


def listed_site(state: State, site: Site) -> dict[str, Any]:
    """A site or slot in a list: two properties are null that its own GET shows."""
    body = site_resource(state, site)
    body["properties"] |= {"privateEndpointConnections": None, "inFlightFeatures": None}
    return body


def listed_slot(state: State, site: Site) -> dict[str, Any]:
    """A slot in the list of a site's slots."""
    body = listed_site(state, site)
    body["properties"] |= {"siteMode": "Limited", "computeMode": "Dedicated"}
    return body


def site_resource(state: State, site: Site, *, fresh: bool = False) -> dict[str, Any]:
    """GET of a site or slot. `fresh`: the response to a PUT, which shows less."""
    body: dict[str, Any] = {
        "id": site.resource_id,
        "name": full_name(site),
        "type": site_type(site),
        "kind": site.kind,
        "location": site.location,
    }
    if site.tags:
        body["tags"] = dict(site.tags)
    body["properties"] = _site_properties(state, site, fresh=fresh)
    identity = identity_block(site)
    if identity:
        body["identity"] = identity
    return body


def identity_block(site: Site) -> dict[str, Any] | None:
    """The `identity` of a resource; user-assigned ids have a lower-case `resourcegroups`."""
    users = {
        _lower_groups(each.resource_id or ""): {
            "principalId": each.principal_id,
            "clientId": each.client_id,
        }
        for each in site.user_identities
    }
    system = site.system_identity
    if system is None and not users:
        return None
    if system is None:
        return {"type": "UserAssigned", "userAssignedIdentities": users}
    block: dict[str, Any] = {
        "type": "SystemAssigned, UserAssigned" if users else "SystemAssigned",
        "tenantId": system.tenant_id,
        "principalId": system.principal_id,
    }
    return {**block, "userAssignedIdentities": users} if users else block


def _lower_groups(resource_id: str) -> str:
    return resource_id.replace("/resourceGroups/", "/resourcegroups/")


def _ssl_state(host: str, kind: str, state: str) -> dict[str, Any]:
    return {
        "name": host,
        "sslState": state,
        "ipBasedSslResult": None,
        "virtualIP": None,
        "virtualIPv6": None,
        "thumbprint": None,
        "certificateResourceId": None,
        "toUpdate": None,
        "toUpdateIpBasedSsl": None,
        "ipBasedSslState": "NotConfigured",
        "hostType": kind,
    }


def site_config(site: Site, *, fresh: bool = False) -> dict[str, Any]:
    """`siteConfig` of a site's own GET."""
    whole = config_schema.complete(site.config)
    shown: dict[str, Any] = dict.fromkeys(key for key in whole if key not in SITE_CONFIG_ONLY)
    for key in (*TOLD, *TOLD_TOO):
        shown[key] = whole[key]
    shown |= {"minimumElasticInstanceCount": 0, "clusteringEnabled": False}
    if not fresh:
        return shown | {"functionAppScaleLimit": 0}
    restrictions = [dict(config_schema.ALLOW_ALL)]
    return shown | {
        "elasticWebAppScaleLimit": 0,
        "ipSecurityRestrictions": restrictions,
        "scmIpSecurityRestrictions": restrictions,
    }


def _site_properties(state: State, site: Site, *, fresh: bool) -> dict[str, Any]:
    linux = "linux" in site.kind.split(",")
    space = f"{site.group}-{site.location.replace(' ', '')}webspace{'-Linux' if linux else ''}"
    properties: dict[str, Any] = {
        "name": f"{site.name}({site.slot})" if site.slot else site.name,
        "state": site.state,
        "hostNames": [site.host],
        "webSpace": space,
        "selfLink": (
            f"https://waws-local-001.api.localhost:454/subscriptions/{site.subscription}"
            f"/webspaces/{space}/sites/{site.name}"
        ),
        "repositorySiteName": site.name,
        "owner": None,
        "usageState": "Normal",
        "enabled": True,
        "adminEnabled": True,
        "afdEnabled": False,
        "enabledHostNames": [site.host, site.scm_host],
        "siteProperties": {
            "metadata": None,
            "properties": [
                {"name": "LinuxFxVersion", "value": site.config.get("linuxFxVersion") or ""},
                {"name": "WindowsFxVersion", "value": site.config.get("windowsFxVersion")},
            ],
            "appSettings": None,
        },
        "availabilityState": "Normal",
        "sslCertificates": None,
        "csrs": [],
        "cers": None,
        "siteMode": None,
        # Azure has Disabled for its own domain. The double's port accepts only TLS, and az
        # uses plain HTTP (`webapp log tail`) unless a host has TLS enabled.
        "hostNameSslStates": [
            _ssl_state(site.host, "Standard", "SniEnabled"),
            _ssl_state(site.scm_host, "Repository", "Disabled"),
        ],
        "computeMode": None,
        "serverFarm": None,
        "serverFarmId": plan_id(site),
        "reserved": linux,
        "isXenon": False,
        "hyperV": "windows" in site.kind and "container" in site.kind,
        "lastModifiedTimeUtc": modified(site),
        "storageRecoveryDefaultState": "Running",
        "contentAvailabilityState": "Normal",
        "runtimeAvailabilityState": "Normal",
        "dnsConfiguration": {},
        "vnetRouteAllEnabled": False,
        "containerAllocationSubnet": None,
        "useContainerLocalhostBindings": None,
        "vnetImagePullEnabled": False,
        "vnetContentShareEnabled": False,
        "siteConfig": site_config(site, fresh=fresh),
        "functionAppConfig": None,
        "daprConfig": None,
        "deploymentId": _deployment_id(site),
        "slotName": None,
        "trafficManagerHostNames": None,
        "sku": _tier(state, site),
        "scmSiteAlsoStopped": False,
        "targetSwapSlot": site.documents.get("targetswapslot"),
        "hostingEnvironment": None,
        "hostingEnvironmentProfile": None,
        "clientAffinityEnabled": True,
        "clientCertEnabled": False,
        "clientCertMode": "Required",
        "clientCertExclusionPaths": None,
        "hostNamesDisabled": False,
        "ipMode": "IPv4",
        "vnetBackupRestoreEnabled": False,
        "domainVerificationIdentifiers": None,
        "customDomainVerificationId": hashlib.sha256(site.subscription.encode())
        .hexdigest()
        .upper(),
        "kind": site.kind,
        "managedEnvironmentId": None,
        "workloadProfileName": None,
        "resourceConfig": None,
        "inboundIpAddress": "203.0.113.8",
        "possibleInboundIpAddresses": "203.0.113.8",
        "ftpUsername": f"{deployment_name(site)}\\{publishing_user(site)}",
        "ftpsHostName": "ftps://waws-local-001.ftp.localhost/site/wwwroot",
        "outboundIpAddresses": OUTBOUND,
        "possibleOutboundIpAddresses": OUTBOUND,
        "containerSize": 0,
        "dailyMemoryTimeQuota": 0,
        "suspendedTill": None,
        "siteDisabledReason": 0,
        "functionExecutionUnitsCache": None,
        "maxNumberOfWorkers": None,
        "homeStamp": "waws-local-001",
        "cloningInfo": None,
        "hostingEnvironmentId": None,
        "tags": dict(site.tags) or None,
        "resourceGroup": site.group,
        "defaultHostName": site.host,
        "slotSwapStatus": site.swap_status,
        "httpsOnly": False,
        "endToEndEncryptionEnabled": False,
        "functionsRuntimeAdminIsolationEnabled": False,
        "redundancyMode": "None",
        "inProgressOperationId": None,
        "geoDistributions": None,
        "privateEndpointConnections": None if fresh else [],
        "publicNetworkAccess": None,
        "buildVersion": None,
        "targetBuildVersion": None,
        "migrationState": None,
        "eligibleLogCategories": LOG_CATEGORIES,
        "inFlightFeatures": None if fresh else ["SiteContainers"],
        "storageAccountRequired": False,
        "virtualNetworkSubnetId": None,
        "keyVaultReferenceIdentity": "SystemAssigned",
        "autoGeneratedDomainNameLabelScope": None,
        "defaultHostNameScope": "Global",
        "privateLinkIdentifiers": None,
        "sshEnabled": None,
    }
    return {**properties, **site.properties}


def _deployment_id(site: Site) -> str:
    if not site.slot:
        return site.name
    return f"{site.name}__{hashlib.sha256(site.slot.encode()).hexdigest()[:4]}"


TIERS = {"B": "Basic", "S": "Standard", "P": "PremiumV2", "F": "Free"}


def tier(sku: str) -> str:
    """The tier of a plan's size: S1 is Standard, P1v3 PremiumV3."""
    if sku.upper().endswith("V3"):
        return "PremiumV3"
    return TIERS.get(sku[:1].upper(), "Standard")


def _tier(state: State, site: Site) -> str:
    plan = state.plans.get((site.group.lower(), site.plan.lower()))
    return tier(plan.sku if plan else "S1")


def config_resource(site: Site) -> dict[str, Any]:
    """GET config/web: its name is the site's."""
    document = sub_resource(site, "config/web", "config", config_properties(site))
    return {**document, "name": site.name}


def written_config(site: Site) -> dict[str, Any]:
    """The response to PATCH and PUT config/web: the site's envelope around the configuration."""
    return {
        "id": site.resource_id,
        "name": full_name(site),
        "type": site_type(site),
        "location": site.location,
        "properties": config_properties(site),
    }


def config_properties(site: Site) -> dict[str, Any]:
    """All of config/web. It has the numbers of identities if an identity pulls from ACR."""
    puller = site.config.get("acrUserManagedIdentityID")
    return {
        **config_schema.complete(site.config),
        "publishingUsername": publishing_user(site),
        "siteAuthEnabled": bool(site.easy_auth),
        "managedServiceIdentityId": 8612 if puller == "" and site.system_identity else None,
        "xManagedServiceIdentityId": 8618 if puller else None,
    }


def sub_resource(site: Site, path: str, kind: str, properties: Any) -> dict[str, Any]:
    """A document below a site, such as `config/appsettings`; its type has no `/slots`."""
    return {
        "id": f"{site.resource_id}/{path}",
        "name": path.rpartition("/")[2],
        "type": f"Microsoft.Web/sites/{kind}",
        "location": site.location,
        "properties": properties,
    }


def listing(entries: list[dict[str, Any]]) -> dict[str, Any]:
    """A list in the form of Microsoft.Web."""
    return {"value": entries, "nextLink": None, "id": None}
