"""docs/result.md holds every field of every result, and no other."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from azext_otelembed import errors
from azext_otelembed.release.release_context import (
    EXIT_NOT_ROLLED_BACK,
    EXIT_ROLLED_BACK,
    EXIT_UNPROVEN,
)
from localazure.client import ROOT
from tests.e2e.refusal_places import CONFIGURATION
from tests.e2e.support import Answer, Cloud

PAGE = (ROOT / "docs" / "result.md").read_text()
BY_STEP = {"seconds"}
"""Objects whose keys are names of steps."""
ELSEWHERE = {f"build.{name}" for name in ("builder", "image", "engine", "run", "digest")}
"""Seen only where there is something that builds images."""
ELSEWHERE |= {"swap.slot", "swap.production"}
"""Seen only where there is a slot: tests/e2e/test_swap.py."""
SECTIONS = {
    "deploy": "`az otelembed deploy`",
    "fleet": "`az otelembed deploy` of several sites",
    "status": "`az otelembed status`",
    "doctor": "`az otelembed doctor`",
    "logs": "`az otelembed logs`",
    "history": "`az otelembed history`",
    "release": "`az otelembed rollback`, `az otelembed remove`, `az otelembed wait`",
    "build": "`az otelembed build`",
    "dockerfile": "`az otelembed dockerfile`",
    "config validate": "`az otelembed config validate`",
    "config show": "`az otelembed config show`",
    "prune": "`az otelembed prune`",
}

Results = dict[str, list[Any]]


def rows(heading: str) -> dict[str, str]:
    """The second column of a section's table, by the first one without its backticks."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.strip("|").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {row[0].strip().strip("`"): row[1].strip() for row in cells[1:]}


def fields(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every field of a result by its path, as the page writes it: `a.b`, `a[].b`."""
    if isinstance(value, dict):
        for name, inner in value.items():
            here = f"{path}.{name}" if path else name
            yield here, inner
            if name not in BY_STEP:
                yield from fields(inner, here)
    elif isinstance(value, list):
        for item in value:
            yield from fields(item, f"{path}[]")


@pytest.fixture(scope="module")
def results(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Results:
    """The results of a site's whole life, by the section that tells of them."""
    site = cloud.make_site()
    site.push("2.0")
    found: Results = defaultdict(list)

    def run(section: str, *arguments: str, status: int = 0) -> Answer:
        answer = cloud.otelembed(*arguments, "--only-show-errors")
        assert answer.returncode == status, answer.show()
        found[section].append(answer.json)
        return answer

    run("deploy", "deploy", *site.arguments, "--dry-run")
    run("deploy", "deploy", *site.arguments)
    run("deploy", "deploy", *site.arguments, "--wait-for-telemetry", "40")
    run("status", "status", *site.arguments)
    run("doctor", "doctor", *site.arguments)
    run("logs", "logs", *site.arguments, "-o", "json")
    run("config show", "config", "show", *site.arguments, "-o", "json")
    file = tmp_path_factory.mktemp("config") / "shop.yml"
    file.write_text(CONFIGURATION)
    validate = ("config", "validate", str(file))
    run("config validate", *validate, "--registry", site.registry)
    file.write_text(f"{CONFIGURATION}more: \n")
    run("config validate", *validate, status=1)
    run("deploy", "deploy", *site.arguments, "--image", site.image("2.0"), "--no-wait")
    run("release", "wait", *site.arguments, "--wait-for-telemetry", "40")
    run("release", "rollback", *site.arguments, "--yes")
    run("release", "remove", *site.arguments, "--yes")
    run("status", "status", *site.arguments)
    run("history", "history", *site.arguments)
    run("build", "build", "--image", site.image("2.0"))
    app = ("--image", site.image("2.0"))
    run("dockerfile", "dockerfile", *app, "-o", "json")
    run("dockerfile", "dockerfile", *app, "--output-dir", str(tmp_path_factory.mktemp("out")))
    nowhere = f"{site.id}-nowhere"
    run("fleet", "deploy", "--dry-run", "--ids", site.id, nowhere, nowhere + "2", status=3)
    run("prune", "prune", "--registry", site.registry, "--repository", site.repository)
    return found


@pytest.mark.parametrize("section", SECTIONS)
def test_the_page_has_every_field_and_no_other(results: Results, section: str) -> None:
    told = set(rows(SECTIONS[section]))
    seen = {path for result in results[section] for path, _ in fields(result)}
    if section == "fleet":
        # The page points to deploy's fields instead of naming them again.
        seen -= {f"sites[].{name}" for name in rows(SECTIONS["deploy"])} - told
    # A warning has the fields of an error.
    seen = {path.replace("warnings[]", "errors[]") for path in seen}
    assert seen - told == set(), "fields that the page doesn't have"
    assert told - seen - ELSEWHERE == set(), "fields that no result has"


@pytest.mark.parametrize("section", [name for name in SECTIONS if name != "fleet"])
def test_fields_are_there_in_every_case(results: Results, section: str) -> None:
    tables = [value for value in results[section] if isinstance(value, list)]
    objects = [value for value in results[section] if isinstance(value, dict)]
    objects += [row for table in tables for row in table]
    assert len({tuple(sorted(one)) for one in objects}) == 1


KINDS: dict[str, Any] = {
    "text": str,
    "number": (int, float),
    "object": dict,
    "list": list,
    "list of text": list,
    "true": bool,
    "false": bool,
    "null": type(None),
}


@pytest.mark.parametrize("section", SECTIONS)
def test_fields_are_of_the_types_that_the_page_tells(results: Results, section: str) -> None:
    types = {
        path: tuple(KINDS[word] for word in re.split(r", | or ", told))
        for path, told in rows(SECTIONS[section]).items()
    }
    for result in results[section]:
        for path, value in fields(result):
            if path in types:
                kinds = types[path]
                assert any(isinstance(value, kind) for kind in kinds), (path, value)
                assert not isinstance(value, bool) or bool in kinds, (path, value)


def test_columns_of_tsv_stand_in_the_order_of_the_query(cloud: Cloud, results: Results) -> None:
    name = results["status"][0]["site"]
    group = results["status"][0]["resourceGroup"]
    query = "[[site, image.name, embedded, setting.value]]"
    arguments = ("-g", group, "-n", name, "--query", query, "-o", "tsv")
    answer = cloud.otelembed("status", *arguments)
    assert answer.stdout.rstrip("\n").split("\t") == [
        name,
        results["status"][1]["image"]["name"],
        "False",
        results["status"][1]["setting"]["value"] or "None",
    ]


def test_every_exit_status_is_told() -> None:
    told = {int(status) for status in rows("Exit status")}
    raised = {kind.exit_status for kind in every(errors.OtelembedError)}
    by_signal = {130, 143}
    by_verdict = {EXIT_ROLLED_BACK, EXIT_NOT_ROLLED_BACK, EXIT_UNPROVEN}
    assert told == {0, 2} | by_verdict | by_signal | raised
    readme = (ROOT / "README.md").read_text()
    paragraph = readme.partition("**Exit status**")[2].partition("\n\n")[0]
    assert {int(number) for number in re.findall(r"\b\d+\b", paragraph)} == told


def every(kind: type[errors.OtelembedError]) -> Iterator[type[errors.OtelembedError]]:
    """A class and all below it."""
    yield kind
    for below in kind.__subclasses__():
        yield from every(below)
