"""Answers of App Service's front door: it refuses requests before they reach the app.

The front door is App Service's own front end with Easy Auth (not the product Azure Front Door). It
answers 401, 403 or a redirect to a login where the site's configuration makes it do so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from azext_otelembed.azure.arm_json import Json, object_at, objects_at, texts_at
from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.errors import OtelembedError
from azext_otelembed.webapp.observe import Observed

REDIRECTS = frozenset({301, 302, 303, 307, 308})
REFUSALS = frozenset({401, 403})

# Twitter's login is OAuth 1: its address has no redirect_uri. That of Entra ID has one.
_LOGIN_HOSTS = frozenset(
    {
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
        "login.chinacloudapi.cn",
        "login.windows.net",
        "api.twitter.com",
    }
)
_LAST = 2147483647  # the priority of the rule that Azure appends for all other addresses
# Easy Auth's own paths; `.auth` is the default of a prefix that can be configured.
_LOGIN_PATH = re.compile(r"/\.auth/login(/|$)", re.I)
_CALLBACK = re.compile(r"/login/[^/]+/callback/?$", re.I)


@dataclass(frozen=True, slots=True)
class FrontDoor:
    """What the front door answers in place of the app.

    `reasons` name the settings of the site that make it refuse requests, in the user's words;
    `statuses` are the HTTP statuses of its answers, of redirects only those to a login. `problem`
    says why settings couldn't be read: then any refusal may be the front door's.
    """

    reasons: tuple[str, ...] = ()
    statuses: frozenset[int] = frozenset()
    problem: str = ""


NOT_READ = FrontDoor(
    statuses=REFUSALS | REDIRECTS | {404}, problem="the site's access settings were not read"
)
"""Before `read_front_door`: of an answer that isn't even this one's, nothing has to be read."""


def is_front_door_answer(front_door: FrontDoor, status: int, location: str = "") -> bool:
    """Whether an HTTP answer is the front door's. `location` is its Location header."""
    if status in REDIRECTS and not _is_login(location):
        return False
    return status in front_door.statuses


def read_front_door(client: SiteClient, observed: Observed, health_path: str) -> FrontDoor:
    """What the front door does with requests without a login for `health_path`: one request.

    Never raises: a setting that can't be read is the `problem` of the result.
    """
    reasons: list[str] = []
    try:
        reasons += _refusals(observed, health_path)
        login = _easy_auth(client.auth_settings(), health_path)
    except OtelembedError as unread:
        return FrontDoor(tuple(reasons), REFUSALS | REDIRECTS, unread.message)
    statuses: frozenset[int] = frozenset({403} if reasons else ())
    if login is not None:
        reasons.append(login.reason)
        statuses |= login.statuses
    return FrontDoor(tuple(reasons), statuses)


def _refusals(observed: Observed, health_path: str) -> list[str]:
    """Why the front end answers 403, by the site and by config/web."""
    site = object_at(str(observed.id), observed.resource, "properties")
    reasons = []
    if _is_private(observed, site):
        reasons.append("public network access is disabled")
    if _denies(observed):
        reasons.append("access restrictions may deny this machine's address")
    if _needs_certificate(observed, site, health_path):
        reasons.append("the site requires a client certificate")
    return reasons


def _is_private(observed: Observed, site: Json) -> bool:
    """Whether publicNetworkAccess is Disabled, which it is by default with a private endpoint.

    Source: learn.microsoft.com, "Azure App Service access restrictions", App access.
    """
    given = [
        str(one.get("publicNetworkAccess") or "").lower() for one in (site, observed.configuration)
    ]
    if any(given):
        return "disabled" in given
    return bool(objects_at(str(observed.id), site, "privateEndpointConnections"))


