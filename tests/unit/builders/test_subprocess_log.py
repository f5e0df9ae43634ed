"""Programs run with their output passed on as it comes."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping, Sequence

import pytest

from azext_otelembed.builders.source import OnLine
from azext_otelembed.builders.subprocess_log import ProcessResult
from azext_otelembed.builders.subprocess_log import run as run_program
from azext_otelembed.redaction import LEFT_OUT, MAX_LINE, Secrets

ENVIRONMENT = dict(os.environ)


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    on_line: OnLine,
    secrets: Secrets | None = None,
) -> ProcessResult:
    return run_program(command, environment, secrets or Secrets(), on_line)


def test_lines_arrive_while_the_program_runs() -> None:
    heard: list[tuple[float, str]] = []
    code = "import time; print('one', flush=True); time.sleep(1); print('two')"
    run([sys.executable, "-c", code], ENVIRONMENT, lambda line: heard.append((time.time(), line)))
    assert [line for _, line in heard] == ["one", "two"]
    assert heard[1][0] - heard[0][0] > 0.7


def test_both_streams_arrive_in_order_and_the_status_is_told() -> None:
    ran = run(["/bin/sh", "-c", "echo one; echo two >&2; echo three; exit 7"], ENVIRONMENT, print)
    assert ran.lines == ("one", "two", "three")
    assert ran.status == 7


@pytest.mark.parametrize(
    ("printed", "lines"),
    [
        (r"10%%\r50%%\r100%%\ndone\r\n", ("100%", "done")),
        (r"caf\xe9\nno newline", ("caf�", "no newline")),
        (r"\033[1;31mred\033[0m\033[K\n", ("red",)),
    ],
    ids=["a line that redraws itself", "bytes that are no text, no line end", "colours"],
)
def test_lines_are_what_a_terminal_shows(printed: str, lines: tuple[str, ...]) -> None:
    assert run(["printf", printed], ENVIRONMENT, print).lines == lines


def test_only_the_last_lines_are_kept() -> None:
    heard: list[str] = []
    ran = run(["seq", "1000"], ENVIRONMENT, heard.append)
    assert len(heard) == 1000
    assert ran.lines[-1] == "1000"
    assert len(ran.lines) == 200


def test_secrets_are_masked_in_the_output_and_in_the_lines_that_are_kept() -> None:
    secrets = Secrets()
    secrets.add_arguments({"NPM_TOKEN": "npm-5f1e", "VERSION": "1.4.2"})
    heard: list[str] = []
    ran = run(["echo", "401 with npm-5f1e at 1.4.2"], ENVIRONMENT, heard.append, secrets)
    assert heard == list(ran.lines) == ["401 with *** at 1.4.2"]


def test_a_line_that_would_have_to_be_cut_is_left_out_as_a_whole() -> None:
    code = f"print('x' * {MAX_LINE - 4} + 'sk-demo-5f1e8b7c2a9d' + 'x' * 200000); print('next')"
    assert run([sys.executable, "-c", code], ENVIRONMENT, print).lines == (LEFT_OUT, "next")


def test_the_program_has_ended_when_its_caller_is_interrupted() -> None:
    pids: list[int] = []

    def hear(line: str) -> None:
        pids.append(int(line))
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run(["/bin/sh", "-c", "echo $$; exec sleep 60"], ENVIRONMENT, hear)
    assert time.monotonic() - began < 5
    with pytest.raises(ProcessLookupError):
        os.kill(pids[0], 0)


@pytest.mark.timeout(20)
def test_a_program_finds_nothing_to_read() -> None:
    assert run(["cat"], ENVIRONMENT, print).lines == ()


def test_a_program_that_is_missing_is_told() -> None:
    with pytest.raises(FileNotFoundError):
        run(["/nowhere/docker"], ENVIRONMENT, print)
