"""Container engines that can build: detection, and their commands."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from azext_otelembed.builders.source import Source
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import BuildFailed
from azext_otelembed.redaction import Secrets

PLATFORM = "linux/amd64"
"""The platform of App Service."""
_TIMEOUT = 30.0
_INSTALL = (
    "Install Docker (https://docs.docker.com/engine/install) or podman; or have the image built "
    "elsewhere and name it with --image."
)


@dataclass(frozen=True, slots=True)
class Engine:
    """A working engine. `kind` is "docker", "buildx" or "podman"."""

    kind: str
    program: str
    version: str

    def __str__(self) -> str:
        name = "docker buildx" if self.kind == "buildx" else self.kind
        return f"{name} {self.version}"

    def build(self, source: Source, image: str) -> list[str]:
        """The command that builds `image`; with buildx, it also pushes."""
        command = [self.program]
        if self.kind == "buildx":
            # The image of a builder in a container isn't in the engine: buildx pushes it.
            command += ["buildx", "build", "--push", "--progress", "plain"]
        elif self.kind == "podman":
            # The OCI format, podman's default, has no HEALTHCHECK, SHELL and ONBUILD.
            command += ["build", "--format", "docker"]
        else:
            command += ["build"]
        command += ["--platform", PLATFORM, "--file", str(source.dockerfile), "--tag", image]
        for argument in source.build_args:
            command += ["--build-arg", argument]
        if source.target is not None:
            command += ["--target", source.target]
        return [*command, str(source.directory)]

    def push(self, image: str) -> list[str] | None:
        """The command that pushes `image`; None where the build has pushed it."""
        return None if self.kind == "buildx" else [self.program, "push", image]


def find_engine(environment: Mapping[str, str], deadline: Deadline | None = None) -> Engine:
    """The first of docker with buildx, docker, and podman that works.

    Raises `BuildFailed` with the remedy; if both fail, the one for docker.
    """
    query = partial(_query, deadline or Deadline(), environment)
    path = environment.get("PATH")
    docker, podman = shutil.which("docker", path=path), shutil.which("podman", path=path)
    if docker is None and podman is None:
        raise BuildFailed(
            "There is no container engine here: neither docker nor podman is on PATH.", _INSTALL
        )
    failure: BuildFailed | None = None
    if docker is not None:
        ok, output = query(docker, "version", "--format", "{{.Server.Version}}")
        if ok and not _is_podman(docker, query):
            return Engine(_kind(docker, environment, query), docker, output)
        if not ok:
            failure = daemon_error(output)
        else:
            podman = podman or docker
    if podman is not None:
        ok, output = query(podman, "version", "--format", "{{.Client.Version}}")
        if ok:
            return Engine("podman", podman, output)
        failure = failure or BuildFailed(f"podman doesn't work here: {output}", _INSTALL)
    assert failure is not None  # noqa: S101  # one of the two exists and failed
    raise failure


def daemon_error(output: str) -> BuildFailed:
    """The error for docker's daemon, from the output of the docker command."""
    last = next((line.strip() for line in reversed(output.splitlines()) if line.strip()), "")
    if re.search(r"permission denied", output, re.IGNORECASE):
        return BuildFailed(
            f"You may not use the Docker daemon here: {last}",
            "Join the group that may (`sudo usermod -aG docker $USER`, then log in again), or use "
            "rootless Docker or podman.",
        )
    if re.search(r"daemon running|cannot connect|connection refused|no such host", output, re.I):
        return BuildFailed(
            f"The Docker daemon doesn't answer: {last}",
            "Start it (`sudo systemctl start docker`, or Docker Desktop), or point DOCKER_HOST or "
            "`docker context use` at one that runs.",
        )
    return BuildFailed(f"docker doesn't work here: {last}", "Try `docker version`.")


Query = Callable[..., tuple[bool, str]]


def _query(deadline: Deadline, environment: Mapping[str, str], *command: str) -> tuple[bool, str]:
    """Runs a short command of an engine: `(True, output)`, or `(False, cause of the failure)`."""
    ended = f"'{command[0]} {command[1]}' had ended"
    deadline.check(ended)
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=min(_TIMEOUT, deadline.remaining),
            env=dict(environment),
            check=False,
        )
    except OSError as error:
        return False, f"{command[0]}: {error.strerror or error}"
    except subprocess.TimeoutExpired:
        deadline.check(ended)
        return False, f"cannot connect: no answer within {_TIMEOUT:.0f} s"
    if done.returncode == 0 and done.stdout.strip():
        return True, done.stdout.strip()
    # It may quote a proxy's address, with its password.
    output = Secrets().mask((done.stderr or done.stdout).strip())
    return False, output or f"status {done.returncode}"


def _is_podman(docker: str, query: Query) -> bool:
    """Whether `docker` is podman under another name (Debian's podman-docker)."""
    return "podman" in query(docker, "--version")[1].lower()


def _kind(docker: str, environment: Mapping[str, str], query: Query) -> str:
    wanted = environment.get("DOCKER_BUILDKIT") != "0"
    return "buildx" if wanted and query(docker, "buildx", "version")[0] else "docker"
