"""The source of an app image, and the interface of builders."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Protocol

from azext_otelembed.builders.child_environment import git_environment
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import InvalidInput
from azext_otelembed.image.reference import Reference
from azext_otelembed.registry.client import RegistryClient

_GIT_TIMEOUT = 30.0
_BUILD_ARG = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*(=.*)?", re.DOTALL)

OnLine = Callable[[str], None]
"""Receives one line of a builder's output while it runs."""


@dataclass(frozen=True, slots=True)
class Source:
    """A build context and how to build it. Both paths are absolute.

    `build_args` are `NAME=value`, or `NAME` alone for the value in the caller's environment;
    `target` is a stage of the Dockerfile.
    """

    directory: Path
    dockerfile: Path
    build_args: tuple[str, ...] = ()
    target: str | None = None

    def build_values(self, environment: Mapping[str, str]) -> dict[str, str]:
        """The values of the build arguments, without a NAME that `environment` doesn't have."""
        parts = [argument.partition("=") for argument in self.build_args]
        return {
            name: value if given else environment[name]
            for name, given, value in parts
            if given or name in environment
        }


class Builder(Protocol):
    """One way of building an app image."""

    name: str

    def prepare(self, deadline: Deadline) -> str:
        """Check that this builder works here; returns its name, e.g. `docker 28.2`.

        Raises `BuildFailed` with the remedy, and `DeadlineExceeded`.
        """

    def build(
        self, source: Source, image: Reference, client: RegistryClient, on_line: OnLine
    ) -> dict[str, Any]:
        """Build `source` for linux/amd64 and push it as `image` (with a tag).

        Returns fields for the result object. `client` is a client of the image's registry, for its
        credentials, with the command's deadline. Raises `BuildFailed`, `DeadlineExceeded`, and
        `Unauthorized` where the registry denies the push.
        """


def find_source(
    directory: str, file: str | None, build_args: Sequence[str], target: str | None
) -> Source:
    """Check the arguments. `file` is looked up in `directory` first. Raises `InvalidInput`."""
    context = _local_path(directory, "--source")
    if not context.is_dir():
        what = "is not a directory" if context.exists() else "doesn't exist"
        raise InvalidInput(
            f"--source '{directory}' {what}.",
            "Give the directory that holds the Dockerfile, such as `--source .`.",
        )
    context = context.resolve()
    for argument in build_args:
        if not _BUILD_ARG.fullmatch(argument):
            raise InvalidInput(
                f"--build-arg '{argument}' isn't NAME=value.",
                "Such as `--build-arg VERSION=1.4.2`; NAME alone takes the value from the "
                "environment.",
            )
    return Source(context, _dockerfile(context, directory, file), tuple(build_args), target)


def _local_path(text: str, option: str) -> Path:
    """The path, with `~` expanded. Raises `InvalidInput`, naming `option`, for an invalid path."""
    try:
        path = Path(text).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        # A part that is too long or can't be read; `~name` of an unknown user; a NUL.
        shown = text if len(text) <= 100 else f"{text[:100]}…"
        reason = str(getattr(error, "strerror", None) or error).rstrip(".")
        raise InvalidInput(
            f"{option} '{shown}' isn't a path that can be used: {reason}.",
            "Check the path and its permissions.",
        ) from None
    return path


def _dockerfile(context: Path, directory: str, file: str | None) -> Path:
    if file is None:
        for path in (context / "Dockerfile", context / "Containerfile"):
            if path.is_file():
                return path
        raise InvalidInput(
            f"--source '{directory}' holds no Dockerfile.",
            "Name it with --file, as a path within that directory; for an image that is in a "
            "registry already, use --image alone.",
        )
    for path in (_local_path(str(context / file), "--file"), _local_path(file, "--file")):
        if path.is_file():
            return path.resolve()
    raise InvalidInput(
        f"--file '{file}' was found neither in '{directory}' nor in the current directory.",
        "Give its path within the directory of --source.",
    )


def default_tag(directory: Path, now: datetime | None = None) -> str:
    """12 hex digits of the commit where `directory` is a clean git checkout, else the time.

    The time is UTC, e.g. `20261122-214500`: a commit would not identify uncommitted files.
    """
    # Everything below `directory` is as committed; ignored files don't count.
    clean = _git(directory, "status", "--porcelain", "--", ".") == ""
    commit = _git(directory, "rev-parse", "--short=12", "HEAD") if clean else None
    return commit or f"{now or datetime.now(timezone.utc):%Y%m%d-%H%M%S}"


def _git(directory: Path, *arguments: str) -> str | None:
    """git's output; None where there is no git, and where it fails, as outside of a checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT,
            env=git_environment(os.environ),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
