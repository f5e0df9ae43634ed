"""The launcher's script, run by a real shell in place of the one in the image."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from azext_otelembed.collector import config as collector_config
from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.drain_script import trappable_signal
from azext_otelembed.image.launcher import (
    DEFAULT_MEMORY_MIB,
    START_LINE,
    Launcher,
    start_line,
    unwrap_entrypoint,
)
from azext_otelembed.image.layer import BINARY, CONFIG
from azext_otelembed.image.reference import Digest
from tests.needs import program

COLLECTOR = """#!/bin/sh
{ echo "$0 $*"; echo "$SSL_CERT_DIR"; echo "$GOMEMLIMIT"; readlink /proc/self/fd/0; } > OUT.part
mv OUT.part OUT
echo out; echo err >&2
exec sleep 5
"""
RECIPE = Digest("sha256", "0123456789abcdef" * 4)
LINE = "otelembed: 0123456789ab starts\n"
APP = 'echo "app $$ [$1] [$2]"; echo "${GOMEMLIMIT-unset} ${SSL_CERT_DIR-unset}"; cat; exit 7'


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Stands for /otelembed, with a collector that writes down how it was started."""
    binary = tmp_path / "otelcol"
    binary.write_text(COLLECTOR.replace("OUT", str(tmp_path / "told")))
    binary.chmod(0o755)
    yield tmp_path
    # The processes have no PID namespace, which would end the supervisor with the app.
    for group in (tmp_path / "groups").glob("*"):
        with suppress(ProcessLookupError):
            os.killpg(int(group.name), signal.SIGKILL)


def run(
    folder: Path,
    launcher: Launcher,
    entrypoint: Sequence[str],
    command: Sequence[str],
    **environment: str,
) -> tuple[int, subprocess.CompletedProcess[str]]:
    words = [*launcher.wrap(entrypoint, recipe=RECIPE), *command]
    words[2] = words[2].replace("/otelembed/", f"{folder}/")
    started = subprocess.Popen(
        words,
        env={"PATH": os.environ["PATH"], **environment},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(folder / "stderr").open("w"),
        text=True,
        start_new_session=True,
    )
    (folder / "groups").mkdir(exist_ok=True)
    (folder / "groups" / str(started.pid)).touch()
    out, _ = started.communicate("typed\n", timeout=20)
    return started.pid, subprocess.CompletedProcess(words, started.returncode, out)


def told(folder: Path) -> list[str]:
    for _ in range(100):
        if (folder / "told").exists():
            return (folder / "told").read_text().splitlines()
        time.sleep(0.05)
    raise AssertionError("the collector was not started")


def test_the_app_takes_the_shells_place_with_its_arguments_and_stdin(folder: Path) -> None:
    pid, done = run(folder, Launcher(), ["/bin/sh", "-c", APP, "app"], ["a b", "$HOME *"])
    assert done.stdout.splitlines() == [f"app {pid} [a b] [$HOME *]", "unset unset", "typed"]
    assert done.returncode == 7


def test_a_cmd_alone_is_run_as_well(folder: Path) -> None:
    _, done = run(folder, Launcher(), [], ["printf", "%s|", "a b", ""])
    assert (done.stdout, done.returncode) == ("a b||", 0)


def test_the_collector_is_told_its_configuration_certificates_and_memory(folder: Path) -> None:
    run(folder, Launcher(), ["true"], [])
    assert told(folder) == [
        f"{folder}/otelcol --config={folder}/config.yml",
        f"/etc/ssl/certs:/etc/pki/tls/certs:{folder}/certs",
        f"{DEFAULT_MEMORY_MIB}MiB",
        "/dev/null",
    ]


def test_certificate_folders_that_the_app_names_are_kept(folder: Path) -> None:
    _, done = run(folder, Launcher(), [], ["printenv", "SSL_CERT_DIR"], SSL_CERT_DIR="/own")
    assert told(folder)[1] == f"/own:{folder}/certs"
    assert done.stdout == "/own\n"


def test_no_memory_limit_is_set_where_there_is_none(folder: Path) -> None:
    run(folder, Launcher(memory_mib=None), ["true"], [], GOMEMLIMIT="")
    assert told(folder)[2] == ""


@pytest.mark.parametrize(("logs", "output"), [("null", ""), ("stderr", "out\nerr\n")])
def test_the_collectors_output_stays_out_of_the_apps(folder: Path, logs: str, output: str) -> None:
    _, done = run(folder, Launcher(collector_logs=logs), ["true"], [])
    told(folder)
    time.sleep(0.2)
    assert (done.stdout, (folder / "stderr").read_text()) == ("", LINE + output)


@pytest.mark.parametrize("damage", ["missing", "not executable", "not a program"])
def test_a_collector_that_cannot_run_leaves_the_app_alone(folder: Path, damage: str) -> None:
    binary = folder / "otelcol"
    if damage == "missing":
        binary.unlink()
    elif damage == "not executable":
        binary.chmod(0o644)
    else:
        binary.write_bytes(b"\x7fELF\0\0")
    _, done = run(folder, Launcher(), ["sh", "-c", "sleep 0.5; echo fine"], [])
    assert (done.returncode, done.stdout) == (0, "fine\n")
    status = 127 if damage == "missing" else 126
    exited = f"otelembed: the collector exited with status {status}; next start in 1 s\n"
    assert (folder / "stderr").read_text() == LINE + exited


