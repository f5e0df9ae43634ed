"""Which engine is there, how it is told to build, and what to do where none works.

The programs are stand-ins for docker and podman that answer as those do; tests/builders has the
real ones.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from azext_otelembed.builders.engine import Engine, daemon_error, find_engine
from azext_otelembed.builders.source import Source
from azext_otelembed.errors import BuildFailed

SOURCE = Source(Path("/src"), Path("/src/Dockerfile"), ("A=1", "B"), "final")
NO_DAEMON = (
    "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon "
    "running?"
)
NO_PERMISSION = (
    "Got permission denied while trying to connect to the Docker daemon socket at "
    "unix:///var/run/docker.sock: Get http://%2Fvar%2Frun%2Fdocker.sock/v1.24/version: dial unix "
    "/var/run/docker.sock: connect: permission denied"
)


class Machine:
    """A PATH with the programs that a test puts there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"PATH": str(folder)}

    def has(self, name: str, script: str) -> None:
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def has_docker(self, buildx: bool = False, version: str = "echo 28.2.2") -> None:
        plugin = "echo buildx v0.24" if buildx else "echo unknown command >&2; exit 1"
        self.has(
            "docker",
            f'case "$1" in version) {version} ;; buildx) {plugin} ;; '
            "--version) echo Docker version 28.2.2 ;; esac",
        )


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_docker_is_taken_with_buildx_where_it_has_that(machine: Machine) -> None:
    machine.has_docker(buildx=True)
    engine = find_engine(machine.environment)
    assert (engine.kind, engine.version) == ("buildx", "28.2.2")
    assert find_engine({**machine.environment, "DOCKER_BUILDKIT": "0"}).kind == "docker"


def test_docker_without_buildx_and_podman_without_docker_serve_too(machine: Machine) -> None:
    machine.has("podman", "echo 4.3.1")
    assert str(find_engine(machine.environment)) == "podman 4.3.1"
    machine.has_docker()
    assert str(find_engine(machine.environment)) == "docker 28.2.2"


def test_podman_helps_out_where_the_docker_daemon_does_not_run(machine: Machine) -> None:
    machine.has_docker(version=f"echo '{NO_DAEMON}' >&2; exit 1")
    machine.has("podman", "echo 4.3.1")
    assert find_engine(machine.environment).kind == "podman"


def test_podman_under_the_name_of_docker_is_recognised(machine: Machine) -> None:
    machine.has(
        "docker", 'case "$1" in --version) echo podman version 4.3.1 ;; *) echo 4.3.1; esac'
    )
    engine = find_engine(machine.environment)
    assert engine.kind == "podman"
    assert engine.program.endswith("/docker")


def test_no_engine_at_all_is_told_with_what_to_install(machine: Machine) -> None:
    with pytest.raises(BuildFailed, match="neither docker nor podman is on PATH") as caught:
        find_engine(machine.environment)
    assert "Install Docker" in str(caught.value.recommendation)


@pytest.mark.parametrize(
    ("said", "message", "remedy"),
    [
        (NO_DAEMON, "The Docker daemon doesn't answer", "systemctl start docker"),
        (NO_PERMISSION, "You may not use the Docker daemon", "usermod -aG docker"),
        ("error during connect: dial tcp: lookup nowhere: no such host", "doesn't answer", "HOST"),
        ("context 'x' does not exist", "docker doesn't work here: context 'x'", "docker version"),
    ],
)
def test_a_daemon_that_cannot_be_used_is_told_with_the_remedy(
    machine: Machine, said: str, message: str, remedy: str
) -> None:
    machine.has_docker(version=f'echo "{said}" >&2; exit 1')
    with pytest.raises(BuildFailed, match=message) as caught:
        find_engine(machine.environment)
    assert remedy in str(caught.value.recommendation)
    assert message in daemon_error(said).message


def test_podman_that_does_not_work_is_told(machine: Machine) -> None:
    machine.has("podman", "echo 'Error: cannot re-exec process' >&2; exit 125")
    with pytest.raises(BuildFailed, match="podman doesn't work here: Error: cannot re-exec"):
        find_engine(machine.environment)


def test_each_engine_is_told_the_same_in_its_own_words() -> None:
    common = ["--platform", "linux/amd64", "--file", "/src/Dockerfile", "--tag", "r/a:1"]
    rest = ["--build-arg", "A=1", "--build-arg", "B", "--target", "final", "/src"]
    docker, podman = Engine("docker", "docker", "28"), Engine("podman", "podman", "4")
    buildx = Engine("buildx", "docker", "28")
    assert docker.build(SOURCE, "r/a:1") == ["docker", "build", *common, *rest]
    assert docker.push("r/a:1") == ["docker", "push", "r/a:1"]
    pushes = ["docker", "buildx", "build", "--push", "--progress", "plain"]
    assert buildx.build(SOURCE, "r/a:1") == [*pushes, *common, *rest]
    assert buildx.push("r/a:1") is None
    built = ["podman", "build", "--format", "docker", *common, *rest]
    assert podman.build(SOURCE, "r/a:1") == built
