"""What a program in the sandbox can't do. The collector's own run is in `test_local_validation`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from azext_otelembed.validation import sandbox_start

PROBE = """
import ctypes, os, resource, socket, struct, sys, threading
sys.path.insert(0, sys.argv[1])
import sandbox_start as sandbox
system = ctypes.CDLL(None, use_errno=True)
system.prctl(38, 1, 0, 0, 0)
files = "files" in sys.argv and sandbox.restrict_files(system, sys.argv[2], sys.executable)
calls = sandbox.filter_calls(system)
print(files, calls)
def attempt(name, call):
    try:
        call()
    except OSError as error:
        print(name, error.errno)
    else:
        print(name, "done")
attempt("read inside", lambda: open(sys.argv[2] + "/config.yml").read())
attempt("read outside", lambda: open("/etc/passwd").read())
attempt("write inside", lambda: open(sys.argv[2] + "/new", "w"))
attempt("socket", socket.socket)
attempt("unix socket", lambda: socket.socket(socket.AF_UNIX))
attempt("signal", lambda: os.kill(os.getppid(), 0))
def queue_signal():
    # rt_sigqueueinfo: a signal by another call. Landlock refuses it from version 6 on only.
    info = struct.pack("iii", 0, 0, -1).ljust(128, b"\\0")
    if system.syscall(129, os.getppid(), 0, info):
        raise OSError(ctypes.get_errno(), "")
attempt("queued signal", queue_signal)
attempt("limit of another", lambda: resource.prlimit(os.getppid(), resource.RLIMIT_CPU))
attempt("own limit", lambda: resource.prlimit(0, resource.RLIMIT_CPU))
attempt("priority of another", lambda: os.setpriority(os.PRIO_PROCESS, os.getppid(), 19))
attempt("fork", os.fork)
def thread():
    one = threading.Thread(target=lambda: None)
    one.start()
    one.join()
attempt("thread", thread)
"""


@pytest.mark.parametrize("restricted", ["files", "calls"])
def test_files_networks_and_other_processes_are_out_of_reach(
    tmp_path: Path, restricted: str
) -> None:
    """With seccomp alone too: an older Landlock refuses no signals, and older kernels lack it."""
    (tmp_path / "config.yml").write_text("a: 1")
    module = str(Path(sandbox_start.__file__).parent)
    command = [sys.executable, "-I", "-c", PROBE, module, str(tmp_path), restricted]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    first, *said = done.stdout.splitlines()
    files, calls = (word == "True" for word in first.split())
    found = dict(line.rsplit(" ", 1) for line in said)
    if calls:
        refused = ["socket", "unix socket", "signal", "queued signal", "fork"]
        refused += ["limit of another", "priority of another"]
        assert {found[one] for one in refused} == {"1"}
        assert found["thread"] == found["own limit"] == "done"
    if files:
        assert found["read outside"] == found["write inside"] == "13"
        assert found["read inside"] == "done"
    if not (files == (restricted == "files") and calls):
        pytest.skip(f"this kernel offers files: {files}, calls: {calls}")


def test_the_program_gets_its_environment_and_folder_and_the_first_line_tells(
    tmp_path: Path, otelcol: Path
) -> None:
    start = [sys.executable, "-I", "-S", sandbox_start.__file__, str(tmp_path), str(otelcol)]
    done = subprocess.run(
        [*start, "--version"], env={}, capture_output=True, text=True, check=True, timeout=60
    )
    first, version = done.stdout.splitlines()
    assert first.startswith(sandbox_start.FIRST_LINE)
    assert "otelcol-contrib version" in version


def test_every_jump_of_the_filter_stays_inside() -> None:
    lines = sandbox_start.call_filter(os.getpid())
    for number, line in enumerate(lines):
        code, then, other = int.from_bytes(line[:2], "little"), line[2], line[3]
        assert number + 1 + max(then, other) < len(lines) or code == 0x06
