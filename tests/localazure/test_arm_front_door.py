"""ARM before the resource providers: api-versions, paths, headers, unknown types."""

from __future__ import annotations

import re

import pytest

from tests.localazure.arm_support import Arm, error


def test_every_request_needs_an_api_version(arm: Arm) -> None:
    headers = {"authorization": f"Bearer {arm.token}"}
    answer = arm.http.get(f"{arm.azure.management}{arm.group}", headers=headers)
    assert error(answer) == (400, "MissingApiVersionParameter")
    assert error(arm.call("GET", arm.group, version="latest")) == (
        400,
        "InvalidApiVersionParameter",
    )


def test_paths_are_case_insensitive_and_ids_have_the_spelling_of_the_resource(arm: Arm) -> None:
    site = arm.site(name="CamelShop")
    found = arm.get(site.lower().replace("/subscriptions/", "/SUBSCRIPTIONS/"))
    assert found["id"] == site
    assert found["name"] == "CamelShop"


def test_two_slashes_count_as_one(arm: Arm) -> None:
    assert arm.call("GET", f"/{arm.group}").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "{group}/providers/Nobody.Knows/things/a", 404, "InvalidResourceNamespace"),
        ("GET", "{group}/providers/Microsoft.Web/things/a", 404, "InvalidResourceType"),
        (
            "PUT",
            "{group}/providers/Microsoft.Nowhere/things/a",
            409,
            "MissingSubscriptionRegistration",
        ),
        ("DELETE", "{subscription}/resources", 405, "HttpMethodNotAllowed"),
        ("GET", "/subscriptions/00000000-0000-0000-0000-000000000000", 404, "SubscriptionNotFound"),
        ("GET", "{subscription}/resourceGroups/none", 404, "ResourceGroupNotFound"),
        (
            "GET",
            "{subscription}/resourceGroups/none/providers/Microsoft.Web/sites/a",
            404,
            "ResourceGroupNotFound",
        ),
        ("GET", "{group}/providers/Microsoft.Web/sites/none", 404, "ResourceNotFound"),
        ("GET", "{group}/providers/microsoft.insights/components/none", 404, "ResourceNotFound"),
        (
            "GET",
            "{group}/providers/Microsoft.ContainerRegistry/registries/none",
            404,
            "ResourceNotFound",
        ),
    ],
)
def test_unknown_resource_types_are_refused_by_arm_itself(
    arm: Arm, method: str, path: str, status: int, code: str
) -> None:
    full = path.format(group=arm.group, subscription=arm.subscription)
    answer = arm.call(method, full, {} if method == "PUT" else None)
    assert error(answer) == (status, code)
    assert answer.headers["x-ms-failure-cause"] == "gateway"
    assert answer.headers["content-type"] == "application/json; charset=utf-8"


def test_a_missing_resource_is_named_with_its_group(arm: Arm) -> None:
    answer = arm.call("GET", arm.provider("Microsoft.Web/sites/none"))
    assert answer.json() == {
        "error": {
            "code": "ResourceNotFound",
            "message": "The Resource 'Microsoft.Web/sites/none' under resource group 'shop-rg' was "
            "not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix",
        }
    }


def test_a_body_that_is_not_json_is_refused(arm: Arm) -> None:
    answer = arm.http.put(
        arm.azure.management + arm.site(),
        params={"api-version": "2025-05-01"},
        content=b"{",
        headers={"authorization": f"Bearer {arm.token}", "content-type": "application/json"},
    )
    assert error(answer) == (400, "InvalidRequestContent")


def test_every_response_has_arms_headers(arm: Arm) -> None:
    headers = {"x-ms-client-request-id": "mine", "x-ms-return-client-request-id": "true"}
    answer = arm.call("GET", arm.group, headers=headers)
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.headers["x-ms-request-id"])
    assert answer.headers["x-ms-correlation-request-id"]
    routing = answer.headers["x-ms-routing-request-id"]
    assert re.fullmatch(r"[A-Z]+:\d{8}T\d{6}Z:[0-9a-f-]{36}", routing)
    assert int(answer.headers["x-ms-ratelimit-remaining-subscription-global-reads"]) > 0
    assert answer.headers["cache-control"] == "no-cache"
    assert answer.headers["x-ms-client-request-id"] == "mine"


def test_microsoft_web_sends_no_charset_and_the_other_providers_do(arm: Arm) -> None:
    assert arm.call("GET", arm.site()).headers["content-type"] == "application/json"
    component = arm.provider("microsoft.insights/components/shop-insights")
    found = arm.call("GET", component, version="2020-02-02").headers["content-type"]
    assert found == "application/json; charset=utf-8"
