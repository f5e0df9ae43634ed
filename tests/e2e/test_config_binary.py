"""`config show`, several files, and `otelcol validate` itself, through az."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from azext_otelembed.collector.config import default
from tests.e2e.refusal_places import CONFIGURATION
from tests.e2e.support import REGISTRY, Cloud, Site

# The checks here don't know the settings of this component; the collector does.
UNKNOWN_SETTING = (
    "extensions: {health_check: {responce_body: '{}'}}\nservice: {extensions: [health_check]}\n"
)


@pytest.fixture(scope="module")
def deployed(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A site that was deployed with two files."""
    folder = tmp_path_factory.mktemp("configuration")
    (folder / "a.yml").write_text(f"# not in the image\n{CONFIGURATION}")
    (folder / "b.yml").write_text("exporters: {azuremonitor: {timeout: 7s}}\n")
    site = cloud.make_site()
    files = ("--collector-config", str(folder / "a.yml"), str(folder / "b.yml"))
    answer = site.deploy(*files, "--validate", "local")
    assert answer.returncode == 0, answer.show()
    again = site.deploy(*files, "--validate", "local")
    assert (again.returncode, again.json["changed"]) == (0, False), again.show()
    return site


def test_show_prints_the_configuration_in_the_image(cloud: Cloud, deployed: Site) -> None:
    answer = cloud.otelembed("config", "show", *deployed.arguments)
    assert answer.returncode == 0, answer.show()
    assert '    timeout: "7s"\n' in answer.stdout
    assert "not in the image" not in answer.stdout
    assert answer.writes == []
    as_json = cloud.otelembed("config", "show", *deployed.arguments, "-o", "json")
    assert as_json.json["config"] == answer.stdout
    status = deployed.status().json
    assert as_json.json["digest"] == status["config"]


def test_show_prints_the_default_without_asking_anybody(cloud: Cloud) -> None:
    answer = cloud.otelembed("config", "show", "--default")
    assert (answer.returncode, answer.stdout) == (0, default().decode())
    assert answer.requests == []
    assert cloud.otelembed("config", "show").returncode == 1


def test_show_of_a_site_without_a_collector_says_so(cloud: Cloud) -> None:
    site = cloud.make_site()
    answer = cloud.otelembed("config", "show", *site.arguments)
    assert answer.returncode == 1
    assert "has no embedded collector" in answer.stderr
    assert "az otelembed config show --default" in answer.stderr


def test_the_collector_itself_finds_what_the_checks_do_not_know(
    cloud: Cloud, deployed: Site, tmp_path: Path
) -> None:
    assert deployed.registry == REGISTRY
    base, more = tmp_path / "base.yml", tmp_path / "more.yml"
    base.write_text(CONFIGURATION)
    more.write_text(UNKNOWN_SETTING)
    files = ("config", "validate", str(base), str(more))
    plain = cloud.otelembed(*files)
    assert (plain.returncode, plain.json["otelcol"]) == (0, None), plain.show()
    answer = cloud.otelembed(*files, "--registry", REGISTRY)
    assert answer.returncode == 1, answer.show()
    (error,) = answer.json["errors"]
    assert error["message"].startswith("otelcol validate: ")
    assert "responce_body" in error["message"]
    assert (error["file"], error["line"]) == (str(more), 1)
    assert answer.json["otelcol"]["where"] == "local"
    assert answer.writes == []
    build = ("build", "--image", deployed.image(), "--collector-config", str(base), str(more))
    refused = cloud.otelembed(*build, "--validate", "local")
    assert refused.returncode == 1, refused.show()
    assert "responce_body" in refused.stderr
    assert not [one for one in refused.writes if "manifests" in one]


@pytest.mark.thorough
def test_doctor_asks_the_collector_that_is_on_this_machine(
    cloud: Cloud, deployed: Site, make_site: Callable[..., Site], tmp_path: Path
) -> None:
    answer = cloud.otelembed("doctor", *deployed.arguments)
    (found,) = (one for one in answer.json["links"] if one["link"] == "configuration")
    assert (found["state"], answer.writes) == ("ok", []), answer.show()
    assert "in which collector " in found["evidence"]
    base, more = tmp_path / "base.yml", tmp_path / "more.yml"
    base.write_text(CONFIGURATION)
    more.write_text(UNKNOWN_SETTING)
    site = make_site()
    assert site.deploy("--collector-config", str(base), str(more)).returncode == 6
    answer = cloud.otelembed("doctor", *site.arguments)
    assert answer.returncode == 1, answer.show()
    (found,) = (one for one in answer.json["links"] if one["link"] == "configuration")
    assert (found["state"], answer.writes) == ("broken", []), answer.show()
    assert "responce_body" in found["evidence"]
    (collector,) = (one for one in answer.json["links"] if one["link"] == "collector")
    assert collector["fix"] == "Repair the link configuration first."


def test_a_registry_without_the_collector_is_named(cloud: Cloud, tmp_path: Path) -> None:
    file = tmp_path / "base.yml"
    file.write_text(CONFIGURATION)
    registry = cloud.add_registry()
    answer = cloud.otelembed("config", "validate", str(file), "--registry", registry)
    assert answer.returncode == 3, answer.show()
    assert "has no prepared collector" in answer.stderr
    assert "--validate acr" in answer.stderr
    alone = cloud.otelembed("config", "validate", str(file), "--validate", "acr")
    assert alone.returncode == 1
    assert "--registry" in alone.stderr
