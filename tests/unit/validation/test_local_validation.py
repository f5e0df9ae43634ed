"""`otelcol validate` of the test collector in the sandbox, and what is made of its words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from azext_otelembed.collector.config import Config, ConfigFile, default, read
from azext_otelembed.collector.problem import Problem
from azext_otelembed.deadline import Deadline
from azext_otelembed.redaction import Secrets
from azext_otelembed.validation.local_validation import run_in_sandbox
from azext_otelembed.validation.otelcol_output import problems_of
from azext_otelembed.validation.placeholders import placeholders
from tests.unit.collector.configurations import CASES, Case

TEXT = """\
receivers:
  otlp:
    protocols:
      http: {endpoint: "localhost:4318"}
processors:
  memory_limiter: {limit_mib: 100, check_interval: 1s}
  batch: {send_batch_size: 10, send_batch_max_size: 20, timeout: 1s}
exporters:
  azuremonitor: {connection_string: "${env:APPLICATIONINSIGHTS_CONNECTION_STRING}"}
service:
  pipelines:
    traces:
      receivers: [otlp]
      processors: [memory_limiter, batch]
      exporters: [azuremonitor]
"""


def of(text: str | bytes) -> Config:
    data = text.encode() if isinstance(text, str) else text
    return read([ConfigFile("shop.yml", data)])


def validated(otelcol: Path, config: Config) -> tuple[int, list[Problem]]:
    variables = placeholders(config.root)
    status, lines = run_in_sandbox(otelcol, config.data, variables, Secrets(), Deadline())
    assert lines[0].startswith("otelembed-sandbox:"), lines
    return status, problems_of(lines, config)


def test_the_default_configuration_is_valid(otelcol: Path) -> None:
    assert validated(otelcol, of(default())) == (0, [])
    assert validated(otelcol, of(TEXT)) == (0, [])


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "words"),
    [
        ("{endpoint:", "{endpont:", 4, "receivers::otlp::protocols::http::endpont", "endpont"),
        ("max_size: 20", "max_size: 5", 7, "processors::batch", "send_batch_max_size must be"),
        ("limit_mib: 100", "limit_mib: x", 6, "processors::memory_limiter::limit_mib", "uint32"),
        ("[azuremonitor]", "[nope]", 12, "service::pipelines::traces", 'exporter "nope"'),
        ("batch:", "nope:", 7, "", "nope"),
    ],
)
def test_an_error_has_its_line_and_path(
    otelcol: Path, old: str, new: str, line: int, path: str, words: str
) -> None:
    status, problems = validated(otelcol, of(TEXT.replace(old, new)))
    assert status == 1
    first = problems[0]
    assert first.is_error
    assert first.message.startswith("otelcol validate: ")
    assert words in first.message
    if path:
        assert (first.line, first.path) == (line, path)


@pytest.mark.parametrize(
    ("old", "new", "is_error"),
    [
        ("timeout: 1s", "timeout: '${env:T}'", None),
        ("limit_mib: 100", "limit_mib: '${env:T}'", None),
        ("max_size: 20", "max_size: '${env:T}'", False),
        ("max_size: 20, timeout: 1s", "max_size: 5, timeout: '${env:T}'", True),
        ("max_size: 20", "max_size: '${env:T:-5}'", True),
        ("{limit_mib: 100", "{limit_mib: '${env:T}', typo: 1", True),
    ],
)
def test_what_depends_on_a_variable_of_the_site_is_a_warning(
    otelcol: Path, old: str, new: str, is_error: bool | None
) -> None:
    _, problems = validated(otelcol, of(TEXT.replace(old, new)))
    assert [one.is_error for one in problems] == ([] if is_error is None else [is_error])


def test_a_file_of_this_machine_is_not_read_and_only_warned_of(
    otelcol: Path, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("'my-own-file'")
    for path in (secret, tmp_path / "missing"):
        text = TEXT.replace("timeout: 1s", f"timeout: '${{file:{path}}}'")
        status, problems = validated(otelcol, of(text))
        assert status == 1
        assert [one.is_error for one in problems] == [False], problems
        assert "my-own-file" not in str(problems)


def test_nothing_of_this_process_reaches_the_collector(
    otelcol: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_CALLER", "not-a-number")
    text = TEXT.replace("max_size: 20", "max_size: '${env:SECRET_OF_THE_CALLER}'")
    _, (problem,) = validated(otelcol, of(text))
    assert "not-a-number" not in str(problem)
    assert os.environ["SECRET_OF_THE_CALLER"] not in str(placeholders(of(text).root))


def test_a_program_that_can_not_be_started_tells_no_problem(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    status, lines = run_in_sandbox(missing, TEXT.encode(), {}, Secrets(), Deadline())
    assert status != 0
    assert problems_of(lines, of(TEXT)) == []


PASSED = [case for case in CASES if not case.fault and case.collector_accepts]


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, marks=() if number % 8 == 0 else pytest.mark.thorough, id=case.name)
        for number, case in enumerate(PASSED)
    ],
)
def test_what_the_collector_accepts_is_no_error_with_placeholders(
    case: Case, otelcol: Path
) -> None:
    _, problems = validated(otelcol, of(case.text))
    assert [one for one in problems if one.is_error] == []


def test_a_list_from_a_variable_of_the_site_is_only_warned_of(otelcol: Path) -> None:
    _, (problem,) = validated(
        otelcol, of(TEXT.replace("receivers: [otlp]", "receivers: '${env:R}'"))
    )
    assert not problem.is_error
    assert problem.path == "service::pipelines::traces::receivers"
    assert "depends on a variable of the site" in problem.advice
