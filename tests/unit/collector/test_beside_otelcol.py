"""Configurations accepted and refused here, beside `otelcol validate` of the test collector."""

from __future__ import annotations

import re
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from azext_otelembed.collector import config
from tests.unit.collector.configurations import AT_START, CASES, Case

SAMPLE = 8
"""`make test` asks the collector for every eighth verdict."""


def test_there_are_enough_cases_of_both_kinds() -> None:
    assert [name for name, count in Counter(case.name for case in CASES).items() if count > 1] == []
    verdicts = Counter(not case.fault for case in CASES)
    assert verdicts[True] >= 60
    assert verdicts[False] >= 60
    assert all(bool(case.differs) == (case.collector_accepts == bool(case.fault)) for case in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_configuration_is_accepted_or_refused(case: Case) -> None:
    problems = config.problems(config.read([config.ConfigFile("shop.yml", case.text)]))
    errors = [problem for problem in problems if problem.is_error]
    if not case.fault:
        assert errors == []
        return
    assert errors
    assert re.search(case.fault, errors[0].message), errors
    assert all(problem.advice or not problem.path for problem in errors), errors


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if number % SAMPLE == 0 else pytest.mark.thorough, id=case.name)
        for number, case in enumerate(CASES)
    ],
)
def test_otelcol_says_the_same_or_the_case_tells_why(
    case: Case, otelcol: Path, tmp_path: Path
) -> None:
    file = tmp_path / "shop.yml"
    file.write_bytes(case.text)
    command = [str(otelcol), "validate", "--config", str(file)]
    said = subprocess.run(command, env={}, capture_output=True, text=True, check=False, timeout=60)
    assert (said.returncode == 0) == case.collector_accepts, said.stderr


@pytest.mark.thorough
@pytest.mark.parametrize(
    "case", [case for case in CASES if case.differs == AT_START], ids=lambda case: case.name
)
def test_the_collector_exits_at_start(case: Case, otelcol: Path, tmp_path: Path) -> None:
    file = tmp_path / "shop.yml"
    file.write_bytes(case.text)
    command = [str(otelcol), "--config", str(file)]
    said = subprocess.run(command, env={}, capture_output=True, text=True, check=False, timeout=60)
    assert said.returncode == 1, said.stderr