def _denies(observed: Observed) -> bool:
    """Whether a rule of the access restrictions, or the end of the rules, denies an address.

    Without a default action the end denies all if there are rules (source: as above, "Unmatched
    rule"). Which address App Service sees of this machine isn't known here.
    """
    configuration = observed.configuration
    what = f"Configuration of {observed.id}"
    rules = objects_at(what, configuration, "ipSecurityRestrictions")
    default = str(configuration.get("ipSecurityRestrictionsDefaultAction") or "").lower()
    for rule in sorted(rules, key=_priority):
        if default and _priority(rule) == _LAST:
            break
        if str(rule.get("action") or "").lower() == "deny":
            return True
        if str(rule.get("ipAddress") or "").lower() == "any" and not rule.get("headers"):
            return False
    return default == "deny" or (not default and bool(rules))


def _priority(rule: Json) -> int:
    priority = rule.get("priority")
    return priority if isinstance(priority, int) else 65000  # Azure's default


def _needs_certificate(observed: Observed, site: Json, health_path: str) -> bool:
    """Whether a client certificate is required; excluded paths are separated by , or ; and name
    what a path starts with (learn.microsoft.com, "Configure TLS mutual authentication").
    """
    if not site.get("clientCertEnabled"):
        return False
    # The mode of a site from before there were modes is null: required.
    if str(site.get("clientCertMode") or "required").lower() != "required":
        return False
    excluded = re.split("[,;]", str(site.get("clientCertExclusionPaths") or ""))
    paths = (path.strip().lower() for path in excluded)
    asked = _path(health_path)
    return not any(path and asked.startswith("/" + path.lstrip("/")) for path in paths)


@dataclass(frozen=True, slots=True)
class _Login:
    reason: str
    statuses: frozenset[int]


def _easy_auth(settings: Json, health_path: str) -> _Login | None:
    """How Easy Auth answers a request without a login; None if the app gets the request."""
    what = "Authentication settings"
    platform = object_at(what, settings, "platform")
    if not platform.get("enabled"):
        return None
    if file := platform.get("configFilePath"):
        reason = f"Easy Auth may require a login (its settings are in the site's file {file})"
        return _Login(reason, REFUSALS | REDIRECTS | {404})
    validation = object_at(what, settings, "globalValidation")
    action = str(validation.get("unauthenticatedClientAction") or "RedirectToLoginPage")
    if action.lower() == "allowanonymous" or validation.get("requireAuthentication") is False:
        return None
    excluded = texts_at(what, validation, "excludedPaths")
    if any(_matches(pattern, health_path) for pattern in excluded):
        return None
    # Return401, Return403; in older settings RejectWith401, RejectWith404
    number = re.search(r"[0-9]{3}$", action)
    if number:
        reason = f"Easy Auth answers {number[0]} to requests without a login"
        return _Login(reason, REFUSALS | {int(number[0])})
    # It redirects browsers, and answers 401 to other clients.
    return _Login("Easy Auth redirects requests without a login", REFUSALS | REDIRECTS)


def _matches(pattern: str, health_path: str) -> bool:
    """Whether Easy Auth excludes a path: `/path`, or `/path/*` for all below it."""
    excluded, asked = "/" + pattern.strip().lower().lstrip("/"), _path(health_path)
    if excluded.endswith("*"):
        return asked.startswith(excluded.removesuffix("*"))
    return asked.rstrip("/") == excluded.rstrip("/")


def _path(health_path: str) -> str:
    return health_path.partition("?")[0].lower()


def _is_login(location: str) -> bool:
    """Whether a redirect leads to Easy Auth's login, or to the login page of a provider."""
    try:
        parts = urlsplit(location)
        host = (parts.hostname or "").lower()
    except ValueError:  # such as an invalid IPv6 address
        return False
    if host in _LOGIN_HOSTS or _LOGIN_PATH.match(parts.path):
        return True
    # A provider sends the user back to /.auth/login/<provider>/callback.
    back = parse_qs(parts.query).get("redirect_uri", [""])[0]
    return _CALLBACK.search(back) is not None