def test_the_memory_limit_is_in_step_with_the_default_configuration() -> None:
    assert collector_config.load(None).memory_mib == DEFAULT_MEMORY_MIB


@pytest.mark.parametrize(
    ("launcher", "identity"),
    [
        (Launcher(), "exec/3"),
        (Launcher(collector_logs="stderr"), "exec/3,logs=stderr"),
        (Launcher(memory_mib=None), "exec/3,memory=none"),
        (Launcher(collector_logs="stderr", memory_mib=409), "exec/3,logs=stderr,memory=409"),
        (Launcher("drain"), "drain/3"),
        (Launcher("drain", grace=0), "drain/3,grace=0"),
        (
            Launcher("drain", collector_logs="stderr", memory_mib=None, grace=10),
            "drain/3,grace=10,logs=stderr,memory=none",
        ),
    ],
)
def test_a_launcher_reads_back_from_its_identity(launcher: Launcher, identity: str) -> None:
    assert launcher.identity == identity
    assert Launcher.parse(identity) == launcher


@pytest.mark.parametrize(
    "identity",
    [
        *("", "exec", "exec/1", "exec/2", "exec/9", "fork/3", "exec/3,logs=here", "exec/3,grace=1"),
        *("drain/9", "drain/3,grace=121", "drain/3,grace=x"),
    ],
)
def test_an_unknown_launcher_is_a_problem(identity: str) -> None:
    with pytest.raises(InvalidImage):
        Launcher.parse(identity)


@pytest.mark.parametrize(
    ("stop_signal", "name"),
    [
        *(("SIGTERM", "TERM"), ("sigquit", "QUIT"), ("WINCH", "WINCH"), ("SIGUSR1", "USR1")),
        *(("15", "TERM"), ("SIGPWR", "30"), ("SIGRTMIN+3", "37"), ("SIGRTMAX-2", "62")),
        ("37", "37"),
        *((text, None) for text in ("", "SIGKILL", "9", "33", "65", "SIGRTMIN+99", "no such")),
        ("１５", None),
    ],
)
def test_a_stop_signal_is_spelt_as_every_shell_knows_it(stop_signal: str, name: str | None) -> None:
    assert trappable_signal(stop_signal) == name


@pytest.mark.parametrize("shell", [["dash"], ["busybox", "sh"], ["bash", "--posix"]])
@pytest.mark.parametrize("stop_signal", ["", "SIGWINCH", "SIGRTMIN+3", "SIGPWR"])
def test_every_shell_reads_the_drain_script(shell: list[str], stop_signal: str) -> None:
    program(shell[0])
    script = Launcher("drain", grace=0).script(recipe=RECIPE, stop_signal=stop_signal)
    script = script.replace(f"{BINARY} --config={CONFIG}", "sleep 5")
    words = [*shell, "-c", script, "otelembed", "sh", "-c", 'echo "$1"; exit 3', "app", "a b"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (3, "a b\n", LINE)


def test_a_collector_that_is_slow_to_start_is_stopped_all_the_same(folder: Path) -> None:
    script = Launcher("drain", grace=0).script(recipe=None)
    script = script.replace("/otelembed/", f"{folder}/")
    for _ in range(20):  # one in six or so is held while it still is the shell's own copy
        words = [program("dash"), "-c", script, "x", program("sleep"), "99"]
        with subprocess.Popen(words) as shell:
            children = Path(f"/proc/{shell.pid}/task/{shell.pid}/children")
            while not (found := children.read_text().split()):
                pass
            collector = int(found[0])
            os.kill(collector, signal.SIGSTOP)
            time.sleep(0.02)
            shell.terminate()
            time.sleep(0.1)
            os.kill(collector, signal.SIGCONT)
            assert shell.wait(4) == 128 + signal.SIGTERM


def test_the_start_line_names_the_recipe_and_is_read_by_its_pattern() -> None:
    assert f"{start_line(RECIPE)}\n" == LINE
    match = START_LINE.fullmatch(start_line(RECIPE))
    assert match is not None
    assert match[1] == RECIPE.short
    for other in (LINE, f"x{LINE[:-1]}", LINE.replace("ab ", "AB "), "otelembed: starts"):
        assert START_LINE.fullmatch(other) is None


def test_a_wrap_is_told_from_other_entrypoints() -> None:
    assert unwrap_entrypoint(Launcher().wrap(["a", "b"], recipe=RECIPE)) == ["a", "b"]
    assert unwrap_entrypoint(Launcher().wrap([], recipe=None)) == []
    drain = Launcher("drain").wrap(["a"], recipe=RECIPE, stop_signal="INT", shell_path="/x")
    assert unwrap_entrypoint(drain) == ["a"]
    assert unwrap_entrypoint(["/bin/sh", "-c", "x", "y"]) is None
    assert unwrap_entrypoint(["/bin/sh", "-c"]) is None
