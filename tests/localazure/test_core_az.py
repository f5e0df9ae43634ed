"""The real az with the double: cloud, login, and the commands of registries."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from localazure.az import AZ, Az
from localazure.client import LocalAzure
from localazure.images.assemble import Entry, Image, layer, write_layout

pytestmark = pytest.mark.skipif(not AZ.exists(), reason="`make test` installs az")


@pytest.fixture(scope="module")
def az(double: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Az:
    """az, logged in as the owner."""
    made = Az(double, tmp_path_factory.mktemp("az"))
    made.login()
    return made


def said(az: Az, *arguments: str) -> Any:
    done = az.run(*arguments, "-o", "json", "--only-show-errors")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if done.stdout else None


@pytest.mark.thorough
def test_a_cloud_can_be_registered_from_the_metadata(azure: LocalAzure, tmp_path: Path) -> None:
    az = Az(azure, tmp_path / "az")
    credentials = ("-u", azure.client_id, "-p", azure.client_secret)
    for command in (
        ("config", "set", "core.instance_discovery=false", "core.collect_telemetry=false"),
        ("cloud", "register", "-n", "mine", "--endpoint-resource-manager", f"{azure.management}/"),
        ("cloud", "set", "-n", "mine"),
        ("login", "--service-principal", *credentials, "--tenant", azure.tenant),
    ):
        done = az.run(*command)
        assert done.returncode == 0, done.stderr
    mine = said(az, "cloud", "show", "-n", "mine")
    az.prepare()
    ours = said(az, "cloud", "show")
    assert mine["endpoints"] == ours["endpoints"], "prepare() writes what az would"
    kept = {name: value for name, value in ours["suffixes"].items() if value}
    assert kept.items() <= mine["suffixes"].items()


def test_the_account_is_the_doubles_subscription(azure: LocalAzure, az: Az) -> None:
    shown = said(az, "account", "show")
    assert shown["id"] == azure.subscription
    assert shown["tenantId"] == azure.tenant
    assert shown["user"] == {"name": azure.client_id, "type": "servicePrincipal"}


def test_a_wrong_secret_is_reported_with_entras_message(azure: LocalAzure, tmp_path: Path) -> None:
    az = Az(azure, tmp_path / "az")
    with pytest.raises(RuntimeError, match="AADSTS7000215"):
        az.login(password="wrong")
    with pytest.raises(RuntimeError, match="AADSTS700016"):
        az.login(user="99999999-0000-4000-8000-000000000000")


@pytest.mark.thorough
def test_az_lists_imports_shows_and_deletes_images(
    azure: LocalAzure, az: Az, tmp_path: Path
) -> None:
    image = Image([layer([Entry("hello", b"hello")])], {"Cmd": ["/hello"]})
    write_layout(tmp_path, image, "1.0")
    digest = azure.push("hub", "team/az", "1.0", tmp_path)
    name = ("-n", "shopregistry")
    said(az, "acr", "import", *name, "--source", "docker.io/team/az:1.0", "-t", "team/az:2.0")
    listed = said(az, "acr", "repository", "list", *name)
    assert "team/az" in listed
    tags = said(az, "acr", "repository", "show-tags", *name, "--repository", "team/az")
    assert tags == ["2.0"]
    shown = said(az, "acr", "repository", "show", *name, "--image", "team/az:2.0")
    assert shown["digest"] == digest
    said(az, "acr", "repository", "delete", *name, "--image", "team/az:2.0", "--yes")
    done = az.run("acr", "repository", "show-tags", *name, "--repository", "team/az")
    assert done.returncode
    assert "team/az" in done.stderr


@pytest.mark.thorough
def test_az_rest_queries_application_insights(azure: LocalAzure, az: Az) -> None:
    app_id = azure.components["shop-insights"].rpartition("ApplicationId=")[2]
    url = f"{azure.insights}/v1/apps/{app_id}/query"
    body = json.dumps({"query": "requests | where name == 'never' | count"})
    found = said(az, "rest", "--method", "post", "--url", url, "--body", body)
    assert found["tables"][0]["rows"] == [[0]]


@pytest.mark.thorough
def test_az_finds_a_service_principal_through_graph(azure: LocalAzure, az: Az) -> None:
    found = said(az, "role", "assignment", "list", "--assignee", azure.client_id, "--all")
    assert found[0]["roleDefinitionName"] == "Owner"
