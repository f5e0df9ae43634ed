"""config/web: the default values of a Linux web app, and the keys that a write may change.

The keys and their order are those of GET config/web (api-version 2023-01-01 and later).
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from localazure.arm import errors

LAST = 2147483647
"""The priority of the rule for all other addresses, which Azure appends to the rules itself."""

ALLOW_ALL = {
    "ipAddress": "Any",
    "action": "Allow",
    "priority": LAST,
    "name": "Allow all",
    "description": "Allow all access",
}

DENY_ALL = {
    **ALLOW_ALL,
    "action": "Deny",
    "name": "Deny all",
    "description": "Deny all access",
}

AUTH_SETTINGS = (
    "enabled",
    "unauthenticatedClientAction",
    "tokenStoreEnabled",
    "allowedExternalRedirectUrls",
    "defaultProvider",
    "clientId",
    "clientSecret",
    "clientSecretSettingName",
    "clientSecretCertificateThumbprint",
    "issuer",
    "allowedAudiences",
    "additionalLoginParams",
    "isAadAutoProvisioned",
    "aadClaimsAuthorization",
    "googleClientId",
    "googleClientSecret",
    "googleClientSecretSettingName",
    "googleOAuthScopes",
    "facebookAppId",
    "facebookAppSecret",
    "facebookAppSecretSettingName",
    "facebookOAuthScopes",
    "gitHubClientId",
    "gitHubClientSecret",
    "gitHubClientSecretSettingName",
    "gitHubOAuthScopes",
    "twitterConsumerKey",
    "twitterConsumerSecret",
    "twitterConsumerSecretSettingName",
    "microsoftAccountClientId",
    "microsoftAccountClientSecret",
    "microsoftAccountClientSecretSettingName",
    "microsoftAccountOAuthScopes",
    "configVersion",
)

DEFAULTS: dict[str, Any] = {
    "numberOfWorkers": 1,
    "defaultDocuments": [
        "Default.htm",
        "Default.html",
        "Default.asp",
        "index.htm",
        "index.html",
        "iisstart.htm",
        "default.aspx",
        "index.php",
        "hostingstart.html",
    ],
    "netFrameworkVersion": "v4.0",
    "phpVersion": "",
    "pythonVersion": "",
    "nodeVersion": "",
    "powerShellVersion": "",
    "linuxFxVersion": "",
    "windowsFxVersion": None,
    "windowsConfiguredStacks": [],
    "requestTracingEnabled": False,
    "remoteDebuggingEnabled": False,
    "remoteDebuggingVersion": "VS2019",
    "httpLoggingEnabled": False,
    "azureMonitorLogCategories": None,
    "acrUseManagedIdentityCreds": False,
    "acrUserManagedIdentityID": None,
    "logsDirectorySizeLimit": 35,
    "detailedErrorLoggingEnabled": False,
    "publishingUsername": None,
    "publishingPassword": None,
    "appSettings": None,
    "metadata": None,
    "connectionStrings": None,
    "machineKey": None,
    "handlerMappings": None,
    "documentRoot": None,
    "scmType": "None",
    "use32BitWorkerProcess": True,
    "webSocketsEnabled": False,
    "alwaysOn": True,
    "javaVersion": None,
    "javaContainer": None,
    "javaContainerVersion": None,
    "appCommandLine": "",
    "managedPipelineMode": "Integrated",
    "virtualApplications": [
        {
            "virtualPath": "/",
            "physicalPath": "site\\wwwroot",
            "preloadEnabled": True,
            "virtualDirectories": None,
        }
    ],
    "winAuthAdminState": 0,
    "winAuthTenantState": 0,
    "customAppPoolIdentityAdminState": False,
    "customAppPoolIdentityTenantState": False,
    "runtimeADUser": None,
    "runtimeADUserPassword": None,
    "loadBalancing": "LeastRequests",
    "routingRules": [],
    "experiments": {"rampUpRules": []},
    "limits": None,
    "autoHealEnabled": False,
    "autoHealRules": None,
    "tracingOptions": None,
    "vnetName": "",
    "vnetRouteAllEnabled": False,
    "vnetPrivatePortsCount": 0,
    "publicNetworkAccess": None,
    "siteAuthEnabled": False,
    "siteAuthSettings": {**dict.fromkeys(AUTH_SETTINGS), "isAadAutoProvisioned": False},
    "cors": None,
    "push": None,
    "apiDefinition": None,
    "apiManagementConfig": None,
    "autoSwapSlotName": None,
    "localMySqlEnabled": False,
    "managedServiceIdentityId": None,
    "xManagedServiceIdentityId": None,
    "keyVaultReferenceIdentity": None,
    "ipSecurityRestrictions": [ALLOW_ALL],
    "ipSecurityRestrictionsDefaultAction": None,
    "scmIpSecurityRestrictions": [ALLOW_ALL],
    "scmIpSecurityRestrictionsDefaultAction": None,
    "scmIpSecurityRestrictionsUseMain": False,
    "http20Enabled": True,
    "minTlsVersion": "1.2",
    "minTlsCipherSuite": None,
    "supportedTlsCipherSuites": None,
    "scmMinTlsVersion": "1.2",
    "ftpsState": "FtpsOnly",
    "preWarmedInstanceCount": 0,
    "functionAppScaleLimit": None,
    "elasticWebAppScaleLimit": 0,
    "healthCheckPath": None,
    "fileChangeAuditEnabled": False,
    "functionsRuntimeScaleMonitoringEnabled": False,
    "websiteTimeZone": None,
    "minimumElasticInstanceCount": 0,
    "azureStorageAccounts": {},
    "http20ProxyFlag": 0,
    "sitePort": None,
    "antivirusScanEnabled": False,
    "storageType": "StorageVolume",
    "sitePrivateLinkHostEnabled": False,
    "clusteringEnabled": False,
}

READ_ONLY = {
    "publishingUsername",
    "publishingPassword",
    "machineKey",
    "siteAuthEnabled",
    "siteAuthSettings",
}
"""Read-only: az sends these back, as it writes all that it read; Azure ignores them."""

RESTRICTIONS = ("ipSecurityRestrictions", "scmIpSecurityRestrictions")
"""Lists of rules; each one's default action is under its name with `DefaultAction`."""

