"""Authorization in ARM, and its error responses."""

from __future__ import annotations

import httpx
import pytest

from localazure.arm.access import Demand, demand, within
from localazure.arm.roles import BY_NAME
from localazure.client import LocalAzure
from tests.localazure.arm_support import GROUP, Arm, error

SITE = f"/subscriptions/s/resourceGroups/{GROUP}/providers/Microsoft.Web/sites/shop"


@pytest.mark.parametrize(
    ("method", "path", "action", "scope"),
    [
        ("GET", SITE, "Microsoft.Web/sites/read", SITE),
        ("PUT", SITE, "Microsoft.Web/sites/write", SITE),
        ("PATCH", f"{SITE}/config/web", "Microsoft.Web/sites/config/write", f"{SITE}/config/web"),
        (
            "POST",
            f"{SITE}/config/appsettings/list",
            "Microsoft.Web/sites/config/list/action",
            f"{SITE}/config/appsettings",
        ),
        ("POST", f"{SITE}/restart", "Microsoft.Web/sites/restart/action", SITE),
        (
            "POST",
            f"{SITE}/slots/a/slotsswap",
            "Microsoft.Web/sites/slots/slotsswap/action",
            f"{SITE}/slots/a",
        ),
        (
            "PUT",
            f"{SITE}/providers/Microsoft.Authorization/roleAssignments/x",
            "Microsoft.Authorization/roleAssignments/write",
            f"{SITE}/providers/Microsoft.Authorization/roleAssignments/x",
        ),
        (
            "GET",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites",
            "Microsoft.Web/sites/read",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web",
        ),
        (
            "GET",
            "/subscriptions/s/resourcegroups/g",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "/subscriptions/s/resourcegroups/g",
        ),
    ],
)
def test_a_request_requires_one_action_over_one_scope(
    method: str, path: str, action: str, scope: str
) -> None:
    assert demand(method, path) == Demand(action, scope)


def test_a_scope_contains_the_scopes_below_it_but_not_those_with_the_same_prefix() -> None:
    assert within("/subscriptions/S/resourceGroups/G/x", "/subscriptions/s/resourcegroups/g")
    assert within("/subscriptions/s", "/")
    assert not within(
        "/subscriptions/s/resourceGroups/group2", "/subscriptions/s/resourceGroups/group"
    )


@pytest.mark.parametrize(
    ("role", "action", "allowed"),
    [
        ("owner", "Microsoft.Authorization/roleAssignments/write", True),
        ("contributor", "Microsoft.Web/sites/config/list/action", True),
        ("contributor", "Microsoft.Authorization/roleAssignments/write", False),
        ("reader", "Microsoft.Web/sites/config/read", True),
        ("reader", "Microsoft.Web/sites/config/list/action", False),
        ("acrpull", "Microsoft.ContainerRegistry/registries/read", False),
        ("website contributor", "Microsoft.Web/sites/slots/slotsswap/action", True),
        ("website contributor", "Microsoft.ContainerRegistry/registries/read", False),
    ],
)
def test_a_role_grants_the_actions_of_its_definition(role: str, action: str, allowed: bool) -> None:
    assert BY_NAME[role].allows(action) is allowed


def test_without_a_token_arm_responds_401_with_a_challenge(
    azure: LocalAzure, http: httpx.Client
) -> None:
    answer = http.get(f"{azure.management}/subscriptions", params={"api-version": "2022-12-01"})
    assert error(answer) == (401, "AuthenticationFailed")
    assert answer.headers["www-authenticate"].startswith("Bearer authorization_uri=")
    assert answer.headers["x-ms-failure-cause"] == "gateway"


def test_a_reader_reads_the_site_but_not_its_settings(arm: Arm) -> None:
    site = arm.site()
    reader = arm.other("Reader", arm.group)
    assert reader.call("GET", f"{site}/config/web").status_code == 200
    answer = reader.call("POST", f"{site}/config/appsettings/list")
    assert error(answer) == (403, "AuthorizationFailed")
    message = answer.json()["error"]["message"]
    assert "action 'Microsoft.Web/sites/config/list/action'" in message
    assert f"over scope '{site}/config/appsettings'" in message


