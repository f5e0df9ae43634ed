"""What a site's front end and Easy Auth answer in place of the app."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from localazure.state import Site
from tests.localazure.runtime_support import GROUP, RuntimeFixture, server_image

HERE = [
    {"ipAddress": "127.0.0.1/32", "action": "Allow", "priority": 10},
    {"ipAddress": "::1/128", "action": "Allow", "priority": 11},
]
"""Rules that let this machine in."""
ELSEWHERE = {"ipAddress": "203.0.113.0/24", "action": "Allow", "priority": 20}
LOGIN: dict[str, Any] = {
    "platform": {"enabled": True},
    "globalValidation": {
        "requireAuthentication": True,
        "unauthenticatedClientAction": "RedirectToLoginPage",
        "excludedPaths": ["/echo", "/slow/*"],
    },
}


async def ask(here: RuntimeFixture, path: str = "/", **spec: Any) -> httpx.Response:
    """The answer of a new site without a container, whose own page is a 200."""
    site = await here.double.add_site({"name": "open", "group": GROUP, **spec})
    return await here.get(site, path)


@pytest.mark.parametrize(
    ("rules", "default", "status"),
    [
        pytest.param([], None, 200, id="no rules"),
        pytest.param([], "Deny", 403, id="default action"),
        pytest.param([ELSEWHERE], None, 403, id="a rule for others"),
        pytest.param([ELSEWHERE], "Allow", 200, id="a rule for others, and the rest allowed"),
        pytest.param(HERE, None, 200, id="a rule for this machine"),
        pytest.param(
            [{"ipAddress": "Any", "action": "Deny", "priority": 5}, *HERE], None, 403, id="priority"
        ),
        pytest.param(
            [{**rule, "headers": {"x-azure-fdid": ["1"]}} for rule in HERE], None, 403, id="header"
        ),
        pytest.param(
            [{"ipAddress": "0.0.0.0/0,::/0", "action": "Allow"}], None, 200, id="several ranges"
        ),
        pytest.param(
            [{"ipAddress": "AzureFrontDoor.Backend", "tag": "ServiceTag", "action": "Allow"}],
            None,
            403,
            id="service tag",
        ),
    ],
)
async def test_access_restrictions_are_evaluated_for_the_callers_address(
    here: RuntimeFixture, rules: list[dict[str, Any]], default: str | None, status: int
) -> None:
    answer = await ask(
        here,
        config={
            "ipSecurityRestrictions": rules,
            "ipSecurityRestrictionsDefaultAction": default,
        },
    )
    assert answer.status_code == status
    if status == 403:
        assert answer.headers["x-ms-forbidden-ip"] in ("127.0.0.1", "::1")
        assert "Error 403 - Forbidden" in answer.text


@pytest.mark.parametrize(
    ("properties", "path", "status"),
    [
        ({"publicNetworkAccess": "Disabled"}, "/", 403),
        ({"publicNetworkAccess": "Enabled"}, "/", 200),
        ({"clientCertEnabled": True}, "/", 403),
        ({"clientCertEnabled": True, "clientCertMode": "Optional"}, "/", 200),
        ({"clientCertEnabled": True, "clientCertExclusionPaths": "/a;/Open"}, "/open/x", 200),
        ({"clientCertEnabled": True, "clientCertExclusionPaths": "/a;/Open"}, "/", 403),
    ],
)
async def test_properties_of_the_site_close_its_front_end(
    here: RuntimeFixture, properties: dict[str, Any], path: str, status: int
) -> None:
    assert (await ask(here, path, properties=properties)).status_code == status


async def set_login(here: RuntimeFixture, site: Site, **changes: Any) -> None:
    validation = {**LOGIN["globalValidation"], **changes}
    site.documents["config/authsettingsv2"] = {**LOGIN, "globalValidation": validation}


async def test_easy_auth_answers_beside_a_container_that_serves(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image()))
    assert (await here.facts(site))["env"]["WEBSITE_AUTH_ENABLED"] == "False"
    await set_login(here, site)
    redirect = await here.get(site)
    assert redirect.status_code == 302
    location = httpx.URL(redirect.headers["location"])
    assert location.host == "login.microsoftonline.com"
    callback = f"https://{site.host}/.auth/login/aad/callback"
    assert location.params["redirect_uri"] == callback
    assert (await here.get(site, "/echo")).status_code == 201
    assert (await here.get(site, "/slow/x")).status_code == 404, "that is the app's"
    await set_login(here, site, redirectToProvider="google")
    own = (await here.get(site)).headers["location"]
    assert own == f"https://{site.host}/.auth/login/google"
    assert "accounts.google.com" in (await here.http.get(own)).headers["location"]
    for action, status in (("Return401", 401), ("Return403", 403), ("RejectWith404", 404)):
        await set_login(here, site, unauthenticatedClientAction=action)
        assert (await here.get(site)).status_code == status
    await set_login(here, site, unauthenticatedClientAction="AllowAnonymous")
    assert (await here.facts(site))["pid"]
    assert here.log(site).count("request GET /facts") == 2


async def test_easy_auth_does_not_answer_for_a_site_that_is_not_started(
    here: RuntimeFixture,
) -> None:
    site = await here.site(
        here.push(server_image()),
        app_settings={"FAIL": "3"},
        documents={"config/authsettingsv2": LOGIN},
    )
    await here.until_logged(site, "can't go on")
    assert (await here.get(site)).status_code == 503
    site.state = "Stopped"
    assert "stopped" in (await here.get(site)).text
