"""Programs as PID 1 of a PID namespace on this machine's own files, bare or under a launcher."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.reference import Digest
from tests.needs import command

RECIPE = Digest.of(b"recipe")
SHELLS = ("dash", "bash", "busybox", "mksh", "ksh93", "zsh")
PACKAGES = {"ksh93": "ksh93u+m"}
_FOLDERS = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"], "/usr/local/sbin", "/usr/sbin", "/sbin"]
)
DIES = "sleep 0.7; exit {}"
HEALTHY = f"exec {shutil.which('sleep')} 1000"


every_shell = pytest.mark.parametrize(
    "shell",
    [
        pytest.param(shell, marks=() if shell in ("dash", "busybox") else pytest.mark.thorough)
        for shell in SHELLS
    ],
)


def installed(name: str, package: str | None = None) -> str:
    """The path of a program, or the test is skipped."""
    found = shutil.which(name, path=_FOLDERS)
    if found is None:
        pytest.skip(f"{name} isn't installed: as root, {command(package or name)}")
    return found


@dataclass(frozen=True, slots=True)
class Program:
    """A program that is PID 1: `words` prepares a folder and returns its command.

    `ready` is a file or socket in the folder that the program makes when it serves. `statuses` are
    the exit statuses of a collector that are tried. `stop` is the signal that stops it.
    """

    words: Callable[[Path], Sequence[str]]
    ready: str = "ready"
    statuses: tuple[int, ...] = (1,)
    stop: signal.Signals = signal.SIGTERM


@dataclass(frozen=True, slots=True)
class Ending:
    """How PID 1 has ended: its status, and after how many seconds. KILL has 137."""

    status: int
    seconds: float


class Running:
    """A program that runs as PID 1."""

    def __init__(self, unshare: subprocess.Popen[bytes]) -> None:
        self._unshare = unshare
        self._output = bytearray()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        # A pipe, since some programs open /dev/stderr anew: in a file they would overwrite lines.
        assert self._unshare.stdout is not None
        while data := os.read(self._unshare.stdout.fileno(), 1 << 16):
            self._output += data

    @property
    def pid(self) -> int:
        """Its PID, as this machine counts."""
        children = Path(f"/proc/{self._unshare.pid}/task/{self._unshare.pid}/children")
        found = children.read_text().split()
        return int(found[0]) if found else 0

    @property
    def ended(self) -> bool:
        """Whether PID 1 has ended by itself."""
        return self._unshare.poll() is not None

    @property
    def status(self) -> int:
        """The exit status, once PID 1 has ended."""
        status = self._unshare.wait()
        self._reader.join()
        return status if status >= 0 else 128 - status

    def lines(self) -> list[str]:
        """What the processes wrote so far."""
        return self._output.decode(errors="replace").splitlines()

    def processes(self) -> dict[int, tuple[str, str]]:
        """The processes of its namespace: state and command line."""
        namespace = Path(f"/proc/{self.pid}/ns/pid").readlink()
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                # A zombie has no namespaces any more, but a parent.
                status = dict(
                    line.split(":\t", 1) for line in (folder / "status").read_text().splitlines()
                )
                if len(status["NSpid"].split()) < 2 or not _in(namespace, folder, status["PPid"]):
                    continue
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ")
                found[int(folder.name)] = (status["State"][0], words.decode(errors="replace"))
            except (OSError, ValueError, KeyError):
                continue
        return found

    def zombies(self) -> list[int]:
        """The processes of its namespace that no process has waited for."""
        return [pid for pid, (state, _) in self.processes().items() if state == "Z"]

    def stop(self, number: signal.Signals, limit: float = 20) -> Ending:
        """Send PID 1 a signal, and after `limit` seconds KILL."""
        began = time.monotonic()
        os.kill(self.pid, number)
        try:
            status = self._unshare.wait(limit)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            self._unshare.wait(10)
            status = -signal.SIGKILL
        return Ending(status if status >= 0 else 128 - status, time.monotonic() - began)


def _in(namespace: Path, folder: Path, parent: str) -> bool:
    for each in (folder, Path(f"/proc/{parent}")):
        try:
            return (each / "ns" / "pid").readlink() == namespace
        except OSError:
            continue
    return False


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@contextmanager
def started(words: Sequence[str], folder: Path, **environment: str) -> Iterator[Running]:
    """Start a command as PID 1; all its processes are killed in the end."""
    # As another user than root, unshare needs a user namespace.
    more = [] if os.getuid() == 0 else ["--map-root-user"]
    unshare = [installed("unshare", "util-linux"), *more, "--pid", "--fork", "--kill-child"]
    process = subprocess.Popen(
        [*unshare, "--mount-proc", *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=folder,
        env={"PATH": _FOLDERS, "HOME": str(folder), **environment},
    )
    try:
        yield Running(process)
    finally:
        process.kill()
        process.wait()


@cache
def shell_words(name: str) -> tuple[str, ...]:
    """A shell as /bin/sh starts it."""
    path = installed(name, PACKAGES.get(name))
    more = {"busybox": ("sh",), "bash": ("--posix",), "zsh": ("--emulate", "sh")}
    return (path, *more.get(name, ()))


def wrapped(
    words: Sequence[str], launcher: Launcher, shell: str, collector: str, folder: Path
) -> list[str]:
    """The command under a launcher, whose collector is the shell script `collector`."""
    binary = folder / "otelcol"
    binary.write_text(f"#!/bin/sh\n{collector}\n")
    binary.chmod(0o755)
    _, option, script, *rest = launcher.wrap(words, recipe=RECIPE, shell_path="SHELL")
    script = script.replace("/otelembed/", f"{folder}/")
    script = script.replace("SHELL -c", f"{' '.join(shell_words(shell))} -c")
    return [*shell_words(shell), option, script, *rest]
