"""The environment variables that App Service gives a container.

Names and meanings: "Environment variables and app settings in Azure App Service" (reference on
learn.microsoft.com) and the `docker run` lines of published platform logs.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from localazure.runtime.image import ImageConfig
from localazure.runtime.rootfs import DEFAULT_PATH, User
from localazure.state import Site

HIDDEN = frozenset(
    {
        "DOCKER_REGISTRY_SERVER_URL",
        "DOCKER_REGISTRY_SERVER_USERNAME",
        "DOCKER_REGISTRY_SERVER_PASSWORD",
    }
)
"""Settings for the platform; according to the reference, containers don't get them."""

_SHOWN = (
    "WEBSITES_CONTAINER_START_TIME_LIMIT",
    "WEBSITES_ENABLE_APP_SERVICE_STORAGE",
    "WEBSITES_PORT",
)

_CONNECTION_PREFIX = {
    "sqlserver": "SQLCONNSTR_",
    "mysql": "MYSQLCONNSTR_",
    "sqlazure": "SQLAZURECONNSTR_",
    "postgresql": "POSTGRESQLCONNSTR_",
    "servicebus": "SERVICEBUSCONNSTR_",
    "eventhub": "EVENTHUBCONNSTR_",
    "notificationhub": "NOTIFICATIONHUBCONNSTR_",
    "doccdb": "DOCDBCONNSTR_",
    "rediscache": "REDISCACHECONNSTR_",
}


def instance_id(site: Site, number: int) -> str:
    """The id of the site's n-th instance: 64 hex digits, the same after every restart."""
    return hashlib.sha256(f"{site.resource_id.lower()}#{number}".encode()).hexdigest()


def variables(
    site: Site, number: int, config: ImageConfig, user: User, port: int, hostname: str
) -> dict[str, str]:
    """The environment of the site's n-th container: image, platform, app settings.

    Later ones override earlier ones: the image's ENV, App Service's variables, the app settings,
    the WEBSITE_* identity.
    """
    # A reference that isn't resolved is passed to the container unchanged, as in Azure.
    settings = app_settings({**site.app_settings, **site.secrets})
    return {
        "PATH": DEFAULT_PATH,
        "HOSTNAME": hostname,
        "HOME": user.home,
        **dict(config.env),
        "PORT": str(port),
        "WEBSITE_AUTH_ENABLED": str(bool(site.easy_auth)),
        "HTTP_LOGGING_ENABLED": "1",
        **settings,
        **{f"APPSETTING_{name}": value for name, value in settings.items()},
        **connection_strings(site.connection_strings),
        **_identity(site, number, hostname),
    }


def shown(site: Site, number: int) -> dict[str, str]:
    """The variables that the old platform log shows: those of the platform, and its settings."""
    settings = {name: value for name, value in site.app_settings.items() if name in _SHOWN}
    identity = _identity(site, number, "")
    names = ("WEBSITE_SITE_NAME", "WEBSITE_ROLE_INSTANCE_ID", "WEBSITE_HOSTNAME")
    platform = {name: identity[name] for name in (*names, "WEBSITE_INSTANCE_ID")}
    return {**settings, **platform}


def app_settings(settings: Mapping[str, str]) -> dict[str, str]:
    """The app settings as variables: names have letters, digits and underscores only."""
    return {
        re.sub(r"[^A-Za-z0-9_]", "_", name): value
        for name, value in settings.items()
        if name and name.upper() not in HIDDEN
    }


def connection_strings(strings: Mapping[str, Any]) -> dict[str, str]:
    """The connection strings as variables, each with the prefix of its type."""
    return {
        _CONNECTION_PREFIX.get(str(entry.get("type")).lower(), "CUSTOMCONNSTR_") + name: value
        for name, entry in strings.items()
        if isinstance(value := entry.get("value"), str)
    }


def _identity(site: Site, number: int, hostname: str) -> dict[str, str]:
    region = site.location.replace(" ", "").lower()
    name = site.name if site.slot is None else f"{site.name}-{site.slot}"
    return {
        "WEBSITE_SITE_NAME": site.name,
        "WEBSITE_SLOT_NAME": site.slot or "Production",
        "WEBSITE_HOSTNAME": site.host,
        "WEBSITE_DEFAULT_HOSTNAME": site.host,
        "WEBSITE_IIS_SITE_NAME": f"~1{name}",
        "WEBSITE_RESOURCE_GROUP": site.group,
        "WEBSITE_OWNER_NAME": f"{site.subscription}+{site.group}-{region}webspace-Linux",
        "WEBSITE_INSTANCE_ID": instance_id(site, number),
        "WEBSITE_ROLE_INSTANCE_ID": str(number),
        "WEBSITE_SKU": "Standard",
        "WEBSITE_COMPUTE_MODE": "Dedicated",
        "WEBSITE_STACK": "DOCKER",
        "REGION_NAME": region,
        "COMPUTERNAME": hostname,
    }
