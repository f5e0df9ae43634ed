"""Web apps: their JSON, creation, changes and identities."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localazure.arm_support import Arm, error

TOLD = {
    "numberOfWorkers",
    "linuxFxVersion",
    "acrUseManagedIdentityCreds",
    "alwaysOn",
    "http20Enabled",
    "functionAppScaleLimit",
    "minimumElasticInstanceCount",
    "clusteringEnabled",
}


def test_a_sites_own_configuration_is_almost_all_null(arm: Arm) -> None:
    config = {"appCommandLine": "run", "healthCheckPath": "/health", "minTlsVersion": "1.3"}
    properties = arm.get(arm.site(config=config))["properties"]
    told = {key for key, value in properties["siteConfig"].items() if value is not None}
    assert told == TOLD
    assert properties["siteConfig"]["linuxFxVersion"].startswith("DOCKER|localhost:")


def test_a_site_has_its_hosts_kind_and_plan(arm: Arm) -> None:
    site = arm.get(arm.site(tags={"team": "shop"}))
    properties = site["properties"]
    assert (site["type"], site["kind"]) == ("Microsoft.Web/sites", "app,linux,container")
    assert site["tags"] == {"team": "shop"}
    assert properties["reserved"] is True
    assert properties["serverFarmId"] == arm.provider("Microsoft.Web/serverfarms/shop-plan")
    kinds = {each["hostType"]: each["name"] for each in properties["hostNameSslStates"]}
    assert kinds["Standard"] == properties["defaultHostName"] == properties["hostNames"][0]
    assert kinds["Repository"] == properties["enabledHostNames"][1]


@pytest.mark.parametrize(
    ("spec", "stack"),
    [
        ({"image": None, "config": {"linuxFxVersion": "NODE|20-lts"}}, "NODE|20-lts"),
        ({"image": None, "config": {"linuxFxVersion": "COMPOSE|dmVy"}}, "COMPOSE|dmVy"),
        ({"image": None, "config": {"linuxFxVersion": "SITECONTAINERS"}}, "SITECONTAINERS"),
    ],
)
def test_other_kinds_of_linux_sites_show_their_stack(
    arm: Arm, spec: dict[str, Any], stack: str
) -> None:
    properties = arm.get(arm.site(**spec))["properties"]
    assert properties["siteConfig"]["linuxFxVersion"] == stack
    shown = {each["name"]: each["value"] for each in properties["siteProperties"]["properties"]}
    assert shown == {"LinuxFxVersion": stack, "WindowsFxVersion": None}


def test_a_windows_container_is_not_reserved(arm: Arm) -> None:
    config = {"windowsFxVersion": "DOCKER|mcr.example/iis:1"}
    site = arm.get(arm.site(image=None, kind="app,container,windows", config=config))
    assert site["properties"]["reserved"] is False
    assert site["properties"]["hyperV"] is True
    assert site["properties"]["siteConfig"]["windowsFxVersion"] == "DOCKER|mcr.example/iis:1"


def test_the_etag_is_the_sites_and_changes_with_every_write(arm: Arm) -> None:
    site = arm.site()
    before = arm.call("GET", site).headers["etag"]
    body = {"properties": {"appCommandLine": "x"}}
    written = arm.call("PATCH", f"{site}/config/web", body).headers["etag"]
    assert written != before
    assert arm.call("GET", site).headers["etag"] == written
    assert "etag" not in arm.call("GET", f"{site}/config/web").headers


def test_a_put_creates_a_site_with_200_and_a_host_of_its_own(arm: Arm) -> None:
    path = arm.provider("Microsoft.Web/sites/made-by-put")
    body = {
        "location": "West Europe",
        "kind": "app,linux,container",
        "properties": {
            "serverFarmId": arm.provider("Microsoft.Web/serverfarms/shop-plan"),
            "reserved": True,
            "httpsOnly": True,
            "siteConfig": {
                "linuxFxVersion": "DOCKER|example.com/none:1",
                "appSettings": [{"name": "A", "value": "1"}],
            },
        },
    }
    made = arm.call("PUT", path, body)
    assert made.status_code == 200
    properties = made.json()["properties"]
    assert properties["inFlightFeatures"] is None
    assert properties["siteConfig"]["linuxFxVersion"] == ""
    assert properties["siteProperties"]["properties"][0]["value"] == "DOCKER|example.com/none:1"
    assert arm.settings(path) == {"A": "1"}
    assert arm.get(path)["properties"]["httpsOnly"] is True
    assert arm.config(path)["linuxFxVersion"] == "DOCKER|example.com/none:1"
    assert arm.call("DELETE", path).status_code == 200
    assert error(arm.call("GET", path)) == (404, "ResourceNotFound")


def test_a_put_of_an_existing_site_changes_only_the_given_properties(arm: Arm) -> None:
    site = arm.site(config={"appCommandLine": "run"}, app_settings={"A": "1"}, tags={"a": "b"})
    before = arm.config(site)
    body = {"location": "westeurope", "properties": {"clientAffinityEnabled": False}}
    assert arm.call("PUT", site, body).status_code == 200
    assert arm.config(site) == before
    assert arm.settings(site) == {"A": "1"}
    assert arm.get(site)["tags"] == {"a": "b"}
    assert arm.get(site)["properties"]["clientAffinityEnabled"] is False


def test_an_assigned_identity_keeps_its_principal(arm: Arm) -> None:
    site = arm.site()
    assert "identity" not in arm.get(site)
    body = {"location": "westeurope", "identity": {"type": "SystemAssigned"}}
    first = arm.call("PUT", site, body).json()["identity"]
    again = arm.call("PUT", site, body).json()["identity"]
    assert first == again
    assert first["type"] == "SystemAssigned"
    assert first["tenantId"] == arm.azure.tenant
    removed = arm.call("PATCH", site, {"identity": {"type": "None"}}).json()
    assert "identity" not in removed


def test_a_user_assigned_identity_is_keyed_by_its_id_with_a_lower_case_group(arm: Arm) -> None:
    path = arm.provider("Microsoft.ManagedIdentity/userAssignedIdentities/puller")
    made = arm.call("PUT", path, {"location": "westeurope"}, "2023-01-31").json()
    block = {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {path: {}}}
    identity = arm.call("PATCH", arm.site(), {"identity": block}).json()["identity"]
    assert identity["type"] == "SystemAssigned, UserAssigned"
    assert identity["userAssignedIdentities"] == {
        made["id"]: {
            "principalId": made["properties"]["principalId"],
            "clientId": made["properties"]["clientId"],
        }
    }
    assert "/resourcegroups/" in made["id"]


def test_an_identity_that_does_not_exist_is_refused(arm: Arm) -> None:
    path = arm.provider("Microsoft.ManagedIdentity/userAssignedIdentities/nobody")
    block = {"type": "UserAssigned", "userAssignedIdentities": {path: {}}}
    assert arm.call("PATCH", arm.site(), {"identity": block}).status_code == 400


def test_stop_and_start_show_in_the_state(arm: Arm) -> None:
    site = arm.site(state="Running")
    assert arm.get(site)["properties"]["state"] == "Running"
    stopped = arm.call("POST", f"{site}/stop")
    assert (stopped.status_code, stopped.content) == (200, b"")
    assert arm.get(site)["properties"]["state"] == "Stopped"
    arm.call("POST", f"{site}/start")
    assert arm.get(site)["properties"]["state"] == "Running"


def test_a_sites_component_is_linked_by_a_tag(arm: Arm) -> None:
    component = arm.provider("microsoft.insights/components/shop-insights")
    tags = {"hidden-link: /app-insights-resource-id": component}
    assert arm.get(arm.site(tags=tags))["tags"] == tags


def test_names_in_use_are_reported_as_unavailable(arm: Arm) -> None:
    arm.site(name="taken")
    path = f"{arm.subscription}/providers/Microsoft.Web/checknameavailability"
    body = {"name": "taken", "type": "Site"}
    assert arm.call("POST", path, body).json()["nameAvailable"] is False
    assert arm.call("POST", path, {**body, "name": "free"}).json()["nameAvailable"] is True
