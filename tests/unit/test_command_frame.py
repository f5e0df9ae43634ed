"""The frame of a command: errors, its question, az's log, and a signal while threads write."""

from __future__ import annotations

import io
import logging
import os
import pty
import re
import signal
import subprocess
import sys
from argparse import Namespace
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from azure.cli.core.azclierror import AzCLIError

from azext_otelembed import after_parsing
from azext_otelembed._validators import validate_tag
from azext_otelembed.command_frame import command_frame, confirmed
from azext_otelembed.errors import AzureFailed
from tests.ci_commands import HOSTILE, executed

ROOT = Path(__file__).resolve().parents[2]
CMD: Any = SimpleNamespace(cli_ctx=SimpleNamespace(only_show_errors=False))
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]")
FLEET = """
import logging, os, sys, threading, time
from dataclasses import replace
from types import SimpleNamespace

from knack.util import CLIError

from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteId
from azext_otelembed import after_parsing
from azext_otelembed._validators import validate_tag
from azext_otelembed.command_frame import command_frame
from azext_otelembed.release.fleet import deploy_fleet
from tests.release.support import request_of

asked = []

class Slow:
    def get_token(self, *scopes, **options):
        asked.append(1)
        time.sleep(0.1)
        logging.warning("no token")
        raise CLIError("log in first")

def interrupt():
    while len(asked) < 150:
        time.sleep(0.005)
    os.kill(os.getpid(), int(sys.argv[1]))

logging.basicConfig(format="%(message)s")
sites = [SiteId("subscription", "group", f"site{number}") for number in range(1000)]
address = "https://localhost:1"
session = Session(Slow(), "subscription", "tenant", address, "scope", "localhost")
try:
    with command_frame(SimpleNamespace(cli_ctx=SimpleNamespace(only_show_errors=False))) as console:
        threading.Thread(target=interrupt).start()
        deploy_fleet(session, sites, request_of(), console, None)
finally:
    time.sleep(0.4)
    before = len(asked)
    time.sleep(0.5)  # az does a few things before it ends
    print(before, len(asked))
"""


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """What the handler of az's loggers writes."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
    logging.getLogger("cli").addHandler(handler)
    yield stream
    logging.getLogger("cli").removeHandler(handler)


def _fail(text: str) -> None:
    with command_frame(CMD) as console:
        console.stands(text)
        raise AzureFailed(f"Azure answered: {text}", f"{text}: ask the owner.")


@pytest.mark.parametrize("text", HOSTILE)
def test_an_error_and_its_advice_are_printable(text: str) -> None:
    with pytest.raises(AzCLIError) as raised:
        _fail(text)
    (advice,) = raised.value.recommendations
    for told in (raised.value.error_msg, advice):
        assert not CONTROLS.search(told)
        assert "\n" not in told
        assert executed(told) == []


@pytest.mark.parametrize("text", HOSTILE)
def test_azs_own_log_is_printable(text: str, log: io.StringIO) -> None:
    logger = logging.getLogger("cli.azure.cli.core")
    with pytest.raises(ValueError, match="odd"), command_frame(CMD):
        raise ValueError("odd")
    logger.warning("%s", text)  # az logs errors after the command
    try:
        int(text)
    except ValueError:
        logger.exception("unexpected")
    assert log.getvalue().count("WARNING: ") == 1
    assert not CONTROLS.search(log.getvalue())
    assert executed(log.getvalue()) == []


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.thorough)]
)
def test_a_fleet_writes_whole_lines_and_none_after_a_signals_line(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FLEET, str(int(number))],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        cwd=ROOT,
    )
    assert done.returncode == 128 + number, done.stderr
    *lines, last = done.stderr.splitlines()
    assert re.match(rf"otelembed: {number.name} received: \d+ of 1000 sites are done; ", last)
    whole = re.compile(r"otelembed: site\d+: failed \(1\)|  log in first|no token")
    assert [line for line in lines if not whole.fullmatch(line)] == []
    assert len(lines) > 20
    before, after = done.stdout.split()
    assert before == after, "no further site begins"


@pytest.mark.parametrize("text", HOSTILE)
def test_arguments_that_az_refuses_before_the_command_are_printable(
    text: str, log: io.StringIO
) -> None:
    after_parsing(None, command="otelembed build", args=Namespace(tag="1.0"))
    with pytest.raises(AzCLIError) as raised:
        validate_tag(Namespace(tag=text))
    raised.value.print_error()
    assert "isn't a valid image tag" in log.getvalue()
    assert not CONTROLS.search(log.getvalue())
    assert executed(log.getvalue()) == []


def test_an_answer_of_the_token_service_isnt_logged(log: io.StringIO) -> None:
    handler, logger = logging.StreamHandler(log), logging.getLogger("msal.oauth2cli.oauth2")
    logger.addHandler(handler)
    with command_frame(CMD):
        logger.exception("Token response is not in json format: %s", '{"access_token": "eyJ0')
    logger.removeHandler(handler)
    assert log.getvalue() == ""


@pytest.mark.parametrize(
    ("typed", "answer"), [("y\n", True), ("n\n", False), ("\n", False), ("\x04", False)]
)
def test_only_yes_confirms(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], typed: str, answer: bool
) -> None:
    leader, follower = pty.openpty()
    os.write(leader, typed.encode())
    with os.fdopen(follower) as terminal:
        monkeypatch.setattr("sys.stdin", terminal)
        assert confirmed("Continue?") is answer
    os.close(leader)
