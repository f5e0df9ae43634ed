"""A double ends within seconds: after TERM whatever is open, and after its owner's end."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localazure.client import ROOT, LocalAzure
from localazure.images.assemble import write_layout
from tests.localazure.core_support import Shop
from tests.localazure.runtime_support import shell_image
from tests.waiting import eventually

LIMIT = 5.0
"""Seconds from TERM to the end of the process."""
GROUPS = [{"name": "rg", "location": "westeurope"}]
REGISTRIES = [{"name": "first", "group": "rg"}]

_START = """
import os, signal, sys, time
from pathlib import Path
from localazure.client import LocalAzure

def start():
    return LocalAzure.start(Path(sys.argv[1]) / "azure", sys.argv[2], ca=Path(sys.argv[1]) / "ca")
"""

_KILLED = """
start()
child = os.fork()
if child == 0:
    time.sleep(60)  # it holds the pipe that is the double's standard input
    os._exit(0)
print(child, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_it_ends_with_its_owner_while_another_process_holds_its_standard_input(
    tmp_path: Path,
) -> None:
    with (tmp_path / "child").open("wb") as output:
        owner = subprocess.run(_program(_KILLED, tmp_path, "empty"), cwd=ROOT, stdout=output)
    child = int((tmp_path / "child").read_text())
    try:
        assert owner.returncode == -signal.SIGKILL
        eventually(lambda: not (tmp_path / "azure" / "localazure.json").exists())
        assert _alive(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_it_ends_at_once_without_the_process_that_is_to_own_it(tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as ended:
        pass
    command = [*_double(tmp_path, "empty"), "--owner", str(ended.pid)]
    assert subprocess.run(command, cwd=ROOT, timeout=20).returncode == 0


_INTERRUPTED = """
signal.signal(signal.SIGALRM, lambda *_: 1 / 0)
signal.alarm(2)
try:
    start()
except ZeroDivisionError:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("no process is left")
"""


def test_an_interrupted_start_leaves_no_process(tmp_path: Path) -> None:
    command = _program(_INTERRUPTED, tmp_path, str(_blocking_seed(tmp_path)))
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert done.stdout == "no process is left\n", done.stderr


def test_term_ends_it_while_its_event_loop_is_blocked_during_the_start(tmp_path: Path) -> None:
    command = _double(tmp_path, str(_blocking_seed(tmp_path)))
    with (
        (tmp_path / "log").open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, stderr=log) as process,
        _killed_at_the_end(process),
    ):
        eventually(lambda: _opened(tmp_path / "layout" / "index.json"))
        assert _seconds_to_end(process) < LIMIT
    assert "localazure did not shut down within 4 s" in (tmp_path / "log").read_text()


@pytest.mark.parametrize("delay", [0.0, 0.1, 0.4, 0.7, 1.0])
def test_term_ends_it_at_any_time_of_its_start(tmp_path: Path, delay: float) -> None:
    process = subprocess.Popen(_double(tmp_path, "empty"), cwd=ROOT)
    with process, _killed_at_the_end(process):
        time.sleep(delay)
        assert _seconds_to_end(process) < LIMIT
    assert not (tmp_path / "azure" / "localazure.json").exists()


def test_term_ends_it_with_an_idle_connection_a_held_request_and_an_unfinished_upload(
    tmp_path: Path,
) -> None:
    seed = {"groups": GROUPS, "registries": REGISTRIES}
    with contextlib.ExitStack() as stack:
        azure = stack.enter_context(LocalAzure.start(tmp_path / "azure", seed, tmp_path / "ca"))
        context = ssl.create_default_context(cafile=azure.ca)
        login = azure.registries["first"]

        def send(address: str, *lines: str, body: bytes = b"") -> None:
            plain = socket.create_connection(("localhost", int(address.rpartition(":")[2])))
            tls = stack.enter_context(context.wrap_socket(plain, server_hostname="localhost"))
            tls.sendall("".join(f"{line}\r\n" for line in lines).encode() + body)

        send(login)
        with azure.http() as http:
            shop = Shop(azure, http, login, "app")
            location = shop.call("POST", "/blobs/uploads/").headers["location"]
            token = shop.token("repository:app:pull,push")
        bearer = f"Authorization: Bearer {token}"
        head = (f"PATCH {location} HTTP/1.1", f"Host: {login}", bearer, "Content-Length: 1000", "")
        send(login, *head, body=b"not all of it")
        azure.fault(service="aad", hold=True)
        send(azure.management, "GET /metadata/endpoints HTTP/1.1", "Host: localhost", "")
        eventually(lambda: any(each["held"] for each in azure.requests()))
        assert any(each["method"] == "PATCH" for each in azure.requests())
        assert azure.process is not None
        assert _seconds_to_end(azure.process) < LIMIT
        assert azure.process.returncode == 0


@pytest.mark.parametrize("stopped", [False, True], ids=["it ignores TERM", "bubblewrap is stopped"])
def test_term_ends_it_and_its_container(tmp_path: Path, stopped: bool) -> None:
    write_layout(tmp_path / "layout", shell_image("trap '' TERM; while :; do sleep 1; done"), "1")
    with LocalAzure.start(tmp_path / "azure", _seed_of_a_site(tmp_path), tmp_path / "ca") as azure:
        assert azure.process is not None
        pid = azure.process.pid
        eventually(lambda: any(_children(each) for each in _bubblewraps(pid)))
        (outer,) = _bubblewraps(pid)
        (inner,) = _children(outer)
        eventually(lambda: _children(inner))
        if stopped:
            os.kill(outer, signal.SIGSTOP)
        assert _seconds_to_end(azure.process) < LIMIT
        eventually(lambda: not _alive(inner) and not _alive(outer), 2)


def _program(text: str, folder: Path, seed: str) -> list[str]:
    return [sys.executable, "-c", _START + text, str(folder), seed]


def _double(folder: Path, seed: str) -> list[str]:
    places = ["--directory", str(folder / "azure"), "--ca", str(folder / "ca")]
    return [sys.executable, "-m", "localazure", *places, "--seed", seed]


def _blocking_seed(folder: Path) -> Path:
    """A seed with an image that can't be read: opening its index blocks the event loop."""
    (folder / "layout").mkdir()
    os.mkfifo(folder / "layout" / "index.json")
    seed = folder / "blocking.json"
    image = {"registry": "first", "repository": "app", "tag": "1"}
    image["layout"] = str(folder / "layout")
    seed.write_text(json.dumps({"groups": GROUPS, "registries": REGISTRIES, "images": [image]}))
    return seed


def _seed_of_a_site(folder: Path) -> dict[str, Any]:
    image = {"registry": "first", "repository": "app", "tag": "1"}
    image["layout"] = str(folder / "layout")
    site = {
        "name": "web",
        "group": "rg",
        "image": "{first}/app:1",
        "config": {"acrUseManagedIdentityCreds": True},
        "system_identity": True,
        "roles": [{"role": "AcrPull", "scope": "{first.id}"}],
    }
    return {"groups": GROUPS, "registries": REGISTRIES, "images": [image], "sites": [site]}


def _opened(fifo: Path) -> bool:
    """Whether a process reads the FIFO. The test stays a writer, so the reader keeps waiting."""
    try:
        os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
    except OSError:
        return False
    return True


def _seconds_to_end(process: subprocess.Popen[bytes]) -> float:
    """Send TERM, and wait for the end of the process."""
    sent = time.monotonic()
    process.terminate()
    process.wait(20)
    return time.monotonic() - sent


@contextlib.contextmanager
def _killed_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()


def _children(pid: int) -> list[int]:
    try:
        found = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    return [int(each) for each in found.split()]


def _bubblewraps(double: int) -> list[int]:
    return [each for each in _children(double) if b"bwrap" in _command(each)]


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _alive(pid: int) -> bool:
    """Whether a process runs; a zombie has no command line."""
    return bool(_command(pid))
