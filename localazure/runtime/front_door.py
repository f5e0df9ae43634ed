"""What App Service's front door answers before a request reaches the app.

The front end checks the network: public access, access restrictions, client certificates. Easy Auth
runs in a container beside the app's, so it answers only for a site that is started.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import ip_address, ip_network
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.types import Scope

from localazure.state import Site

_PAGE = (
    "<!DOCTYPE html><html><head><title>{0}</title></head><body><h1>{0}</h1><p>{1}</p></body></html>"
)
_BLOCKED = "The web app you have attempted to reach has blocked your access."
_NO_CERTIFICATE = "The site requires a client certificate."
_PRIORITY = 65000
"""The priority of a rule that has none."""
_PROVIDERS = {"aad": "azureActiveDirectory", "google": "google"}
"""Names of providers in the settings, by those in paths; the double knows two."""
_LOGIN_PAGES = {
    "aad": "https://login.microsoftonline.com/common/oauth2/v2.0/authorize",
    "google": "https://accounts.google.com/o/oauth2/v2/auth",
}


def network_refusal(site: Site, scope: Scope) -> Response | None:
    """403 for a client that the site's network settings refuse; None for all others."""
    request = Request(scope)
    client = request.client.host if request.client else ""
    if _is_private(site) or not _may_enter(site, request, client):
        return _refused("Error 403 - Forbidden", _BLOCKED, {"x-ms-forbidden-ip": client})
    if _lacks_certificate(site, request.url.path):
        return _refused("403 - Forbidden: Access is denied.", _NO_CERTIFICATE)
    return None


def _refused(title: str, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return HTMLResponse(_PAGE.format(title, text), 403, headers)


def _is_private(site: Site) -> bool:
    name = "publicNetworkAccess"
    return "Disabled" in (site.properties.get(name), site.config.get(name))


def _may_enter(site: Site, request: Request, client: str) -> bool:
    """The action of the first rule that matches; without one, the default action.

    Without a default action the end of the rules denies, if there are any (learn.microsoft.com,
    "Azure App Service access restrictions").
    """
    rules = site.config.get("ipSecurityRestrictions") or []
    for rule in sorted(rules, key=lambda rule: rule.get("priority") or _PRIORITY):
        if _covers(rule, client) and _has_headers(rule, request):
            return str(rule.get("action")).lower() == "allow"
    default = site.config.get("ipSecurityRestrictionsDefaultAction")
    return str(default).lower() == "allow" if default else not rules


def _covers(rule: Mapping[str, Any], client: str) -> bool:
    """Whether a rule is for an address. Service tags and subnets never are: clients are local."""
    if str(rule.get("tag") or "Default") == "ServiceTag":
        return False
    for text in str(rule.get("ipAddress") or "").split(","):
        if text.strip().lower() == "any":
            return True
        try:
            if ip_address(client) in ip_network(text.strip(), strict=False):
                return True
        except ValueError:  # `AnyVnets`
            continue
    return False


def _has_headers(rule: Mapping[str, Any], request: Request) -> bool:
    filters: Mapping[str, list[str]] = rule.get("headers") or {}
    return all(request.headers.get(name) in values for name, values in filters.items())


def _lacks_certificate(site: Site, path: str) -> bool:
    """Whether a certificate is required for a path. No client of the double has one."""
    if not site.properties.get("clientCertEnabled"):
        return False
    if site.properties.get("clientCertMode", "Required") != "Required":
        return False
    excluded = re.split("[,;]", site.properties.get("clientCertExclusionPaths") or "")
    return not any(
        part.strip() and path.lower().startswith(part.strip().lower()) for part in excluded
    )


def login_answer(site: Site, scope: Scope) -> Response | None:
    """Easy Auth's answer to a request, which never has a login; None where the app is to answer.

    Redirects lead to Entra ID's login page, or to Easy Auth's path for another provider: public
    reports show the first, the documentation names the second.
    """
    settings, request = site.easy_auth, Request(scope)
    if not settings:
        return None
    routes = (settings.get("httpSettings") or {}).get("routes") or {}
    prefix, path = str(routes.get("apiPrefix") or "/.auth"), request.url.path
    if path.startswith(f"{prefix}/login/"):
        return _to_provider(site, prefix, path.removeprefix(f"{prefix}/login/").partition("/")[0])
    validation = settings.get("globalValidation") or {}
    action = str(validation.get("unauthenticatedClientAction") or "RedirectToLoginPage")
    if action == "AllowAnonymous" or validation.get("requireAuthentication") is False:
        return None
    if any(_excludes(pattern, path) for pattern in validation.get("excludedPaths") or []):
        return None
    status = re.search(r"\d{3}$", action)
    if status is None:
        provider = str(validation.get("redirectToProvider") or "aad").lower()
        if provider in ("aad", "azureactivedirectory"):
            return _to_provider(site, prefix, "aad")
        return RedirectResponse(f"https://{site.host}{prefix}/login/{provider}", 302)
    headers = {"www-authenticate": f'Bearer realm="{site.host}"'} if status[0] == "401" else None
    text = "You do not have permission to view this directory or page."
    return Response(text, int(status[0]), headers, "text/html")


def _excludes(pattern: str, path: str) -> bool:
    """`/path`, or `/path/*` for all below it."""
    wanted = "/" + pattern.lower().lstrip("/")
    if wanted.endswith("/*"):
        return path.lower().startswith(wanted[:-1])
    return path.lower().rstrip("/") == wanted.rstrip("/")


def _to_provider(site: Site, prefix: str, provider: str) -> Response:
    """Easy Auth's own login path: on to the login page of a provider; 404 for an unknown one."""
    page = _LOGIN_PAGES.get(provider)
    if page is None:
        return Response(status_code=404)
    providers = site.easy_auth.get("identityProviders") or {}
    registration = (providers.get(_PROVIDERS[provider]) or {}).get("registration") or {}
    query = {
        "response_type": "code",
        "redirect_uri": f"https://{site.host}{prefix}/login/{provider}/callback",
        "client_id": registration.get("clientId") or "",
        "scope": "openid profile email",
        "state": "redir=/",
    }
    return RedirectResponse(f"{page}?{urlencode(query)}", 302)