@pytest.mark.parametrize(
    ("method", "below", "body"),
    [
        ("PATCH", "/config/web", {"properties": {"appCommandLine": "x"}}),
        ("PUT", "/config/appsettings", {"properties": {}}),
        ("POST", "/restart", None),
        ("DELETE", "", None),
    ],
)
def test_a_reader_changes_nothing(
    arm: Arm, method: str, below: str, body: dict[str, object] | None
) -> None:
    site = arm.site(app_settings={"A": "1"})
    reader = arm.other("Reader", arm.subscription)
    assert error(reader.call(method, site + below, body)) == (403, "AuthorizationFailed")
    assert arm.settings(site) == {"A": "1"}


def test_a_reader_may_not_import_images_nor_see_the_admin_password(arm: Arm) -> None:
    registry = arm.provider("Microsoft.ContainerRegistry/registries/shopregistry")
    reader = arm.other("Reader", arm.group)
    for action in ("importImage", "listCredentials"):
        answer = reader.call("POST", f"{registry}/{action}", {}, "2026-01-01-preview")
        assert error(answer) == (403, "AuthorizationFailed")
        assert f"registries/{action}/action'" in answer.json()["error"]["message"]


def test_rights_to_one_site_do_not_apply_to_another(arm: Arm) -> None:
    mine, theirs = arm.site(), arm.site()
    contributor = arm.other("Website Contributor", mine)
    assert contributor.call("POST", f"{mine}/config/appsettings/list").status_code == 200
    assert error(contributor.call("GET", theirs)) == (403, "AuthorizationFailed")
    listed = contributor.get(f"{arm.subscription}/providers/Microsoft.Web/sites")["value"]
    assert [each["id"] for each in listed] == [mine]
    resources = contributor.get(f"{arm.subscription}/resources", version="2024-11-01")["value"]
    assert [each["id"] for each in resources] == [mine]


def test_a_contributor_may_not_assign_roles(arm: Arm) -> None:
    contributor = arm.other("Contributor", arm.group)
    path = f"{arm.group}/providers/Microsoft.Authorization/roleAssignments/{'0' * 8}"
    answer = contributor.call("PUT", path, {"properties": {}}, "2022-04-01")
    assert error(answer) == (403, "AuthorizationFailed")


def test_a_principal_without_any_role_sees_no_subscription(arm: Arm) -> None:
    arm.azure.add_principal("nobody-at-all", "secret")
    nobody = Arm(arm.azure, arm.http, arm.azure.token(client_id="nobody-at-all", secret="secret"))
    assert nobody.get("/subscriptions", version="2022-12-01")["value"] == []
    assert error(nobody.call("GET", arm.group)) == (403, "AuthorizationFailed")


def test_a_read_only_lock_refuses_every_write_and_the_list_of_settings(arm: Arm) -> None:
    site = arm.site()
    path = f"{site}/providers/Microsoft.Authorization/locks/keep"
    body = {"properties": {"level": "ReadOnly"}}
    assert arm.call("PUT", path, body, "2020-05-01").status_code == 201
    assert error(arm.call("POST", f"{site}/restart")) == (409, "ScopeLocked")
    assert error(arm.call("POST", f"{site}/config/appsettings/list")) == (409, "ScopeLocked")
    assert arm.call("GET", f"{site}/config/web").status_code == 200
    locks = arm.get(f"{site}/providers/Microsoft.Authorization/locks", version="2020-05-01")
    assert [each["properties"]["level"] for each in locks["value"]] == ["ReadOnly"]
    assert arm.call("DELETE", path, version="2020-05-01").status_code == 200
    assert arm.call("POST", f"{site}/restart").status_code == 200


def test_a_delete_lock_refuses_only_deletions(arm: Arm) -> None:
    site = arm.site()
    path = f"{site}/providers/Microsoft.Authorization/locks/keep"
    arm.call("PUT", path, {"properties": {"level": "CanNotDelete"}}, "2020-05-01")
    assert arm.call("POST", f"{site}/restart").status_code == 200
    assert error(arm.call("DELETE", site)) == (409, "ScopeLocked")
