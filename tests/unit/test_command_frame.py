"""The frame of a command: its errors, az's log, and an end by a signal while threads write."""

from __future__ import annotations

import io
import logging
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from azure.cli.core.azclierror import AzCLIError

from azext_otelembed.command_frame import command_frame
from azext_otelembed.errors import AzureFailed
from tests.ci_commands import HOSTILE, executed

CMD: Any = SimpleNamespace(cli_ctx=SimpleNamespace(only_show_errors=False))
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e]")
THREADS = """
import logging, os, signal, sys, threading, time
from types import SimpleNamespace
from azext_otelembed.command_frame import command_frame
from azext_otelembed.parallel import map_concurrently

logging.basicConfig(format="%(message)s")
begun = []
def work(site):
    begun.append(site)
    for _ in range(40):
        console.alert(f"site {site} failed", f"  reason {site}")
        logging.warning("warning %s", site)
        time.sleep(0.005)
try:
    with command_frame(SimpleNamespace(cli_ctx=SimpleNamespace(only_show_errors=False))) as console:
        console.stands("some sites are done")
        threading.Timer(0.1, os.kill, (os.getpid(), int(sys.argv[1]))).start()
        map_concurrently(range(1000), work, limit=20)
finally:
    before = len(begun)
    time.sleep(0.6)  # az does a few things before it ends
    print(before, len(begun))
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


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_threads_write_whole_lines_and_none_after_a_signals_line(number: signal.Signals) -> None:
    done = subprocess.run(
        [sys.executable, "-c", THREADS, str(int(number))],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 128 + number, done.stderr
    *lines, last = done.stderr.splitlines()
    assert last == f"otelembed: {number.name} received: some sites are done."
    whole = re.compile(r"site \d+ failed|  reason \d+|warning \d+")
    assert [line for line in lines if not whole.fullmatch(line)] == []
    assert len(lines) > 20
    before, after = done.stdout.split()
    assert before == after == "20", "no further site begins"
