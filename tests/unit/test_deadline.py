"""The end of a command, and what waits for it."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from azext_otelembed.builders.engine import find_engine
from azext_otelembed.builders.subprocess_log import run
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import DeadlineExceeded
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.redaction import Secrets
from azext_otelembed.target.embedder import BuildOnce

ENVIRONMENT = dict(os.environ)


@contextmanager
def within(least: float, most: float) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert least <= time.monotonic() - began < most


@pytest.mark.parametrize("asked", [0.0, 0.001, -5.0, float("nan")])
def test_two_polls_are_a_second_apart_whatever_is_asked_for(asked: float) -> None:
    with within(1.0, 2.0):
        Deadline(60).poll(asked, "it was done")


def test_a_wait_ends_with_the_command() -> None:
    with within(0.2, 2.0), pytest.raises(DeadlineExceeded, match="ended before it was done"):
        Deadline(0.2).poll(600, "it was done")


def test_the_way_back_has_more_time() -> None:
    deadline = Deadline(0.0)
    with pytest.raises(DeadlineExceeded, match=r"^The 0 s of --timeout ended"):
        deadline.check("it began")
    deadline.extend(5)
    deadline.check("it began")
    assert 4 < deadline.remaining <= 5
    deadline.extend(1)
    assert deadline.remaining > 4, "what was allowed before stays"


def test_one_step_may_have_less_time_than_the_command() -> None:
    deadline = Deadline(60)
    with deadline.limited(0.2), deadline.limited(50):
        assert deadline.remaining <= 0.2
        with within(0.2, 2.0), pytest.raises(DeadlineExceeded, match=r"^0 s ended before it was"):
            deadline.sleep(20, "it was done")
    deadline.check("it was done")
    assert deadline.remaining > 50


def test_a_call_without_a_limit_of_its_own_is_left_behind() -> None:
    with within(0.0, 3.0), pytest.raises(DeadlineExceeded, match="before it answered"):
        Deadline(0.3).run(lambda: time.sleep(20), "it answered")
    with within(0.0, 3.0), pytest.raises(TimeoutError):
        Deadline(60).run(lambda: time.sleep(20), "it answered", 0.3)


def test_a_call_returns_or_raises_as_if_it_were_made_here() -> None:
    assert Deadline(60).run(lambda: 7, "it answered") == 7
    with pytest.raises(ZeroDivisionError):
        Deadline(60).run(lambda: 1 // 0, "it answered")


@pytest.mark.parametrize(
    "code",
    [
        "import time; time.sleep(20)",
        "import time\nwhile True: print('.', flush=True); time.sleep(0.01)",
        "import os, time; os.close(1); os.close(2); time.sleep(20)",
        "import subprocess; subprocess.Popen(['sleep', '8'])",
    ],
    ids=["silent", "never silent", "without output", "ended, but a child of it holds the pipe"],
)
def test_a_program_ends_with_the_command(code: str) -> None:
    with within(0.5, 4.0), pytest.raises(DeadlineExceeded, match="had ended"):
        run([sys.executable, "-c", code], ENVIRONMENT, Secrets(), lambda _: None, Deadline(0.8))


def test_an_engine_that_hangs_ends_with_the_command(tmp_path: Path) -> None:
    docker = tmp_path / "docker"
    docker.write_text("#!/bin/sh\nexec sleep 20\n")
    docker.chmod(0o755)
    environment = {**ENVIRONMENT, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    with within(0.0, 4.0), pytest.raises(DeadlineExceeded, match="docker version' had ended"):
        find_engine(environment, Deadline(0.5))


def test_a_deploy_waits_for_another_ones_embed_no_longer_than_it_may() -> None:
    once = BuildOnce()
    target: Any = SimpleNamespace(image=None, collector="a collector")  # all that is used

    def first() -> None:
        with once.turn(target, Deadline(60)):
            time.sleep(2)

    def second() -> None:
        time.sleep(0.3)
        with once.turn(target, Deadline(0.5)):
            pass

    with pytest.raises(DeadlineExceeded, match="another deploy of this command"):
        run_concurrently(first, second)
