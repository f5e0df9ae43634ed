"""The extension as az installs and loads it: what the wheel holds, its help, its weight."""

from __future__ import annotations

import json
import re
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from localazure.az import AZ
from localazure.client import ROOT
from tests.e2e.support import EXTENSIONS, Cloud

PYTHON = AZ.parent / "python"
LONGEST_OPTION = 22
"""Characters, dashes included, that an option without a shorter form may have (azdev's linter)."""
HEAVY = (
    *("rich.", "azure.mgmt.web.", "azure.identity.", "azure.containerregistry."),
    *(f"azext_otelembed.{room}." for room in ("release", "embedding", "registry", "image")),
)
"""What help must not load: SDKs, and the packages that do the work."""


@pytest.fixture(scope="module")
def facts(cloud: Cloud) -> dict[str, Any]:
    done = subprocess.run(
        [str(PYTHON), str(Path(__file__).with_name("extension_facts.py"))],
        env=cloud.az.environment(),
        cwd=cloud.az.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def options(facts: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [
        (f"{name} {' '.join(argument['options'])}", argument)
        for name, command in facts["commands"].items()
        for argument in command["arguments"].values()
    ]


def test_the_commands_of_the_main_job_are_there(facts: dict[str, Any]) -> None:
    assert {"otelembed deploy", "otelembed status"} <= set(facts["commands"])


def test_every_command_has_a_summary_and_an_example(facts: dict[str, Any]) -> None:
    for name, command in facts["commands"].items():
        assert command["summary"].endswith("."), name
        assert command["examples"], name


def test_every_example_is_one_that_az_takes(facts: dict[str, Any]) -> None:
    for name, command in facts["commands"].items():
        for example, refusal in command["examples"].items():
            assert example.startswith(f"az {name} ") or example == f"az {name}"
            assert not refusal, f"{example}\n{refusal}"


def test_the_check_of_examples_notices_one_that_is_wrong(cloud: Cloud) -> None:
    answer = cloud.otelembed("deploy", "-g", "shop-rg", "-n", "shop", "--no-such-option", "1")
    assert answer.returncode == 2, "argparse's own status"
    assert "--no-such-option" in answer.stderr
    assert answer.requests == []


def test_every_parameter_has_help(facts: dict[str, Any]) -> None:
    for what, argument in options(facts):
        assert len(argument["help"]) > 10, what


def test_options_are_named_as_az_names_them(facts: dict[str, Any]) -> None:
    for what, argument in options(facts):
        named = [option for option in argument["options"] if option.startswith("-")]
        assert all(re.fullmatch(r"-[a-z]|--[a-z]+(-[a-z]+)*", option) for option in named), what
        assert min(map(len, named), default=0) <= LONGEST_OPTION, what


def test_the_wheel_holds_the_extension_and_nothing_else() -> None:
    (wheel,) = (ROOT / ".local" / "dist").glob("otelembed-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        information = next(name for name in names if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(information).decode()
    version = wheel.name.split("-")[1]
    assert {name.split("/")[0] for name in names} == {
        "azext_otelembed",
        f"otelembed-{version}.dist-info",
    }
    assert "azext_otelembed/azext_metadata.json" in names
    assert "azext_otelembed/collector/default.yml" in names
    assert "azext_otelembed/collector/component_types.json" in names
    assert not [name for name in names if "test" in name or "localazure" in name]
    assert re.search(r"^Name: otelembed$", metadata, re.MULTILINE)
    required = set(re.findall(r"^Requires-Dist: ([\w.-]+)", metadata, re.MULTILINE))
    built_on = {"azure-identity", "azure-mgmt-web", "azure-containerregistry", "rich"}
    assert required == {*built_on, "zstandard"}


def test_az_knows_the_extension_as_an_installed_wheel(cloud: Cloud) -> None:
    shown = cloud.run("extension", "show", "-n", "otelembed")
    assert shown.returncode == 0, shown.show()
    assert shown.json["extensionType"] == "whl"
    assert shown.json["path"] == str(EXTENSIONS / "otelembed")
    assert shown.json["metadata"]["azext.minCliCoreVersion"]


def test_help_lists_the_commands_and_explains_their_statuses(cloud: Cloud) -> None:
    group = cloud.otelembed("--help")
    assert group.returncode == 0
    for command in ("deploy", "status"):
        assert re.search(rf"^ +{command} +: ", group.stdout, re.MULTILINE), group.stdout
    deploy = cloud.otelembed("deploy", "--help")
    assert "Ends with status 0" in deploy.stdout
    assert "--connection-string" in deploy.stdout


def test_help_loads_nothing_heavy(cloud: Cloud) -> None:
    done = subprocess.run(
        [str(PYTHON), "-X", "importtime", "-m", "azure.cli", "otelembed", "deploy", "--help"],
        env=cloud.az.environment(),
        cwd=cloud.az.folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = set(re.findall(r"^import time:.*\| +([\w.]+)$", done.stderr, re.MULTILINE))
    assert "azext_otelembed.commands" in loaded, "the list of modules is what it seems"
    assert [name for name in loaded if f"{name}.".startswith(HEAVY)] == []
