"""The real az with the double: a test for each command or group of commands."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localazure.az import AZ, Az
from localazure.client import LocalAzure
from localazure.images.assemble import Entry, Image, layer, write_layout
from tests.warm import WarmAz

pytestmark = [
    pytest.mark.skipif(not AZ.exists(), reason="az is not there: `make env` installs it"),
    pytest.mark.timeout(600),
    pytest.mark.thorough,
]

SITE = ("-g", "shop-rg", "-n", "shop")
SETTINGS = {"SHOP_CURRENCY": "EUR", "PAYMENT_API_KEY": "sk-demo"}


@dataclass(frozen=True, slots=True)
class Shop:
    """A double with one web app, and az logged in to it."""

    azure: LocalAzure
    az: Az
    directory: Path

    @property
    def group(self) -> str:
        return f"/subscriptions/{self.azure.subscription}/resourceGroups/shop-rg"

    @property
    def login(self) -> str:
        return self.azure.registries["shopregistry"]

    def run(self, *arguments: str) -> Any:
        """The JSON output of a command; a failed command fails the test."""
        done = self.az.run(*arguments)
        assert done.returncode == 0, f"az {' '.join(arguments)}: {done.stderr}"
        return json.loads(done.stdout) if done.stdout.strip() else None

    def paths(self, since: int) -> list[str]:
        """The requests to ARM: `METHOD path-below-the-group`."""
        return [
            f"{each['method']} {each['path'].removeprefix(self.group)}"
            for each in self.azure.requests(since=since, service="arm")
        ]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    directory = tmp_path_factory.mktemp("shop")
    image = {"tag": "1.0", "layout": str(directory / "image")}
    write_layout(
        directory / "image",
        Image([layer([Entry("shop", b"shop", 0o755)])], {"Cmd": ["/shop"]}),
        "1.0",
    )
    seed = {
        "groups": [{"name": "shop-rg", "location": "westeurope"}],
        "plans": [{"group": "shop-rg", "name": "shop-plan", "location": "westeurope"}],
        "registries": [{"name": "shopregistry", "group": "shop-rg", "admin_enabled": True}],
        "images": [{"registry": "shopregistry", "repository": "shop", **image}],
        "components": [{"name": "shop-insights", "group": "shop-rg"}],
        "sites": [
            {
                "name": "shop",
                "group": "shop-rg",
                "plan": "shop-plan",
                "image": "{shopregistry}/shop:0.9",
                "system_identity": True,
                "app_settings": SETTINGS,
            }
        ],
    }
    with (
        LocalAzure.start(directory / "azure", seed, ca=directory / "ca") as azure,
        WarmAz(azure, directory / "config") as az,
    ):
        az.login()
        yield Shop(azure, az, directory)


@pytest.fixture
def slot(shop: Shop) -> Iterator[str]:
    """The slot `staging`, with its own settings."""
    fields = {"name": "shop", "slot": "staging", "group": "shop-rg", "plan": "shop-plan"}
    shop.azure.add_site({**fields, "image": "{shopregistry}/shop:0.8", "app_settings": {"A": "s"}})
    yield "staging"
    path = f"{shop.group}/providers/Microsoft.Web/sites/shop/slots/staging?api-version=2025-05-01"
    shop.run("rest", "--method", "delete", "--uri", path)


@pytest.fixture
def settings(shop: Shop) -> Callable[[], dict[str, str]]:
    """The site's settings, read from ARM without az."""

    def ask() -> dict[str, str]:
        with shop.azure.http() as http:
            answer = http.post(
                f"{shop.azure.management}{shop.group}/providers/Microsoft.Web/sites/shop"
                "/config/appsettings/list?api-version=2025-05-01",
                headers={"authorization": f"Bearer {shop.azure.token()}"},
            )
        return dict(answer.json()["properties"])

    return ask


def test_group_list_and_show(shop: Shop) -> None:
    (group,) = shop.run("group", "list")
    assert (group["name"], group["location"]) == ("shop-rg", "westeurope")
    assert shop.run("group", "show", "-n", "shop-rg")["id"] == shop.group


def test_webapp_list_and_show(shop: Shop) -> None:
    (listed,) = shop.run("webapp", "list", "-g", "shop-rg")
    shown = shop.run("webapp", "show", *SITE)
    assert listed["name"] == shown["name"] == "shop"
    assert shown["siteConfig"]["linuxFxVersion"].startswith(f"DOCKER|{shop.login}/shop:")
    assert f"https://{shown['defaultHostName']}" == shop.azure.sites["shop"]


def test_webapp_config_show_reads_config_web(shop: Shop) -> None:
    since = shop.azure.mark()
    config = shop.run("webapp", "config", "show", *SITE)
    assert config["linuxFxVersion"].startswith(f"DOCKER|{shop.login}/shop:")
    assert shop.paths(since) == ["GET /providers/Microsoft.Web/sites/shop/config/web"]


