"""config/web, app settings, sticky names and the other documents below a site."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localazure.arm_support import Arm, error
from tests.waiting import eventually


def starts(arm: Arm, site: str) -> int:
    """The number of the runtime's attempts to start the site's container."""
    return arm.log(site).count("Image pull failed: Verify docker image configuration")


def wait_for_starts(arm: Arm, site: str, number: int) -> None:
    eventually(lambda: starts(arm, site) >= number, 20)


def test_config_web_has_all_keys_and_the_sites_name(arm: Arm) -> None:
    site = arm.site(config={"appCommandLine": "run", "acrUseManagedIdentityCreds": True})
    found = arm.get(f"{site}/config/web")
    assert found["id"] == f"{site}/config/web"
    assert found["type"] == "Microsoft.Web/sites/config"
    assert found["name"] == site.rpartition("/")[2]
    assert found["properties"]["appCommandLine"] == "run"
    assert found["properties"]["acrUseManagedIdentityCreds"] is True
    assert found["properties"]["acrUserManagedIdentityID"] is None
    assert found["properties"]["appSettings"] is None
    assert found["properties"]["publishingUsername"] == f"${found['name']}"


def test_a_patch_merges_and_answers_in_the_sites_envelope(arm: Arm) -> None:
    site = arm.site(config={"appCommandLine": "run"})
    before = arm.config(site)
    body = {"properties": {"linuxFxVersion": "DOCKER|example.com/shop:2.0", "alwaysOn": None}}
    written = arm.call("PATCH", f"{site}/config/web", body)
    answer = written.json()
    assert (answer["id"], answer["type"]) == (site, "Microsoft.Web/sites")
    assert written.headers["etag"]
    assert answer["properties"] == {**before, "linuxFxVersion": "DOCKER|example.com/shop:2.0"}
    assert arm.config(site) == answer["properties"]


def test_writing_the_unchanged_configuration_changes_nothing(arm: Arm) -> None:
    site = arm.site()
    before = arm.config(site)
    given = {key: value for key, value in before.items() if value is not None}
    body = {"location": "westeurope", "tags": {}, "properties": given}
    assert arm.call("PATCH", f"{site}/config/web", body).json()["properties"] == before


@pytest.mark.parametrize(
    "value", ["shop:1.0", "DOCKER|", "DOCKER|a b", "PODMAN|shop:1", "DOCKER|-shop", 7]
)
def test_a_malformed_stack_is_refused_and_nothing_changed(arm: Arm, value: Any) -> None:
    site = arm.site()
    before = arm.config(site)
    body = {"properties": {"appCommandLine": "x", "linuxFxVersion": value}}
    answer = arm.call("PATCH", f"{site}/config/web", body)
    assert answer.status_code == 400
    assert set(answer.json()) == {"Code", "Message", "Target", "Details", "Innererror"}
    assert answer.json()["Code"] == "BadRequest"
    assert "LinuxFxVersion" in answer.json()["Message"]
    assert "x-ms-failure-cause" not in answer.headers
    assert arm.config(site) == before


@pytest.mark.parametrize(
    "value", ["DOCKER|localhost:5000/a/b:1.0", "docker|shop", "SITECONTAINERS", "NODE|20-lts", ""]
)
def test_well_formed_stacks_are_accepted(arm: Arm, value: str) -> None:
    site = arm.site()
    body = {"properties": {"linuxFxVersion": value}}
    assert arm.call("PATCH", f"{site}/config/web", body).status_code == 200
    assert arm.config(site)["linuxFxVersion"] == value


def test_the_container_is_replaced_when_the_configuration_changed_and_only_then(arm: Arm) -> None:
    # The old format's sites are never blocked, and retries come after more than a minute.
    with arm.azure.runtime(blocked=60):
        site = arm.site(state="Running", old_log=True)
        wait_for_starts(arm, site, 1)
        unchanged = {"properties": {"appCommandLine": ""}}
        arm.call("PATCH", f"{site}/config/web", unchanged)
        arm.call("PUT", f"{site}/config/appsettings", {"properties": arm.settings(site)})
        arm.call("PATCH", f"{site}/config/web", {"properties": {"appCommandLine": "x"}})
        wait_for_starts(arm, site, 2)
        arm.call("PUT", f"{site}/config/appsettings", {"properties": {"A": "2"}})
        wait_for_starts(arm, site, 3)
        assert starts(arm, site) == 3


def test_a_put_of_settings_replaces_the_whole_set(arm: Arm) -> None:
    site = arm.site(app_settings={"A": "1", "B": "@Microsoft.KeyVault(SecretUri=https://v/s/x/)"})
    listed = arm.call("POST", f"{site}/config/appsettings/list").json()
    assert listed["id"] == f"{site}/config/appsettings"
    assert listed["name"] == "appsettings"
    assert listed["properties"]["B"].startswith("@Microsoft.KeyVault(")
    written = arm.call("PUT", f"{site}/config/appsettings", {"properties": {"C": "3", "D": 4}})
    assert written.json()["properties"] == {"C": "3", "D": "4"}
    assert arm.settings(site) == {"C": "3", "D": "4"}


def test_a_setting_that_is_not_a_string_is_refused(arm: Arm) -> None:
    site = arm.site(app_settings={"A": "1"})
    body = {"properties": {"A": {"b": 1}}}
    assert error(arm.call("PUT", f"{site}/config/appsettings", body)) == (400, "BadRequest")
    assert arm.settings(site) == {"A": "1"}


def test_sticky_names_are_null_until_set_and_empty_if_left_out(arm: Arm) -> None:
    site = arm.site()
    path = f"{site}/config/slotConfigNames"
    found = arm.get(path)
    assert (found["id"], found["type"]) == (None, "Microsoft.Web/sites")
    assert set(found["properties"].values()) == {None}
    written = arm.call("PUT", path, {"properties": {"appSettingNames": ["A"]}}).json()
    assert written["properties"] == {
        "connectionStringNames": [],
        "appSettingNames": ["A"],
        "azureStorageConfigNames": [],
    }
    assert arm.get(path) == written


def test_a_slot_has_no_sticky_names_of_its_own(arm: Arm) -> None:
    slot = arm.slot(arm.site())
    answer = arm.call("GET", f"{slot}/config/slotConfigNames")
    assert error(answer) == (404, "InvalidResourceType")


def test_only_key_vault_references_are_listed(arm: Arm) -> None:
    reference = "@Microsoft.KeyVault(VaultName=shop;SecretName=key)"
    uri = "@Microsoft.KeyVault(SecretUri=https://shop.vault.azure.net/secrets/other/0123)"
    settings = {"PLAIN": "1", "KEY": reference, "OTHER": uri, "BAD": "@Microsoft.KeyVault(x)"}
    site = arm.site(app_settings=settings, system_identity=True)
    found = arm.get(f"{site}/config/configreferences/appsettings")["value"]
    told = {each["name"]: each["properties"] for each in found}
    assert told.keys() == {"KEY", "OTHER", "BAD"}
    assert (told["KEY"]["vaultName"], told["KEY"]["secretName"]) == ("shop", "key")
    assert told["KEY"]["status"] == "VaultNotFound"
    assert told["OTHER"]["secretVersion"] == "0123"
    assert told["BAD"]["status"] == "InvalidSyntax"
    path = f"{site}/config/configreferences/appsettings/PLAIN"
    assert arm.call("GET", path).status_code == 404


def test_logging_is_merged_and_its_levels_capitalised(arm: Arm) -> None:
    site = arm.site()
    given = {"applicationLogs": {"fileSystem": {"level": "verbose"}}}
    arm.call("PUT", f"{site}/config/logs", {"properties": given})
    found = arm.get(f"{site}/config/logs")["properties"]
    assert found["applicationLogs"]["fileSystem"] == {"level": "Verbose"}
    assert found["applicationLogs"]["azureBlobStorage"]["level"] == "Off"
    assert found["httpLogs"]["fileSystem"]["enabled"] is False


def test_the_publishing_user_is_the_sites_name_with_a_dollar(arm: Arm) -> None:
    slot = arm.slot(arm.site(name="publisher"))
    path = f"{slot}/config/publishingcredentials/list"
    properties = arm.call("POST", path).json()["properties"]
    assert properties["publishingUserName"] == "$publisher__staging"
    assert properties["publishingPassword"]
    answer = arm.call("POST", f"{slot}/publishxml", {"format": "WebDeploy"})
    assert answer.headers["content-type"].startswith("application/xml")
    assert "$publisher__staging" in answer.text


def test_site_containers_are_created_and_deleted(arm: Arm) -> None:
    site = arm.site(image=None, config={"linuxFxVersion": "SITECONTAINERS"})
    path = f"{site}/sitecontainers/Main"
    body = {"properties": {"image": "example.com/a:1", "isMain": True, "targetPort": "80"}}
    assert arm.call("PUT", path, body).status_code == 201
    assert arm.call("PUT", path, body).status_code == 200
    (found,) = arm.get(f"{site}/sitecontainers")["value"]
    assert found["properties"]["isMain"] is True
    assert found["properties"]["authType"] == "Anonymous"
    assert arm.call("DELETE", path).status_code == 200
    assert error(arm.call("GET", path)) == (404, "NotFound")


def test_a_plan_has_its_size(arm: Arm) -> None:
    arm.site()
    plan = arm.get(arm.provider("Microsoft.Web/serverfarms/shop-plan"))
    assert plan["sku"]["tier"] == "Standard"
    assert plan["properties"]["reserved"] is True
    missing = arm.call("GET", arm.provider("Microsoft.Web/serverfarms/none"))
    assert "'Microsoft.Web/serverFarms/none'" in missing.json()["error"]["message"]
