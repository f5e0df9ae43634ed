"""The supervisor of the collector in each shell: deaths, pauses, signals, a missing `sleep`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from azext_otelembed.image import supervisor_script
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.supervisor_script import EXIT_LINE
from tests.launchers.first_process import (
    HEALTHY,
    RECIPE,
    SHELLS,
    Running,
    every_shell,
    installed,
    shell_words,
    started,
    until,
    wrapped,
)

# It waits for any child, and tells how that ended.
APP = r"""
import os, time
os.write(1, b"app started\n")
while True:
    try:
        pid, status = os.wait()
        os.write(1, b"a child ended with %d\n" % os.waitstatus_to_exitcode(status))
    except ChildProcessError:
        time.sleep(0.05)
"""
WORDS = [sys.executable, "-I", "-S", "-c", APP]
DIES = "exit 3"
EXITED = "otelembed: the collector exited with status {}; next start in {} s"
NO_SLEEP = (
    "otelembed: the collector exited with status 3; no restart, because the image has no sleep"
)
# busybox and ksh93 have `sleep` themselves.
WITHOUT_SLEEP = [
    pytest.param(shell, marks=() if shell == "dash" else pytest.mark.thorough)
    for shell in SHELLS
    if shell not in ("busybox", "ksh93")
]

both = pytest.mark.parametrize(
    "signal_",
    [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.thorough)],
    ids=lambda number: number.name,
)


@contextmanager
def app(
    folder: Path, shell: str, collector: str, launcher: Launcher | None = None, **environment: str
) -> Iterator[Running]:
    """Run APP under a launcher."""
    words = wrapped(WORDS, launcher or Launcher(), shell, collector, folder)
    with started(words, folder, **environment) as running:
        until(lambda: "app started" in running.lines())
        yield running


def supervisor(running: Running) -> int:
    """The PID of the supervisor, which is a child of PID 1."""
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text().split()
    (found,) = (pid for pid in map(int, children) if "otelembed-collector" in command(pid))
    return found


def command(pid: int) -> str:
    """The command line of a process."""
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def exits(running: Running) -> list[str]:
    """The lines about the collector's exits."""
    return [line for line in running.lines() if "the collector" in line]


@every_shell
def test_each_exit_is_one_line_and_the_pauses_double(shell: str, tmp_path: Path) -> None:
    collector = f"read -r now rest </proc/uptime; echo $now >>{tmp_path}/starts; {DIES}"
    with app(tmp_path, shell, collector) as running:
        until(lambda: len(exits(running)) == 3)
        expected = [EXITED.format(3, pause) for pause in (1, 2, 4)]
        assert [each for each in running.lines() if each != "app started"] == [
            f"otelembed: {RECIPE.short} starts",
            *expected,
        ]
        starts = [float(line) for line in (tmp_path / "starts").read_text().split()]
        assert starts[1] - starts[0] >= 0.99
        assert starts[2] - starts[1] >= 1.99
        assert running.zombies() == []


@pytest.mark.parametrize("shell", ["dash", pytest.param("bash", marks=pytest.mark.thorough)])
def test_a_pause_is_at_most_256_seconds_and_1_again_after_a_run_of_60(
    shell: str, tmp_path: Path
) -> None:
    # Here `sleep` doesn't wait, and the twelfth run of the collector is a long one.
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "sleep").write_text("#!/bin/sh\n")
    (programs / "sleep").chmod(0o755)
    collector = (
        f"echo x >>{tmp_path}/n; n=0; while read x; do n=$((n + 1)); done <{tmp_path}/n\n"
        f"[ $n -lt 13 ] || exec {installed('sleep')} 1000\n"
        f"[ $n -ne 12 ] || {installed('sleep')} 3; exit 3"
    )
    words = wrapped(WORDS, Launcher(), shell, collector, tmp_path)
    words[words.index("-c") + 1] = words[words.index("-c") + 1].replace("-ge 60", "-ge 3")
    with started(words, tmp_path, PATH=str(programs)) as running:
        until(lambda: len(exits(running)) == 12)
        pauses = [
            int(found["pause"]) for found in map(EXIT_LINE.fullmatch, exits(running)) if found
        ]
    assert pauses == [1, 2, 4, 8, 16, 32, 64, 128, 256, 256, 256, 1]


