"""Which answers are App Service's own, by the site's configuration."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from azext_otelembed.webapp.front_door import (
    NOT_READ,
    FrontDoor,
    is_front_door_answer,
    read_front_door,
)
from tests.unit.azure.test_arm_json import answered, shop
from tests.unit.samples import SITE

ALLOW_ALL = {"ipAddress": "Any", "action": "Allow", "priority": 2147483647, "name": "Allow all"}
DENY_ALL = {**ALLOW_ALL, "action": "Deny", "name": "Deny all"}
OFFICE = {"ipAddress": "203.0.113.0/24", "action": "Allow", "priority": 100}
ENTRA = (
    "https://login.microsoftonline.com/common/oauth2/v2.0/authorize?response_type=code+id_token"
    "&redirect_uri=https%3A%2F%2Fshop.azurewebsites.net%2F.auth%2Flogin%2Faad%2Fcallback"
)
GOOGLE = (
    "https://accounts.google.com/o/oauth2/v2/auth?response_type=code"
    "&redirect_uri=https://shop.azurewebsites.net/.auth/login/google/callback&scope=openid"
)
RESTRICTED = "access restrictions may deny this machine's address"


def read(
    auth: Any = None,
    site: dict[str, Any] | None = None,
    configuration: dict[str, Any] | None = None,
    path: str = "/",
) -> FrontDoor:
    """The front door of a site with these properties."""
    client = shop(answered({"/config/authsettingsV2": {"properties": auth}}))
    observed = replace(SITE, resource={"properties": site or {}}, configuration=configuration or {})
    return read_front_door(client, observed, path)


def easy_auth(action: str | None = "RedirectToLoginPage", **validation: Any) -> dict[str, Any]:
    """Settings of Easy Auth that require a login."""
    required = {"requireAuthentication": True, "unauthenticatedClientAction": action}
    return {"platform": {"enabled": True}, "globalValidation": {**required, **validation}}


def restrict(*rules: dict[str, Any], default: str | None = None) -> dict[str, Any]:
    return {"ipSecurityRestrictions": list(rules), "ipSecurityRestrictionsDefaultAction": default}


@pytest.mark.parametrize("auth", [None, {}, {"platform": {"enabled": False}}])
def test_a_site_without_any_restriction_answers_itself(auth: Any) -> None:
    front_door = read(auth, {"clientCertEnabled": False}, restrict(ALLOW_ALL))
    assert front_door == FrontDoor()
    for status, location in ((401, ""), (403, ""), (404, ""), (302, ENTRA), (200, "")):
        assert not is_front_door_answer(front_door, status, location)


@pytest.mark.parametrize(
    ("settings", "denies"),
    [
        pytest.param(restrict(), False, id="nothing set"),
        pytest.param(restrict(ALLOW_ALL), False, id="as Azure shows no rules"),
        pytest.param(restrict(OFFICE, DENY_ALL), True, id="a rule, as Azure shows it"),
        pytest.param(restrict(OFFICE), True, id="a rule alone: the end denies"),
        pytest.param(restrict(OFFICE, default="Allow"), False, id="a rule, others allowed"),
        pytest.param(restrict(default="Deny"), True, id="default action"),
        pytest.param(restrict(ALLOW_ALL, default="Deny"), True, id="default action over the last"),
        pytest.param(restrict(DENY_ALL, default="Allow"), False, id="the same, allowing"),
        pytest.param(
            restrict({**OFFICE, "action": "Deny"}, default="Allow"), True, id="one denied"
        ),
        pytest.param(
            restrict({**ALLOW_ALL, "priority": 1}, {**OFFICE, "action": "Deny"}),
            False,
            id="allowed before",
        ),
        pytest.param(
            restrict({**ALLOW_ALL, "priority": 1, "headers": {"x-azure-fdid": ["1"]}}, DENY_ALL),
            True,
            id="allowed with a header only",
        ),
    ],
)
def test_access_restrictions_are_named_if_they_deny_anyone(
    settings: dict[str, Any], denies: bool
) -> None:
    front_door = read(configuration=settings)
    assert front_door.reasons == ((RESTRICTED,) if denies else ())
    assert is_front_door_answer(front_door, 403) is denies
    # Access restrictions never ask for a login: that's the app.
    assert not is_front_door_answer(front_door, 401)
    assert not is_front_door_answer(front_door, 302, ENTRA)


@pytest.mark.parametrize(
    ("site", "configuration", "disabled"),
    [
        ({"publicNetworkAccess": "Disabled"}, {}, True),
        ({}, {"publicNetworkAccess": "disabled"}, True),
        ({"publicNetworkAccess": "Enabled", "privateEndpointConnections": [{}]}, {}, False),
        ({"publicNetworkAccess": None, "privateEndpointConnections": [{"id": "/e"}]}, {}, True),
        ({"publicNetworkAccess": None, "privateEndpointConnections": []}, {}, False),
    ],
)
def test_disabled_public_access_is_named(
    site: dict[str, Any], configuration: dict[str, Any], disabled: bool
) -> None:
    front_door = read(site=site, configuration=configuration)
    assert front_door.reasons == (("public network access is disabled",) if disabled else ())
    assert is_front_door_answer(front_door, 403) is disabled


@pytest.mark.parametrize(
    ("site", "path", "required"),
    [
        ({"clientCertEnabled": True, "clientCertMode": "Required"}, "/", True),
        ({"clientCertEnabled": True, "clientCertMode": None}, "/", True),
        ({"clientCertEnabled": True, "clientCertMode": "Optional"}, "/", False),
        ({"clientCertEnabled": True, "clientCertMode": "OptionalInteractiveUser"}, "/", False),
        ({"clientCertEnabled": False, "clientCertMode": "Required"}, "/", False),
        ({"clientCertEnabled": True, "clientCertExclusionPaths": "/a;/Health"}, "/health/x", False),
        ({"clientCertEnabled": True, "clientCertExclusionPaths": "a, health"}, "/health?x", False),
        ({"clientCertEnabled": True, "clientCertExclusionPaths": "/health;"}, "/", True),
    ],
)
def test_client_certificates_are_named_where_the_health_path_needs_one(
    site: dict[str, Any], path: str, required: bool
) -> None:
    front_door = read(site=site, path=path)
    assert front_door.reasons == (("the site requires a client certificate",) if required else ())
    assert is_front_door_answer(front_door, 403) is required


@pytest.mark.parametrize(
    ("action", "reason", "status", "location"),
    [
        ("RedirectToLoginPage", "Easy Auth redirects requests without a login", 302, ENTRA),
        ("RedirectToLoginPage", "Easy Auth redirects requests without a login", 401, ""),
        (None, "Easy Auth redirects requests without a login", 302, GOOGLE),
        ("Return401", "Easy Auth answers 401 to requests without a login", 401, ""),
        ("Return403", "Easy Auth answers 403 to requests without a login", 403, ""),
        ("RejectWith404", "Easy Auth answers 404 to requests without a login", 404, ""),
    ],
)
def test_easy_auth_is_named_by_what_it_does(
    action: str, reason: str, status: int, location: str
) -> None:
    front_door = read(easy_auth(action))
    assert front_door == FrontDoor((reason,), front_door.statuses)
    assert is_front_door_answer(front_door, status, location)
    assert not is_front_door_answer(front_door, 200)
    assert not is_front_door_answer(front_door, 500)
    assert not is_front_door_answer(front_door, 302, "/welcome")


@pytest.mark.parametrize(
    ("auth", "path"),
    [
        (easy_auth("AllowAnonymous"), "/"),
        (easy_auth(requireAuthentication=False), "/"),
        (easy_auth(excludedPaths=["/other", "/health"]), "/Health?deep=1"),
        (easy_auth(excludedPaths=["health"]), "/health/"),
        (easy_auth(excludedPaths=["/open/*"]), "/open/health"),
        ({**easy_auth(), "platform": {"enabled": False}}, "/"),
    ],
)
def test_easy_auth_that_lets_the_health_path_pass_is_no_reason(auth: Any, path: str) -> None:
    front_door = read(auth, path=path)
    assert front_door == FrontDoor()
    assert not is_front_door_answer(front_door, 401)


@pytest.mark.parametrize("excluded", ["/health", "/health/x", "/open/*", "/heal*x"])
def test_another_excluded_path_changes_nothing(excluded: str) -> None:
    assert read(easy_auth(excludedPaths=[excluded]), path="/healthy").reasons


def test_settings_in_a_file_of_the_site_may_require_a_login() -> None:
    auth = {"platform": {"enabled": True, "configFilePath": "auth.json"}}
    front_door = read(auth)
    assert front_door.reasons == (
        "Easy Auth may require a login (its settings are in the site's file auth.json)",
    )
    assert is_front_door_answer(front_door, 302, ENTRA)


def test_all_reasons_are_named() -> None:
    site = {"publicNetworkAccess": "Disabled", "clientCertEnabled": True}
    assert len(read(easy_auth(), site, restrict(default="Deny")).reasons) == 4


@pytest.mark.parametrize(
    ("auth", "configuration", "reasons"),
    [
        (["a list"], {}, ()),
        ({"platform": {"enabled": True}, "globalValidation": "text"}, {}, ()),
        (easy_auth(excludedPaths="/health"), {}, ()),
        ("text", restrict(default="Deny"), (RESTRICTED,)),
        ({}, {"ipSecurityRestrictions": {"a": "b"}}, ()),
    ],
)
def test_settings_that_can_not_be_read_make_any_refusal_the_front_doors(
    auth: Any, configuration: dict[str, Any], reasons: tuple[str, ...]
) -> None:
    front_door = read(auth, configuration=configuration)
    assert front_door.reasons == reasons
    assert "in place of" in front_door.problem
    for status, location in ((401, ""), (403, ""), (302, ENTRA), (303, "/.auth/login/aad")):
        assert is_front_door_answer(front_door, status, location)
    for status, location in ((200, ""), (404, ""), (500, ""), (302, "/welcome"), (302, "")):
        assert not is_front_door_answer(front_door, status, location)


@pytest.mark.parametrize(
    ("location", "login"),
    [
        (ENTRA, True),
        (GOOGLE, True),
        ("https://login.windows.net/x/oauth2/authorize", True),
        ("https://shop.azurewebsites.net/.auth/login/github?post_login_redirect_uri=/", True),
        ("/.auth/login/my-provider", True),
        ("https://api.twitter.com/oauth/authenticate?oauth_token=1", True),
        ("https://idp.example/authorize?redirect_uri=https://shop/prefix/login/own/callback", True),
        ("https://shop.azurewebsites.net/login", False),
        ("https://login.microsoftonline.com.example/x", False),
        ("/.auth/loginx", False),
        ("/x/.auth/login/aad", False),
        ("/de/", False),
        ("", False),
        ("https://[::1", False),
        ("https://idp.example/?redirect_uri=https://shop/welcome", False),
    ],
)
def test_a_redirect_is_a_login_by_its_address(location: str, login: bool) -> None:
    assert is_front_door_answer(read(easy_auth()), 302, location) is login
    assert is_front_door_answer(NOT_READ, 302, location) is login
