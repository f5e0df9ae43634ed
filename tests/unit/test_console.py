"""What a step says where there is no terminal."""

from __future__ import annotations

import io
import re
import time

import pytest

from azext_otelembed import console
from azext_otelembed.console import Console
from azext_otelembed.progress import Progress


@pytest.fixture
def interval(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(console, "PLAIN_INTERVAL", 0.2)
    return 0.2


def test_a_long_transfer_tells_its_bytes_and_their_rate_now_and_then(interval: float) -> None:
    said = io.StringIO()
    began = time.monotonic()
    with Console(stream=said).step("embed") as step:
        for done in range(6):
            step.report(Progress("copying the collector", done * 1_000_000, 150_000_000))
            time.sleep(interval * 0.4)
    *lines, last = said.getvalue().splitlines()
    told = [
        re.fullmatch(
            r"otelembed: embed: copying the collector (\d\.\d)/150\.0 MB (\d+\.\d) MB/s", line
        )
        for line in lines
    ]
    assert 1 <= len(told) <= (time.monotonic() - began) / interval
    assert all(found and float(found[1]) > 0 and 0 < float(found[2]) < 13 for found in told)
    assert last.startswith("otelembed: embed: copying the collector (")


def test_what_follows_a_transfer_tells_no_bytes(interval: float) -> None:
    said = io.StringIO()
    with Console(stream=said).step("embed") as step:
        step.report(Progress("copying the collector", 10, 20))
        time.sleep(interval)
        step.report(Progress("preparing it"))
    assert said.getvalue().splitlines()[0] == "otelembed: embed: preparing it"