@every_shell
@both
@pytest.mark.parametrize("state", ["running", "paused"])
def test_a_signal_to_the_supervisor_ends_both_with_status_0(
    shell: str, signal_: signal.Signals, state: str, tmp_path: Path
) -> None:
    with app(tmp_path, shell, HEALTHY if state == "running" else DIES) as running:
        if state == "running":
            time.sleep(2.2)  # then the collector gets the signal TERM, and not KILL
        else:
            until(lambda: len(exits(running)) == 3)  # a pause of 4 s
        os.kill(supervisor(running), signal_)
        until(lambda: "a child ended with 0" in running.lines())
        until(lambda: len(running.processes()) == 1)
        assert len(exits(running)) == (0 if state == "running" else 3)


@every_shell
def test_a_killed_collector_is_one_line_and_other_signals_end_nothing(
    shell: str, tmp_path: Path
) -> None:
    with app(tmp_path, shell, HEALTHY) as running:
        pid = supervisor(running)
        for number in (
            signal.SIGUSR1,
            signal.SIGUSR2,
            signal.SIGINT,
            signal.SIGQUIT,
            signal.SIGPIPE,
        ):
            os.kill(pid, number)
        until(lambda: bool(Path(f"/proc/{pid}/task/{pid}/children").read_text()))
        time.sleep(0.3)
        (collector,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(collector), signal.SIGKILL)
        until(lambda: bool(exits(running)))
        time.sleep(0.3)
        assert supervisor(running) == pid
        others = [line for line in running.lines()[1:] if line != "app started"]
        # ksh93 adds 256 to a signal's number.
        assert others == [EXITED.format(256 + 9 if shell == "ksh93" else 128 + 9, 1)]


@pytest.mark.parametrize("shell", WITHOUT_SLEEP)
@pytest.mark.parametrize(
    "launcher", [Launcher(), Launcher("drain", grace=1)], ids=["exec", "drain"]
)
def test_without_sleep_there_is_one_line_and_no_loop(
    shell: str, launcher: Launcher, tmp_path: Path
) -> None:
    with app(tmp_path, shell, DIES, launcher, PATH=str(tmp_path)) as running:
        until(lambda: bool(exits(running)))
        time.sleep(1.5)
        assert exits(running) == [NO_SLEEP]
        assert not [line for line in running.lines() if line.startswith("a child")]
        shells = [p for p, (_, line) in running.processes().items() if "otelembed-coll" in line]
        assert sum(cpu_ticks(pid) for pid in shells if pid != running.pid) < 30
        began = time.monotonic()
        if launcher.kind == "exec":
            os.kill(supervisor(running), signal.SIGTERM)
            until(lambda: "a child ended with 0" in running.lines())
            until(lambda: len(running.processes()) == 1)
        else:
            running.stop(signal.SIGTERM)
        assert time.monotonic() - began < 5


def cpu_ticks(pid: int) -> int:
    """The processor time of a process, in hundredths of a second."""
    words = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return int(words[11]) + int(words[12])


@every_shell
def test_a_search_for_the_apps_command_line_finds_one_process(shell: str, tmp_path: Path) -> None:
    with app(tmp_path, shell, HEALTHY) as running:
        until(lambda: len(running.processes()) == 3)
        found = [line for _, line in running.processes().values() if "a child ended with" in line]
        assert len(found) == 1


@every_shell
def test_a_broken_stderr_does_not_end_the_supervisor(shell: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with supervised(shell, DIES, tmp_path, stderr=writing) as process:
        os.close(writing)
        os.close(reading)
        time.sleep(1.6)
        assert process.poll() is None
        process.terminate()
        assert process.wait(5) == 0


@pytest.mark.thorough
@every_shell
def test_no_signal_is_lost_and_no_collector_is_left_whenever_it_comes(
    shell: str, tmp_path: Path
) -> None:
    statuses = []
    for turn in range(150):
        with supervised(shell, HEALTHY, tmp_path) as process:
            deadline = time.monotonic() + 0.0005 + turn * 0.00013
            while time.monotonic() < deadline:
                pass
            process.terminate()
            statuses.append(process.wait(5))
            with suppress(ProcessLookupError):
                os.killpg(process.pid, 0)
                # Only a zombie of the group may be left for a moment.
                time.sleep(0.2)
                os.killpg(process.pid, 0)
                pytest.fail("a process is left")
    assert set(statuses) <= {0, -signal.SIGTERM}
    print(f"{shell}: {statuses.count(0)} of {len(statuses)} after the trap was set")


@contextmanager
def supervised(
    shell: str, collector: str, folder: Path, stderr: int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the supervisor alone, in a process group of its own."""
    binary = folder / "otelcol"
    binary.write_text(f"#!/bin/sh\n{collector}\n")
    binary.chmod(0o755)
    line = supervisor_script.command(str(binary), " ".join(shell_words(shell)))
    process = subprocess.Popen(
        ["/bin/sh", "-c", f"exec {line}"], start_new_session=True, stderr=stderr
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
