"""The component types of the pinned release, and what is said of others."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from azext_otelembed.collector import config
from azext_otelembed.collector.component_types import is_release, release
from azext_otelembed.collector.problem import Problem
from azext_otelembed.custom import DEFAULT_COLLECTOR
from azext_otelembed.image.reference import Reference
from tests.unit.collector.configurations import changed, exporter

OTHER = "Its --collector-image must contain the component."


def test_the_list_is_that_of_the_default_collector_image() -> None:
    reference = Reference.parse(DEFAULT_COLLECTOR)
    assert is_release(reference.repository, reference.tag)
    assert not is_release(reference.repository, "0.149.0")
    assert not is_release("acme/otelcol", reference.tag)


def test_the_list_has_the_components_of_the_test_collector(otelcol: Path) -> None:
    command = [str(otelcol), "components"]
    said = subprocess.run(command, env={}, capture_output=True, text=True, check=True)
    found = yaml.safe_load(said.stdout)
    for section in ("receivers", "processors", "exporters", "connectors", "extensions"):
        for component in found[section]:
            assert release().has(section, component["name"]), component["name"]


@pytest.mark.parametrize(
    ("section", "kind", "instead"),
    [
        ("exporters", "logging", "Release 0.110.0 was the last one with it. Use debug."),
        ("exporters", "jaeger", "Release 0.85.0 was the last one with it. Use otlp_http,"),
        ("processors", "spanmetrics", "Use the spanmetrics connector."),
        ("exporters", "kinetica", "Release 0.130.0 was the last one with it."),
        ("receivers", "batch", "'batch' is one of the processors."),
        ("receivers", "file-log", "Did you mean 'file_log'?"),
        ("exporters", "azuremonitorexporter", "Did you mean 'azuremonitor'?"),
        ("processors", "tailsampling", "Did you mean 'tail_sampling'?"),
        ("processors", "zzz", ""),
    ],
)
def test_an_unknown_type_has_its_successor_or_a_similar_name(
    section: str, kind: str, instead: str
) -> None:
    assert release().has(section, kind) is False
    found = release().instead(section, kind)
    assert instead in found
    assert bool(instead) == bool(found)


@pytest.mark.parametrize(
    ("section", "kind"),
    [("receivers", "filelog"), ("exporters", "otlp"), ("extensions", "awslogs_encoding")],
)
def test_former_names_are_accepted(section: str, kind: str) -> None:
    assert release().has(section, kind) is True


def test_a_component_that_the_release_may_have_is_a_warning() -> None:
    text = changed(("  batch:\n", "  batch:\n  schema:\n"))
    (found,) = (one for one in problems(text, exact=True) if one.path == "processors::schema")
    assert not found.is_error
    assert "may lack processor 'schema'" in found.message


def test_a_type_that_another_collector_image_may_have_is_a_warning() -> None:
    text = changed(exporter("acme:"))
    (known,) = (one for one in problems(text, exact=True) if one.path == "exporters::acme")
    (unknown,) = (one for one in problems(text, exact=False) if one.path == "exporters::acme")
    assert (known.is_error, unknown.is_error) == (True, False)
    assert known.line == unknown.line == 11
    assert unknown.advice == OTHER


def test_problems_of_merged_files_name_their_file() -> None:
    first = config.ConfigFile("base.yml", changed())
    second = config.ConfigFile("more.yml", b"exporters:\n  debug: {verbosty: basic}\n")
    third = config.ConfigFile("last.yml", b"receivers: [\n")
    (error,) = (one for one in config.problems(config.read([first, second])) if one.is_error)
    assert (error.file, error.line, error.path) == ("more.yml", 2, "exporters::debug::verbosty")
    unread = config.problems(config.read([first, second, third]))
    assert [(one.file, one.is_error) for one in unread] == [("last.yml", True)]


def problems(text: bytes, *, exact: bool) -> tuple[Problem, ...]:
    return config.problems(config.read([config.ConfigFile("shop.yml", text)]), exact=exact)
