"""Container engines that can build: detection, and their commands."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from azext_otelembed.builders.source import Source
from azext_otelembed.errors import BuildFailed

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


def find_engine(environment: Mapping[str, str]) -> Engine:
    """The first of docker with buildx, docker, and podman that works.

    Raises `BuildFailed` with the remedy; if both fail, the one for docker.
    """
    path = environment.get("PATH")
    docker, podman = shutil.which("docker", path=path), shutil.which("podman", path=path)
    if docker is None and podman is None:
        raise BuildFailed(
            "There is no container engine here: neither docker nor podman is on PATH.", _INSTALL
        )
    failure: BuildFailed | None = None
    if docker is not None:
        output = _query([docker, "version", "--format", "{{.Server.Version}}"], environment)
        if output.ok and not _is_podman(docker, environment):
            return Engine(_kind(docker, environment), docker, output.text)
        if not output.ok:
            failure = daemon_error(output.text)
        else:
            podman = podman or docker
    if podman is not None:
        output = _query([podman, "version", "--format", "{{.Client.Version}}"], environment)
        if output.ok:
            return Engine("podman", podman, output.text)
        failure = failure or BuildFailed(f"podman doesn't work here: {output.text}", _INSTALL)
    assert failure is not None  # noqa: S101  # one of the two exists and failed
    raise failure


def daemon_error(output_text: str) -> BuildFailed:
    """The error for docker's daemon, from the output of the docker command."""
    if re.search(r"permission denied", output_text, re.IGNORECASE):
        return BuildFailed(
            f"You may not use the Docker daemon here: {_last_line(output_text)}",
            "Join the group that may (`sudo usermod -aG docker $USER`, then log in again), or use "
            "rootless Docker or podman.",
        )
    if re.search(
        r"daemon running|cannot connect|connection refused|no such host", output_text, re.I
    ):
        return BuildFailed(
            f"The Docker daemon doesn't answer: {_last_line(output_text)}",
            "Start it (`sudo systemctl start docker`, or Docker Desktop), or point DOCKER_HOST or "
            "`docker context use` at one that runs.",
        )
    return BuildFailed(
        f"docker doesn't work here: {_last_line(output_text)}", "Try `docker version`."
    )


@dataclass(frozen=True, slots=True)
class _Output:
    ok: bool
    text: str


def _query(command: Sequence[str], environment: Mapping[str, str]) -> _Output:
    """Runs a short command of an engine: its output, or the cause of its failure."""
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_TIMEOUT,
            env=dict(environment),
            check=False,
        )
    except OSError as error:
        return _Output(False, f"{command[0]}: {error.strerror or error}")
    except subprocess.TimeoutExpired:
        return _Output(False, f"cannot connect: no answer within {_TIMEOUT:.0f} s")
    if done.returncode == 0 and done.stdout.strip():
        return _Output(True, done.stdout.strip())
    return _Output(False, (done.stderr or done.stdout).strip() or f"status {done.returncode}")


def _is_podman(docker: str, environment: Mapping[str, str]) -> bool:
    """Whether `docker` is podman under another name (Debian's podman-docker)."""
    return "podman" in _query([docker, "--version"], environment).text.lower()


def _kind(docker: str, environment: Mapping[str, str]) -> str:
    if environment.get("DOCKER_BUILDKIT") == "0":
        return "docker"  # set by the caller
    return "buildx" if _query([docker, "buildx", "version"], environment).ok else "docker"


def _last_line(text: str) -> str:
    """The last line that isn't empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
