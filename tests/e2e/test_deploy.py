"""`az otelembed deploy` of a site that runs without telemetry: what it does, and what it says."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from azext_otelembed.image.launcher import START_LINE
from tests.e2e.support import API_KEY, COLLECTOR, SETTING, Answer, Cloud, Site, eventually
from tests.localazure.core_support import Shop


@dataclass(frozen=True, slots=True)
class Deployed:
    """A site before and after its first deploy, in a registry that had no collector."""

    site: Site
    answer: Answer
    settings: dict[str, str]
    configuration: dict[str, Any]
    process: dict[str, Any]
    arguments: list[str]


@pytest.fixture(scope="module")
def deployed(cloud: Cloud) -> Deployed:
    site = cloud.make_site(registry=cloud.add_registry())
    settings, configuration = site.settings(), site.configuration()
    process, arguments = site.get("/pid").json(), site.get("/args").json()
    answer = site.deploy()
    assert answer.returncode == 0, answer.show()
    return Deployed(site, answer, settings, configuration, process, arguments)


def test_the_result_tells_what_was_done(deployed: Deployed) -> None:
    site, result = deployed.site, deployed.answer.json
    assert result["site"] == site.name
    assert result["resourceGroup"] == site.group
    assert result["host"] == site.url.removeprefix("https://")
    assert result["base"]["name"] == site.image("1.0")
    assert result["base"]["digest"].startswith("sha256:")
    assert result["image"]["name"].startswith(site.image("1.0-otelembed-"))
    assert result["image"]["digest"].startswith("sha256:")
    assert result["collector"]["name"] == COLLECTOR
    assert result["collector"]["version"] == "0.150.0"
    assert result["changed"] is True
    assert [change["what"] for change in result["changes"]] == [f"app setting {SETTING}", "image"]
    assert result["changes"][1]["before"] == site.image("1.0")
    assert result["changes"][1]["after"] == result["image"]["name"]
    assert result["setting"]["name"] == SETTING
    assert "****" in result["setting"]["value"]
    assert result["healthy"] is True
    assert result["reason"] is None
    assert set(result["seconds"]) == {"observe", "plan", "embed", "apply", "verify"}
    assert all(seconds >= 0 for seconds in result["seconds"].values())


def test_the_result_names_each_piece_of_evidence(deployed: Deployed) -> None:
    evidence = deployed.answer.json["evidence"]
    assert evidence["configuration"] == deployed.answer.json["image"]["name"]
    assert evidence["instances"] == "1 UNKNOWN"
    assert evidence["log"] == "the new image started and is ready"
    assert evidence["http"].startswith("HTTP 200 on /, ")


def test_the_image_in_the_registry_is_the_base_with_layers_on_top(deployed: Deployed) -> None:
    site, result = deployed.site, deployed.answer.json
    with site.cloud.local.http() as http:
        registry = Shop(site.cloud.local, http, site.host, site.repository)
        tag = result["image"]["name"].rpartition(":")[2]
        named = registry.call("GET", f"/manifests/{tag}", "pull")
        base = registry.call("GET", f"/manifests/{result['base']['digest']}", "pull").json()
        manifest = named.json()
        digest = manifest["config"]["digest"]
        config = registry.call("GET", f"/blobs/{digest}", "pull", follow_redirects=True).json()
    assert named.headers["docker-content-digest"] == result["image"]["digest"]
    assert manifest["mediaType"] == base["mediaType"]
    count = len(base["layers"])
    assert manifest["layers"][:count] == base["layers"]
    assert len(manifest["layers"]) == count + 3
    labels = config["config"]["Labels"]
    assert labels["org.opencontainers.image.base.digest"] == result["base"]["digest"]
    assert labels["dev.otelembed.recipe"].startswith(
        "sha256:" + result["image"]["name"].rpartition("-")[2]
    )


def test_the_setting_is_set_and_all_others_are_as_they_were(deployed: Deployed) -> None:
    site = deployed.site
    now = site.settings()
    assert now.pop(SETTING) == site.cloud.connection_string(site.component or "")
    assert now == deployed.settings
    assert now["PAYMENT_API_KEY"] == API_KEY


def test_nothing_but_the_image_changes_in_the_configuration(deployed: Deployed) -> None:
    now = deployed.site.configuration()
    assert now.pop("linuxFxVersion") == "DOCKER|" + deployed.answer.json["image"]["name"]
    before = {**deployed.configuration}
    assert before.pop("linuxFxVersion") == "DOCKER|" + deployed.site.image("1.0")
    assert now == before


def test_azure_is_written_to_three_times_in_this_order(deployed: Deployed) -> None:
    site = deployed.site
    writes = [
        f"{r['method']} {r['path']}"
        for r in deployed.answer.requests
        if r["service"] == "arm" and f"{r['method']} {r['path']}" in deployed.answer.writes
    ]
    assert [write.lower() for write in writes] == [
        f"post {site.cloud.registry_id(site.registry)}/importImage".lower(),
        f"put {site.id}/config/appsettings".lower(),
        f"patch {site.id}/config/web".lower(),
    ]


def test_the_app_is_process_one_with_its_arguments_user_and_folder(deployed: Deployed) -> None:
    site = deployed.site
    assert site.get("/pid").json() == deployed.process
    assert deployed.process["pid"] == 1
    assert deployed.process["uid"] == 1000
    assert site.get("/args").json() == deployed.arguments == ["/usr/local/bin/shop"]


def test_the_container_log_has_one_line_with_the_recipe_of_the_running_image(
    deployed: Deployed,
) -> None:
    found = [match[1] for match in START_LINE.finditer(deployed.site.log())]
    assert found == [deployed.site.runs.rpartition("-")[2]]
    assert deployed.site.status().json["recipe"].startswith(f"sha256:{found[0]}")


def test_a_request_to_the_app_arrives_in_application_insights(deployed: Deployed) -> None:
    site, cloud = deployed.site, deployed.site.cloud
    component = (
        f"/subscriptions/{cloud.local.subscription}/resourceGroups/{site.group}"
        f"/providers/Microsoft.Insights/components/{site.component}"
    )
    assert site.get("/health?before").status_code == 200
    assert site.get("/").status_code == 200
    query = {"query": "requests | project name, resultCode, cloud_RoleInstance"}
    arguments = ("rest", "--method", "post", "--body", json.dumps(query))

    def rows() -> Any:
        asked = cloud.run(*arguments, "--url", f"{component}/query?api-version=2018-04-20")
        assert asked.returncode == 0, asked.show()
        return asked.json["tables"][0]["rows"]

    found = eventually(rows)
    assert all(name.startswith("GET") for name, _, _ in found)
    assert "200" in {code for _, code, _ in found}
    (instance,) = cloud.arm("GET", f"{site.id}/instances")["value"]
    assert {seen for _, _, seen in found} == {instance["name"]}


def test_each_step_leaves_one_plain_line_where_there_is_no_terminal(deployed: Deployed) -> None:
    lines = deployed.answer.stderr.splitlines()
    steps = [line.split(":")[1].strip() for line in lines if line.startswith("otelembed: ")]
    assert list(dict.fromkeys(steps)) == ["observe", "plan", "embed", "apply", "verify"]
    assert "\x1b" not in deployed.answer.stderr + deployed.answer.stdout


def test_a_table_has_one_row_that_can_be_read(deployed: Deployed) -> None:
    answer = deployed.site.deploy("-o", "table")
    assert answer.returncode == 0, answer.show()
    header, _, row = answer.stdout.strip().splitlines()
    assert header.split() == ["Site", "Image", "Changed"]
    assert row.split() == [deployed.site.name, deployed.answer.json["image"]["name"], "False"]


def test_a_query_gives_one_word_for_a_script(deployed: Deployed) -> None:
    answer = deployed.site.deploy("--query", "image.name", "-o", "tsv")
    assert answer.returncode == 0, answer.show()
    assert answer.stdout == deployed.answer.json["image"]["name"] + "\n"


def test_yaml_holds_the_whole_result(deployed: Deployed) -> None:
    answer = deployed.site.deploy("-o", "yaml")
    assert answer.returncode == 0, answer.show()
    assert yaml.safe_load(answer.stdout)["image"] == deployed.answer.json["image"]


def test_only_show_errors_is_silent_on_stderr(deployed: Deployed) -> None:
    answer = deployed.site.deploy("--only-show-errors")
    assert answer.returncode == 0, answer.show()
    assert answer.stderr == ""
    assert answer.json["healthy"] is True


def test_a_startup_command_of_the_site_still_gets_its_collector(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    command = "/usr/local/bin/shop --greeting Hi"
    done = site.cloud.run(
        "webapp", "config", "set", *site.arguments, "--startup-file", command, "-o", "none"
    )
    assert done.returncode == 0, done.show()
    answer = site.deploy()
    assert answer.returncode == 0, answer.show()
    assert site.configuration()["appCommandLine"] == command
    assert site.get("/args").json() == command.split()
    assert site.get("/pid").json()["pid"] == 1
    assert site.get("/spans?n=1").json() == {"spans": 1}, "the collector takes spans"


def test_a_slot_is_deployed_and_production_is_left_alone(make_site: Callable[..., Site]) -> None:
    production = make_site()
    slot = make_site(group=production.group, name=production.name, slot="staging", component=False)
    before = production.settings()
    answer = slot.deploy()
    assert answer.returncode == 0, answer.show()
    assert answer.json["site"] == f"{production.name}/staging"
    assert slot.runs == answer.json["image"]["name"]
    assert SETTING in slot.settings()
    assert production.runs == production.image()
    assert production.settings() == before
    assert slot.get("/spans?n=1").json() == {"spans": 1}
    assert slot.status().json["site"] == f"{production.name}/staging"


def test_a_dry_run_names_the_changes_and_writes_nothing(cloud: Cloud) -> None:
    site = cloud.make_site(registry=cloud.add_registry())
    answer = site.deploy("--dry-run")
    assert answer.returncode == 0, answer.show()
    assert answer.writes == []
    assert answer.json["dryRun"] is True
    assert answer.json["changed"] is False
    assert [change["what"] for change in answer.json["changes"]] == [
        f"app setting {SETTING}",
        "image",
    ]
    assert f"embed {COLLECTOR} in {site.image()}" in answer.stderr
    assert site.runs == site.image()
    assert SETTING not in site.settings()


def test_a_dry_run_names_the_image_where_the_collector_is_there_already(
    deployed: Deployed,
) -> None:
    site = deployed.site
    other = site.cloud.make_site(registry=site.registry)
    answer = other.deploy("--dry-run")
    assert answer.returncode == 0, answer.show()
    assert answer.writes == []
    assert answer.json["image"]["name"].startswith(other.image("1.0-otelembed-"))
    assert other.runs == other.image()
    real = other.deploy("--only-show-errors")
    assert real.json["image"] == answer.json["image"]
