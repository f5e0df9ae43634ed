"""Easy Auth, access restrictions and public access as ARM reads and writes them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localazure.arm_support import Arm, error
from tests.localazure.test_arm_config import starts, wait_for_starts

LOGIN = {
    "platform": {"enabled": True, "runtimeVersion": "~1"},
    "globalValidation": {
        "requireAuthentication": True,
        "unauthenticatedClientAction": "Return401",
        "excludedPaths": ["/health"],
    },
}
OFFICE = {"ipAddress": "203.0.113.0/24", "action": "Allow", "priority": 100, "name": "office"}


def versions(arm: Arm, site: str) -> tuple[Any, Any]:
    """Easy Auth in both versions."""
    first = arm.call("POST", f"{site}/config/authsettings/list").json()
    second = arm.get(f"{site}/config/authsettingsV2")
    assert (first["name"], second["name"]) == ("authsettings", "authsettingsV2")
    assert arm.get(f"{site}/config/authsettingsV2/list") == second
    return first["properties"], second["properties"]


def test_easy_auth_is_off_and_of_version_1_until_it_is_set(arm: Arm) -> None:
    first, second = versions(arm, arm.site())
    assert (first["enabled"], first["configVersion"]) == (False, "v1")
    assert second == {"platform": {"enabled": False}}


def test_version_2_is_replaced_as_a_whole_and_shown_in_version_1(arm: Arm) -> None:
    site = arm.site()
    path = f"{site}/config/authsettingsV2"
    written = arm.call("PUT", path, {"properties": LOGIN})
    assert written.json()["properties"] == LOGIN
    first, second = versions(arm, site)
    assert second == LOGIN
    assert (first["enabled"], first["configVersion"]) == (True, "v2")
    assert first["unauthenticatedClientAction"] == "Return401"
    assert arm.config(site)["siteAuthEnabled"] is True
    refused = arm.call("PUT", f"{site}/config/authsettings", {"properties": {"enabled": True}})
    assert error(refused) == (400, "BadRequest")
    assert "is running on auth version v2" in refused.json()["Message"]
    arm.call("PUT", path, {"properties": {"platform": {"enabled": False}}})
    assert versions(arm, site)[1] == {"platform": {"enabled": False}}
    assert arm.config(site)["siteAuthEnabled"] is False


def test_version_1_is_read_in_version_2_as_well(arm: Arm) -> None:
    slot = arm.slot(arm.site())
    given = {"enabled": True, "unauthenticatedClientAction": "AllowAnonymous", "clientId": "c"}
    written = arm.call("PUT", f"{slot}/config/authsettings", {"properties": given}).json()
    assert written["properties"].items() >= {**given, "configVersion": "v1"}.items()
    _, second = versions(arm, slot)
    assert second["platform"]["enabled"] is True
    assert second["globalValidation"]["requireAuthentication"] is False


def test_easy_auth_and_public_access_restart_the_site_and_restrictions_do_not(arm: Arm) -> None:
    site = arm.site(state="Running", old_log=True)
    wait_for_starts(arm, site, 1)
    count = starts(arm, site)
    arm.call("PATCH", f"{site}/config/web", {"properties": {"ipSecurityRestrictions": [OFFICE]}})
    arm.call("PUT", f"{site}/config/authsettingsV2", {"properties": {}})
    assert starts(arm, site) == count
    arm.call("PUT", f"{site}/config/authsettingsV2", {"properties": LOGIN})
    wait_for_starts(arm, site, count + 1)
    count = starts(arm, site)
    arm.call("PATCH", site, {"properties": {"publicNetworkAccess": "Disabled"}})
    wait_for_starts(arm, site, count + 1)
    assert arm.get(site)["properties"]["publicNetworkAccess"] == "Disabled"


@pytest.mark.parametrize(
    ("given", "last"),
    [
        ({"ipSecurityRestrictions": [OFFICE]}, "Deny"),
        ({"ipSecurityRestrictions": []}, "Allow"),
        ({"ipSecurityRestrictionsDefaultAction": "Deny"}, "Deny"),
        (
            {
                "ipSecurityRestrictions": [OFFICE],
                "ipSecurityRestrictionsDefaultAction": "Allow",
            },
            "Allow",
        ),
    ],
)
def test_the_last_rule_of_the_restrictions_says_what_happens_to_all_others(
    arm: Arm, given: dict[str, Any], last: str
) -> None:
    site = arm.site()
    arm.call("PATCH", f"{site}/config/web", {"properties": given})
    config = arm.config(site)
    *rules, end = config["ipSecurityRestrictions"]
    assert rules == given.get("ipSecurityRestrictions", [])
    assert (end["ipAddress"], end["action"], end["priority"]) == ("Any", last, 2147483647)
    # az writes all that it has read: nothing changes.
    sent = {key: value for key, value in config.items() if value is not None}
    arm.call("PATCH", f"{site}/config/web", {"properties": sent})
    assert arm.config(site) == config


def test_access_stays_with_the_slot_in_a_swap(arm: Arm) -> None:
    site = arm.site()
    slot = arm.slot(site)
    given = {"ipSecurityRestrictionsDefaultAction": "Deny", "publicNetworkAccess": "Enabled"}
    arm.call("PATCH", f"{slot}/config/web", {"properties": given})
    arm.call("PUT", f"{slot}/config/authsettingsV2", {"properties": LOGIN})
    before = arm.config(slot), arm.config(site)
    swap = arm.call("POST", f"{slot}/slotsswap", {"targetSlot": "production"})
    assert arm.finish(swap).status_code == 200
    for key in (*given, "ipSecurityRestrictions", "siteAuthEnabled"):
        assert (arm.config(slot)[key], arm.config(site)[key]) == tuple(c[key] for c in before)
