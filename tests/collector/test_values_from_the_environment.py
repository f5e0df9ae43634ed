"""Values of environment variables arrive as text in the telemetry, whatever they look like."""

from __future__ import annotations

from pathlib import Path

import pytest

from azext_otelembed.image.reference import Digest
from tests.collector.default_config import exported_resource, launched, traces
from tests.localazure.images_support import LOCAL, PIPELINES, Collector, Ingestion
from tests.waiting import eventually

RECIPE = Digest.of(b"recipe")

ALLOWED = ["2024-10-01", "null", "true", "007", "1e3", "0x1f", "12345678901234567890", "no", "-1"]
"""Names that Azure allows, for a site or a slot."""
OTHERS = [
    *(
        "~",
        "[a]",
        "{a: b}",
        "{1: b}",
        "1: 2",
        '"',
        "'",
        "'a'",
        "#",
        "a #b",
        ": ",
        "- a",
        "&a",
        "*a",
    ),
    *(
        "!!int 7",
        "|",
        ">",
        "%",
        "@",
        "`",
        "=",
        ".inf",
        "0xffffffffffffffff",
        "0b1",
        "0o17",
        "1_000",
    ),
    *("a$b", "$", "a$", "$$", "a$$b", "$HOME", "${", "}", "a${HOME}b", "${env:HOME}", "${no:x}"),
    *(
        " a  b ",
        "  ",
        "a\nb",
        "\n",
        "Größe",
        "日本",
        "text:",
        "2024-10-01T00:00:00Z",
        "18446744073709551615",
    ),
]


def text_of(program: Path, site: str, slot: str, instance: str) -> list[dict[str, str]]:
    environment = {
        "WEBSITE_SITE_NAME": site,
        "WEBSITE_SLOT_NAME": slot,
        "WEBSITE_INSTANCE_ID": instance,
    }
    found = exported_resource(program, launched(environment, RECIPE))
    assert found.pop("otelembed.recipe") == {"stringValue": RECIPE.short}
    names = ["service.name", "deployment.environment.name", "service.instance.id"]
    assert sorted(found) == sorted(names)
    return [found[name] for name in names]


@pytest.mark.parametrize(
    "values", [ALLOWED[:3], ALLOWED[3:6], ALLOWED[6:], ["a$b", "${no:x}", "{1: b}"]], ids=repr
)
def test_each_is_text(program: Path, values: list[str]) -> None:
    site, slot, instance = values
    assert text_of(program, site, slot, instance) == [{"stringValue": value} for value in values]


@pytest.mark.thorough
@pytest.mark.parametrize("value", [*ALLOWED, *OTHERS])
def test_each_is_text_in_every_place(program: Path, value: str) -> None:
    assert text_of(program, value, value, value) == 3 * [{"stringValue": value}]


def test_without_the_launcher_they_are_text_as_well(program: Path) -> None:
    found = exported_resource(
        program,
        {
            "WEBSITE_SITE_NAME": "2024-10-01",
            "WEBSITE_SLOT_NAME": "007",
            "WEBSITE_INSTANCE_ID": "a$b",
        },
    )
    assert found == {
        "service.name": {"stringValue": "2024-10-01"},
        "deployment.environment.name": {"stringValue": "007"},
        "service.instance.id": {"stringValue": "a$b"},
    }


def test_empty_values_are_as_missing_ones(program: Path) -> None:
    names = ("WEBSITE_SITE_NAME", "WEBSITE_SLOT_NAME", "WEBSITE_INSTANCE_ID", "OTELEMBED_RECIPE")
    assert exported_resource(program, dict.fromkeys(names, "")) == {
        "service.name": {"stringValue": "unknown_service"},
        "deployment.environment.name": {"stringValue": "Production"},
        "service.instance.id": {"stringValue": "local"},
    }


