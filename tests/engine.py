"""A real Docker engine for tests: one daemon of our own, with its own storage and socket.

Debian's docker.io. Only CI, which says OTELEMBED_ENGINE=required, installs it where it is missing:
`make test` changes nothing outside the repository. The daemon is told to leave the machine's
networks and firewall alone: a container has a localhost of its own and no way out, unless it is
given the host's network. Where there is no engine the tests are skipped, and say why and what to
type; in CI they fail.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pytest

from localazure.client import CA
from localazure.runtime import netns
from tests.needs import command, lacking

_START, _STOP = 60.0, 30.0
_FOLDERS = ("/usr/sbin", "/usr/bin", "/usr/local/sbin", "/usr/local/bin")


@dataclass(frozen=True, slots=True)
class Stopped:
    """How a container ended, and after how many seconds."""

    exit_status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Engine:
    """A daemon that runs. `host` is its address, as DOCKER_HOST takes it."""

    client: str
    host: str
    config: Path
    """The configuration of `run`: empty, so nobody is logged in."""

    @property
    def environment(self) -> dict[str, str]:
        """What points a docker command at this daemon."""
        return {"DOCKER_HOST": self.host}

    def run(
        self, *arguments: str, check: bool = True, given: str = "", timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        """Run a docker command to its end; with `check` a failure is an AssertionError."""
        done = subprocess.run(
            [self.client, *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **self.environment, "DOCKER_CONFIG": str(self.config)},
            check=False,
        )
        if check:
            assert done.returncode == 0, f"docker {arguments}: {done.stdout}{done.stderr}"
        return done

    def login(self, host: str, user: str, password: str) -> None:
        """Log in, for `pull` and `run`."""
        self.run("login", host, "--username", user, "--password-stdin", given=password)

    def pull(self, image: str) -> dict[str, Any]:
        """Pull an image; how the engine then describes it."""
        self.run("pull", "--quiet", image)
        return self.inspect(image)

    def inspect(self, image: str) -> dict[str, Any]:
        """An image or container as the engine sees it."""
        found: list[dict[str, Any]] = json.loads(self.run("inspect", image).stdout)
        return found[0]

    @contextmanager
    def container(
        self,
        image: str,
        *command: str,
        network: str = "none",
        options: Sequence[str] = (),
        **environment: str,
    ) -> Iterator[str]:
        """A container of an image; its id. Removed afterwards. `options` are those of `run`."""
        given = [word for name, value in environment.items() for word in ("-e", f"{name}={value}")]
        given = ["--detach", "--network", network, *given, *options, image, *command]
        identity = self.run("run", *given).stdout.strip()
        try:
            yield identity
        finally:
            self.run("rm", "--force", "--volumes", identity, check=False)

    def exec(self, container: str, *command: str, check: bool = True) -> str:
        """What a command in a running container writes."""
        return self.run("exec", container, *command, check=check).stdout

    def get(self, container: str, path: str = "/", port: int = 8080) -> str:
        """GET from a container's localhost: the answer's body, or an OSError."""
        network = netns.join(self.inspect(container)["State"]["Pid"], root=True)
        try:
            with network.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
                connection.settimeout(10)
                connection.connect(("127.0.0.1", port))
                connection.sendall(f"GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
                answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
        finally:
            network.close()
        head, _, body = answer.partition("\r\n\r\n")
        if head.split(" ")[1:2] != ["200"]:
            raise OSError(f"{path}: {answer}")
        return body

    def end(self, container: str, program: str) -> int:
        """Kill a container's processes of this name; how many there were."""
        listed = self.run("top", container, "-o", "pid,comm").stdout.splitlines()[1:]
        found = [
            int(pid) for pid, name in (line.split(None, 1) for line in listed) if name == program
        ]
        for pid in found:
            os.kill(pid, signal.SIGKILL)
        return len(found)

    def stop(self, container: str, patience: int = 5) -> Stopped:
        """Stop a container as App Service does: TERM, then KILL after `patience` seconds."""
        began = time.monotonic()
        self.run("stop", "--time", str(patience), container)
        return Stopped(self.inspect(container)["State"]["ExitCode"], time.monotonic() - began)

    def logs(self, container: str) -> str:
        """What a container has written so far."""
        done = self.run("logs", container)
        return done.stdout + done.stderr


@contextmanager
def started(directory: Path) -> Iterator[Engine]:
    """A daemon whose files are all below `directory`; it and they are gone afterwards."""
    client, daemon = _programs()
    directory.mkdir(parents=True, exist_ok=True)
    address, log, data = directory / "socket", directory / "dockerd.log", directory / "data"
    config = directory / "config"
    config.mkdir()
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                # It ends with the tests, however they end: a test that never does ends its worker.
                *("setpriv", "--pdeathsig", "TERM"),
                *(daemon, "--storage-driver=overlay2", "--iptables=false", "--ip6tables=false"),
                *("--bridge=none", f"--data-root={data}", f"--exec-root={directory / 'exec'}"),
                *(f"--pidfile={directory / 'pid'}", f"--host=unix://{address}"),
                *("--group=root", "--log-level=warn"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # It trusts the double's registries; on localhost it would take any certificate.
            env={**_with_path(), "SSL_CERT_FILE": str(CA / "ca.pem")},
            start_new_session=True,
        )
    try:
        engine = Engine(client, f"unix://{address}", config)
        _wait(engine, process, log)
        yield engine
        _remove_containers(engine)
    finally:
        process.terminate()
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        # The daemon leaves its own network namespace mounted.
        for mount in (directory / "exec" / "netns").glob("*"):
            subprocess.run(["umount", str(mount)], capture_output=True, check=False)
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture(scope="session")
def docker_engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A real engine, for all tests of a session."""
    # A short path: sockets' names are limited to 107 bytes.
    with started(tmp_path_factory.mktemp("engine")) as engine:
        yield engine


def missing(reason: str) -> NoReturn:
    """End a test that has no engine."""
    lacking(f"no Docker engine: {reason}")


def _programs() -> tuple[str, str]:
    """The docker command and the daemon."""
    client, daemon = _found("docker"), _found("dockerd")
    if client is None or daemon is None:
        missing(f"it isn't installed: as root, {command('docker.io')}")
    if os.geteuid() != 0:
        missing("only root can start dockerd")
    return client, daemon


def _found(program: str) -> str | None:
    return shutil.which(program, path=_with_path()["PATH"])


def _with_path() -> dict[str, str]:
    """The environment; root's own folders are not on everybody's PATH."""
    path = os.pathsep.join([os.environ.get("PATH", os.defpath), *_FOLDERS])
    return {**os.environ, "PATH": path}


def _wait(engine: Engine, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + _START
    while engine.run("version", check=False).returncode:
        if process.poll() is not None or time.monotonic() > deadline:
            said = log.read_text(errors="replace").strip().splitlines()
            missing(f"dockerd doesn't start here: {said[-1] if said else 'it says nothing'}")
        time.sleep(0.2)


def _remove_containers(engine: Engine) -> None:
    left = engine.run("ps", "--all", "--quiet").stdout.split()
    if left:
        engine.run("rm", "--force", *left, check=False)