def test_webapp_config_set_writes_the_startup_command(shop: Shop) -> None:
    shop.run("webapp", "config", "set", *SITE, "--startup-file", "serve --now")
    assert shop.run("webapp", "config", "show", *SITE)["appCommandLine"] == "serve --now"


def test_appsettings_list_set_and_delete(
    shop: Shop, settings: Callable[[], dict[str, str]]
) -> None:
    listed = shop.run("webapp", "config", "appsettings", "list", *SITE)
    assert {each["name"]: each["value"] for each in listed}.items() >= SETTINGS.items()
    shop.run("webapp", "config", "appsettings", "set", *SITE, "--settings", "NEW=1", "OLD=2")
    assert settings().items() >= {**SETTINGS, "NEW": "1", "OLD": "2"}.items()
    shop.run("webapp", "config", "appsettings", "set", *SITE, "--slot-settings", "STICKY=3")
    listed = shop.run("webapp", "config", "appsettings", "list", *SITE)
    assert [each["name"] for each in listed if each["slotSetting"]] == ["STICKY"]
    names = ("--setting-names", "NEW", "OLD", "STICKY")
    shop.run("webapp", "config", "appsettings", "delete", *SITE, *names)
    assert not {"NEW", "OLD", "STICKY"} & settings().keys()


def test_container_set_and_show(shop: Shop) -> None:
    image = f"{shop.login}/shop:1.0"
    arguments = ("webapp", "config", "container")
    shop.run(*arguments, "set", *SITE, "--container-image-name", image)
    told = {each["name"]: each["value"] for each in shop.run(*arguments, "show", *SITE)}
    assert told["DOCKER_CUSTOM_IMAGE_NAME"] == f"DOCKER|{image}"


def test_access_restrictions_are_added_and_removed(shop: Shop) -> None:
    rule = ("webapp", "config", "access-restriction")
    shop.run(
        *rule, "add", *SITE, "-r", "office", "--priority", "100", "--ip-address", "192.0.2.0/24"
    )
    shown = shop.run(*rule, "show", *SITE)["ipSecurityRestrictions"]
    assert [(one["name"], one["action"]) for one in shown] == [
        ("office", "Allow"),
        ("Deny all", "Deny"),
    ]
    shop.run(*rule, "remove", *SITE, "-r", "office")
    shown = shop.run(*rule, "show", *SITE)["ipSecurityRestrictions"]
    assert [one["name"] for one in shown] == ["Allow all"]


def test_easy_auth_is_turned_on_and_off(shop: Shop) -> None:
    """The az of this version knows the settings in their version 1."""
    action = ("--action", "LoginWithAzureActiveDirectory")
    shop.run("webapp", "auth", "update", *SITE, "--enabled", "true", *action)
    shown = shop.run("webapp", "auth", "show", *SITE)
    assert shown["enabled"] is True
    assert shown["unauthenticatedClientAction"] == "RedirectToLoginPage"
    shop.run("webapp", "auth", "update", *SITE, "--enabled", "false")
    assert shop.run("webapp", "auth", "show", *SITE)["enabled"] is False


def test_restart_stop_and_start(shop: Shop) -> None:
    shop.run("webapp", "restart", *SITE)
    shop.run("webapp", "stop", *SITE)
    assert shop.run("webapp", "show", *SITE)["state"] == "Stopped"
    shop.run("webapp", "start", *SITE)
    assert shop.run("webapp", "show", *SITE)["state"] == "Running"


def test_log_download_is_a_zip_of_the_logs(shop: Shop) -> None:
    file = shop.directory / "logs.zip"
    done = shop.az.run("webapp", "log", "download", *SITE, "--log-file", str(file))
    assert done.returncode == 0, done.stderr
    with zipfile.ZipFile(file) as archive:
        assert any(name.endswith("docker.log") for name in archive.namelist())


def test_identity_show(shop: Shop) -> None:
    identity = shop.run("webapp", "identity", "show", *SITE)
    assert identity["type"] == "SystemAssigned"
    assert identity["principalId"]


def test_slots_are_created_with_the_sites_configuration_listed_and_swapped(
    shop: Shop, settings: Callable[[], dict[str, str]]
) -> None:
    arguments = ("webapp", "deployment", "slot")
    copied = ("--slot", "blue", "--configuration-source", "shop")
    assert shop.run(*arguments, "create", *SITE, *copied)["name"] == "blue"
    assert [each["name"] for each in shop.run(*arguments, "list", *SITE)] == ["blue"]
    set_ = ("webapp", "config", "appsettings", "set", *SITE, "--slot", "blue", "--settings", "B=1")
    shop.run(*set_)
    assert "B" not in settings()
    shop.run(*arguments, "swap", *SITE, "--slot", "blue")
    assert settings().items() >= {**SETTINGS, "B": "1"}.items()
    shop.run(*arguments, "swap", *SITE, "--slot", "blue")
    shop.run(*arguments, "delete", *SITE, "--slot", "blue")


