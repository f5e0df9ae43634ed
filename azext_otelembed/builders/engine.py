"""The container engines that can build: which one is there, and how it is told to."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from azext_otelembed.builders.source import Source
from azext_otelembed.errors import BuildFailed

PLATFORM = "linux/amd64"
"""What App Service runs, whatever machine this is."""
_LIMIT = 30.0
_INSTALL = (
    "Install Docker (https://docs.docker.com/engine/install) or podman; or have the image built "
    "elsewhere and name it with --image."
)


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that answers. `kind` is "docker", "buildx" or "podman"; `version` its own."""

    kind: str
    program: str
    version: str

    def __str__(self) -> str:
        name = "docker buildx" if self.kind == "buildx" else self.kind
        return f"{name} {self.version}"

    def build(self, source: Source, image: str) -> list[str]:
        """The command that builds `image`; with buildx, it pushes too."""
        command = [self.program]
        if self.kind == "buildx":
            # What a builder in a container of its own makes is in no engine: it pushes itself.
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
        """The command that pushes `image`; None where building it has pushed it."""
        return None if self.kind == "buildx" else [self.program, "push", image]


def find_engine(environment: Mapping[str, str]) -> Engine:
    """Docker with buildx, docker, or podman, in this order: the first that answers.

    Raises `BuildFailed` with what to do where none does; of two that don't, docker's case is told.
    """
    path = environment.get("PATH")
    docker, podman = shutil.which("docker", path=path), shutil.which("podman", path=path)
    if docker is None and podman is None:
        raise BuildFailed(
            "There is no container engine here: neither docker nor podman is on PATH.", _INSTALL
        )
    trouble: BuildFailed | None = None
    if docker is not None:
        answer = _ask([docker, "version", "--format", "{{.Server.Version}}"], environment)
        if answer.ok and not _is_podman(docker, environment):
            return Engine(_kind(docker, environment), docker, answer.text)
        if not answer.ok:
            trouble = daemon_trouble(answer.text)
        else:
            podman = podman or docker
    if podman is not None:
        answer = _ask([podman, "version", "--format", "{{.Client.Version}}"], environment)
        if answer.ok:
            return Engine("podman", podman, answer.text)
        trouble = trouble or BuildFailed(f"podman doesn't work here: {answer.text}", _INSTALL)
    assert trouble is not None  # noqa: S101  # one of the two was there and failed
    raise trouble


def daemon_trouble(said: str) -> BuildFailed:
    """Why docker's daemon can't be used, by what the docker command said."""
    if re.search(r"permission denied", said, re.IGNORECASE):
        return BuildFailed(
            f"You may not use the Docker daemon here: {_last(said)}",
            "Join the group that may (`sudo usermod -aG docker $USER`, then log in again), or use "
            "rootless Docker or podman.",
        )
    if re.search(r"daemon running|cannot connect|connection refused|no such host", said, re.I):
        return BuildFailed(
            f"The Docker daemon doesn't answer: {_last(said)}",
            "Start it (`sudo systemctl start docker`, or Docker Desktop), or point DOCKER_HOST or "
            "`docker context use` at one that runs.",
        )
    return BuildFailed(f"docker doesn't work here: {_last(said)}", "Try `docker version`.")


@dataclass(frozen=True, slots=True)
class _Answer:
    ok: bool
    text: str


def _ask(command: Sequence[str], environment: Mapping[str, str]) -> _Answer:
    """A short question to an engine: what it answers, or why it doesn't."""
    try:
        done = subprocess.run(
            list(command),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_LIMIT,
            env=dict(environment),
            check=False,
        )
    except OSError as error:
        return _Answer(False, f"{command[0]}: {error.strerror or error}")
    except subprocess.TimeoutExpired:
        return _Answer(False, f"cannot connect: no answer within {_LIMIT:.0f} s")
    if done.returncode == 0 and done.stdout.strip():
        return _Answer(True, done.stdout.strip())
    return _Answer(False, (done.stderr or done.stdout).strip() or f"status {done.returncode}")


def _is_podman(docker: str, environment: Mapping[str, str]) -> bool:
    """Whether `docker` is podman under another name (Debian's podman-docker)."""
    return "podman" in _ask([docker, "--version"], environment).text.lower()


def _kind(docker: str, environment: Mapping[str, str]) -> str:
    if environment.get("DOCKER_BUILDKIT") == "0":
        return "docker"  # the caller's wish
    return "buildx" if _ask([docker, "buildx", "version"], environment).ok else "docker"


def _last(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