def test_what_the_app_says_wins_except_a_stand_in_for_its_name(program: Path) -> None:
    site = launched({"WEBSITE_SITE_NAME": "shop", "WEBSITE_SLOT_NAME": "staging"}, RECIPE)
    own = exported_resource(
        program,
        site,
        service__name="till",
        service__instance__id="i-1",
        deployment__environment__name="test",
        otelembed__recipe="other",
    )
    assert own == {
        "service.name": {"stringValue": "till"},
        "service.instance.id": {"stringValue": "i-1"},
        "deployment.environment.name": {"stringValue": "test"},
        "otelembed.recipe": {"stringValue": RECIPE.short},
    }
    for name in ("unknown_service:ruby", ""):
        assert exported_resource(program, site, service__name=name)["service.name"] == {
            "stringValue": "shop"
        }


@pytest.mark.parametrize("digits", ["123456789012", "012345678901", "12e345678901"])
def test_a_configuration_of_ones_own_adds_recipe_and_host_with_the_lines_of_the_docs(
    program: Path, digits: str, tmp_path: Path, ingestion: Ingestion
) -> None:
    text = (LOCAL.parent / "docs/embedded-image.md").read_text()
    (lines,) = (found for found in text.split("```yaml\n")[1:] if "resource/release" in found)
    own = PIPELINES.replace(
        "processors:\n", lines.partition("```")[0].replace("{", "{{").replace("}", "}}"), 1
    ).replace("resource, batch]", "resource, resource/release, batch]")
    started = Collector(
        program,
        tmp_path,
        ingestion.connection_string,
        own,
        environment={
            "WEBSITE_SITE_NAME": "shop",
            "WEBSITE_HOSTNAME": "@text:shop.net",
            "OTELEMBED_RECIPE": digits,
        },
    )
    with started as collector:
        collector.wait_until_ready()
        collector.post("traces", traces())
        (envelope,) = eventually(lambda: ingestion.envelopes)
    properties = envelope["data"]["baseData"]["properties"]
    assert properties == {
        "service.name": "shop",
        "otelembed.recipe": digits,
        "otelembed.host": "shop.net",
    }


HOSTS = [
    ("shop", "shop.azurewebsites.net", "Production"),
    ("shop", "shop-staging.azurewebsites.net", "staging"),
    ("shop", "shop-ds27dh7271aah175.westus-01.azurewebsites.net", "Production"),
    ("shop", "shop-blue-2-ds27dh7271aah175.westeurope-01.azurewebsites.net", "blue-2"),
    ("shop", "SHOP-Staging.azurewebsites.net", "Staging"),
    ("shop-a", "shop-a.azurewebsites.us", "Production"),
    ("shop-a", "shop-a-b.azurewebsites.us", "b"),
    ("shop", "shop-b.chinacloudsites.cn", "b"),
    ("shop", "shop-b-ds27dh7271aah175.chinaeast2-01.chinacloudsites.cn", "b"),
    ("shop", "shop-b.environment-01.appserviceenvironment.net", "b"),
    ("shop", "shop-b.environment-01.p.azurewebsites.net", "b"),
    ("shop", "shop.environment-01.p.azurewebsites.net", "Production"),
    ("sh.p", "shop-b.azurewebsites.net", "Production"),
    ("shop", "localhost:8080", "Production"),
    ("${", "x-b.azurewebsites.net", "Production"),
]


@pytest.mark.parametrize(
    ("site", "host", "slot"),
    [
        pytest.param(*row, marks=[] if number in (1, 3) else pytest.mark.thorough)
        for number, row in enumerate(HOSTS)
    ],
)
def test_the_slot_is_taken_from_the_host_name_where_no_variable_names_it(
    program: Path, site: str, host: str, slot: str
) -> None:
    environment = {"WEBSITE_SITE_NAME": site, "WEBSITE_HOSTNAME": host}
    found = exported_resource(program, launched(environment, RECIPE))
    assert found["deployment.environment.name"] == {"stringValue": slot}


def test_the_variable_of_the_slot_wins_over_the_host_name(program: Path) -> None:
    names = {"WEBSITE_SLOT_NAME": "blue", "WEBSITE_HOSTNAME": "shop-green.azurewebsites.net"}
    found = exported_resource(program, {"WEBSITE_SITE_NAME": "shop", **names})
    assert found["deployment.environment.name"] == {"stringValue": "blue"}