def test_a_slots_settings_are_listed(shop: Shop, slot: str) -> None:
    arguments = ("webapp", "config", "appsettings", "list", *SITE, "--slot", slot)
    assert [(each["name"], each["value"]) for each in shop.run(*arguments)] == [("A", "s")]


def test_acr_list_show_and_credentials(shop: Shop) -> None:
    (listed,) = shop.run("acr", "list")
    shown = shop.run("acr", "show", "-n", "shopregistry")
    assert listed["loginServer"] == shown["loginServer"] == shop.login
    credential = shop.run("acr", "credential", "show", "-n", "shopregistry")
    assert credential["username"] == "shopregistry"


def test_resource_show_of_a_site_and_of_a_component(shop: Shop) -> None:
    kind = ("--resource-type", "Microsoft.Web/sites")
    assert shop.run("resource", "show", *SITE, *kind)["name"] == "shop"
    component = ("-g", "shop-rg", "-n", "shop-insights")
    kind = ("--resource-type", "microsoft.insights/components")
    shown = shop.run("resource", "show", *component, *kind)
    assert shown["properties"]["ConnectionString"] == shop.azure.components["shop-insights"]
    identifier = f"{shop.group}/providers/Microsoft.Web/sites/shop"
    assert shop.run("resource", "show", "--ids", identifier)["id"] == identifier


def test_resource_list_by_group_and_by_type(shop: Shop) -> None:
    names = {each["name"] for each in shop.run("resource", "list", "-g", "shop-rg")}
    assert {"shop", "shop-plan", "shopregistry", "shop-insights"} <= names
    kind = ("--resource-type", "Microsoft.Insights/components")
    (component,) = shop.run("resource", "list", *kind)
    assert component["name"] == "shop-insights"


def test_role_assignments_are_created_and_listed(shop: Shop) -> None:
    identity = shop.run("webapp", "identity", "show", *SITE)["principalId"]
    scope = f"{shop.group}/providers/Microsoft.ContainerRegistry/registries/shopregistry"
    who = ("--assignee-object-id", identity, "--assignee-principal-type", "ServicePrincipal")
    made = shop.run("role", "assignment", "create", *who, "--role", "AcrPull", "--scope", scope)
    assert made["scope"] == scope
    listing = ("role", "assignment", "list", "--scope", scope, "--fill-principal-name", "false")
    (listed,) = shop.run(*listing)
    assert (listed["principalId"], listed["roleDefinitionName"]) == (identity, "AcrPull")
    inherited = shop.run(*listing, "--include-inherited")
    assert {each["roleDefinitionName"] for each in inherited} == {"AcrPull", "Owner"}


def test_rest_reaches_any_path(shop: Shop) -> None:
    uri = f"{shop.group}/providers/Microsoft.Web/sites/shop/instances?api-version=2025-05-01"
    assert shop.run("rest", "--method", "get", "--uri", uri)["nextLink"] is None


@pytest.mark.parametrize(
    ("arguments", "status", "text"),
    [
        (("webapp", "show", "-g", "shop-rg", "-n", "none"), 3, "(ResourceNotFound)"),
        (("webapp", "config", "show", "-g", "none", "-n", "shop"), 3, "(ResourceGroupNotFound)"),
        (
            ("webapp", "config", "show", *SITE, "--slot", "none"),
            3,
            "Microsoft.Web/sites/shop/slots/none",
        ),
        (("acr", "show", "-n", "noregistry"), 1, "could not be found"),
    ],
)
def test_a_missing_resource_is_named_and_ends_az_as_in_azure(
    shop: Shop, arguments: tuple[str, ...], status: int, text: str
) -> None:
    done = shop.az.run(*arguments)
    assert done.returncode == status, done.stderr
    assert text in done.stderr


def test_a_reader_is_refused_with_the_name_of_the_action(shop: Shop, tmp_path: Path) -> None:
    shop.azure.add_principal("reader", "secret", [{"role": "Reader", "scope": shop.group}])
    az = Az(shop.azure, tmp_path)
    az.login("reader", "secret")
    done = az.run("webapp", "config", "appsettings", "list", *SITE)
    assert done.returncode == 1
    assert "(AuthorizationFailed)" in done.stderr
    assert "Microsoft.Web/sites/config/list/action" in done.stderr


def test_errors_of_microsoft_web_lose_their_text_in_az(shop: Shop) -> None:
    image = ("--container-image-name", "not a reference")
    done = shop.az.run("webapp", "config", "container", "set", *SITE, *image)
    assert done.returncode == 1
    assert "Operation returned an invalid status 'Bad Request'" in done.stderr