FRONT_END = {*RESTRICTIONS, *(f"{name}DefaultAction" for name in RESTRICTIONS)}
"""The front end applies these: a change doesn't restart the container."""

ELSEWHERE = {"appSettings", "connectionStrings", "metadata"}
"""Accepted here, stored in sub-resources, always null in config/web."""

STACKS = {
    "DOCKER",
    "COMPOSE",
    "KUBE",
    "NODE",
    "PYTHON",
    "DOTNETCORE",
    "JAVA",
    "TOMCAT",
    "JBOSSEAP",
    "PHP",
    "RUBY",
    "GO",
    "STATICSITE",
}

_IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:/@-]*")


def complete(config: Mapping[str, Any]) -> dict[str, Any]:
    """`config` with every key of config/web, in Azure's order; unknown keys last."""
    merged = {key: config.get(key, default) for key, default in copy.deepcopy(DEFAULTS).items()}
    return {**merged, **{key: value for key, value in config.items() if key not in merged}}


def merge(config: dict[str, Any], given: Mapping[str, Any]) -> set[str]:
    """Write the properties given, and no others, into `config`; return those that changed.

    Those of `FRONT_END` are not returned. A null means "not given", as the SDK's serialiser leaves
    it out. 400 for an invalid value, before anything is written.
    """
    wanted = {
        key: value
        for key, value in given.items()
        if value is not None and key not in READ_ONLY and key not in ELSEWHERE
    }
    if "linuxFxVersion" in wanted:
        check_stack("LinuxFxVersion", wanted["linuxFxVersion"])
    for application in wanted.get("virtualApplications") or []:
        application.setdefault("virtualDirectories", None)
    before = complete(config)
    changed = {key for key, value in wanted.items() if before.get(key) != value}
    config.update(wanted)
    for name in RESTRICTIONS:
        _end_rules(config, name)
    return changed - FRONT_END


def _end_rules(config: dict[str, Any], name: str) -> None:
    """Append the rule for all other addresses: the default action, else deny if there are rules."""
    given = complete(config)
    rules = [rule for rule in given[name] or [] if rule.get("priority") != LAST]
    default = str(given[f"{name}DefaultAction"] or "").lower()
    denies = default == "deny" or (not default and bool(rules))
    config[name] = [*rules, dict(DENY_ALL if denies else ALLOW_ALL)]


def check_stack(name: str, value: Any) -> None:
    """400 unless `value` is a linuxFxVersion: `KIND|argument`, SITECONTAINERS or empty."""
    if not isinstance(value, str):
        raise errors.bad_parameter(name, "It has to be a text.")
    if value == "" or value.upper() == "SITECONTAINERS":
        return
    kind, bar, argument = value.partition("|")
    if not bar or kind.upper() not in STACKS or not argument:
        raise errors.bad_parameter(name, "The stack is not known.")
    if kind.upper() == "DOCKER" and not _IMAGE.fullmatch(argument):
        raise errors.bad_parameter(name, "The image name is not valid.")
