"""The line that a launcher writes first, and what a stderr that can't take it does: nothing.

The processes here have no PID namespace: a signal whose default is to end a process ends them.
"""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from azext_otelembed.image.launcher import Launcher, start_line
from azext_otelembed.image.layer import BINARY
from azext_otelembed.image.reference import Digest
from tests.needs import program

RECIPE = Digest.of(b"recipe")
LINE = f"{start_line(RECIPE)}\n".encode()
# What the app is given, in a file: its signals, open files, environment and arguments.
APP = r"""
{ grep -E "^Sig(Blk|Ign)" /proc/self/status
for each in /proc/$$/fd/*; do echo "$each $(readlink "$each")"; done
env; printf '%s|' "$0" "$@"; } >TOLD
echo app >&2
exit 7
"""
WORDS = ["app", "a b", ""]
SHELLS = (["dash"], ["busybox", "sh"], ["bash", "--posix"])
LAUNCHERS = (Launcher(), Launcher("drain", grace=0))
# What some shells note in the environment; and numbers of processes and pipes.
NOTED = re.compile(r"^(_|SHLVL|PWD|OLDPWD)=.*\n|(?<=^/proc/)\d+|(?<=:\[)\d+", re.MULTILINE)

every_shell = pytest.mark.parametrize("shell", SHELLS, ids=lambda words: words[0])
both = pytest.mark.parametrize("launcher", LAUNCHERS, ids=lambda launcher: launcher.kind)


@pytest.fixture(autouse=True)
def supervisors_end(tmp_path: Path) -> Iterator[None]:
    """Ends the supervisors of a test, which a PID namespace would end with the app."""
    yield
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            line = path.read_bytes()
            if f"{tmp_path}/otelcol".encode() in line and b"otelembed-collector" in line:
                os.kill(int(path.parent.name), signal.SIGTERM)


def words(shell: list[str], launcher: Launcher, recipe: Digest | None, told: Path) -> list[str]:
    program(shell[0])
    idle = told.with_name("otelcol")
    if not idle.exists():
        idle.write_text("#!/bin/sh\nexec sleep 99\n")
        idle.chmod(0o755)
    script = launcher.script(recipe=recipe).replace(BINARY, str(idle))
    app = ["/bin/sh", "-c", APP.replace("TOLD", str(told)), *WORDS]
    return [*shell, "-c", script, "otelembed", *app]


def broken_pipe() -> tuple[int]:
    reading, writing = os.pipe()
    os.close(reading)
    return (writing,)


def fill(pipe: int) -> int:
    """How many bytes it took to fill a pipe, which is not blocking afterwards."""
    os.set_blocking(pipe, False)
    count = 0
    with suppress(BlockingIOError):
        while True:
            count += os.write(pipe, b"x")
    return count


def full_nonblocking_pipe() -> tuple[int, int]:
    reading, writing = os.pipe()
    fill(writing)
    return reading, writing


STDERR: Mapping[str, Callable[[], tuple[int, ...]]] = {
    "pipe": os.pipe,
    "broken pipe": broken_pipe,
    "broken pipe and errexit": broken_pipe,
    "full device": lambda: (os.open("/dev/full", os.O_WRONLY),),
    "full nonblocking pipe": full_nonblocking_pipe,
}
"""Each returns open files, of which the last one is for stderr."""
BEFORE: Mapping[str, Callable[[], object]] = {
    "stderr closed": partial(os.close, 2),
    "stdout closed": partial(os.close, 1),
    "both closed": partial(os.closerange, 1, 3),
    "SIGPIPE ignored": partial(signal.signal, signal.SIGPIPE, signal.SIG_IGN),
}


@every_shell
@both
def test_the_line_is_one_write_before_the_app_and_nothing_is_on_stdout(
    shell: list[str], launcher: Launcher, tmp_path: Path
) -> None:
    reading, writing = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with reading, writing:
        done = subprocess.run(
            words(shell, launcher, RECIPE, tmp_path / "told"),
            stdout=subprocess.PIPE,
            stderr=writing.fileno(),
            timeout=20,
            check=False,
        )
        assert (done.returncode, done.stdout) == (7, b"")
        reading.settimeout(5)
        assert [reading.recv(1000), reading.recv(1000)] == [LINE, b"app\n"]


@every_shell
@both
@pytest.mark.parametrize("case", [*STDERR, *BEFORE])
def test_the_app_is_given_what_it_is_given_without_the_line(
    shell: list[str], launcher: Launcher, case: str, tmp_path: Path
) -> None:
    def run(recipe: Digest | None) -> tuple[int, bytes, str]:
        told = tmp_path / "told"
        files = STDERR.get(case, os.pipe)()
        # Read by bash only.
        more = {"SHELLOPTS": "errexit"} if "errexit" in case else {}
        done = subprocess.run(
            words(shell, launcher, recipe, told),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=files[-1],
            env={"PATH": os.environ["PATH"], "SETTING": "a b", **more},
            preexec_fn=BEFORE.get(case),
            timeout=20,
            check=False,
        )
        for each in files:
            os.close(each)
        text = told.read_text()
        told.unlink()
        return done.returncode, done.stdout, NOTED.sub("", text)

    assert run(RECIPE) == run(None)


@every_shell
@both
def test_a_full_pipe_holds_up_the_launcher_until_it_is_read(
    shell: list[str], launcher: Launcher, tmp_path: Path
) -> None:
    # As it holds up the app itself at its first line.
    told = tmp_path / "told"
    reading, writing = os.pipe()
    count = fill(writing)
    os.set_blocking(writing, True)
    process = subprocess.Popen(words(shell, launcher, RECIPE, told), stderr=writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        time.sleep(0.2)
        waited = not told.exists()
        # Not to its end: the supervisor keeps it open.
        found = pipe.read(count + len(LINE + b"app\n"))[count:]
    assert (process.wait(20), found) == (7, LINE + b"app\n")
    assert waited
