"""What a test can't do without: there, or installed; else the test is skipped with a reason.

With OTELEMBED_ENGINE=required, as in CI, nothing may be missing.
"""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import NoReturn

import pytest

from localazure.client import ROOT

_PACKAGES = {"skopeo": "skopeo", "umoci": "umoci", "podman": "podman"}
_MADE = {name: ROOT / ".local" / "bin" / name for name in ("crane", "buildx")}


def lacking(reason: str) -> NoReturn:
    """End a test that lacks something."""
    if os.environ.get("OTELEMBED_ENGINE") == "required":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


@functools.cache
def program(name: str) -> str:
    """The path of a program: one of this machine's, a Debian package's, or one that make builds."""
    if name in _MADE:
        if not _MADE[name].exists():
            lacking(f"`make .local/bin/{name}` builds it")
        return str(_MADE[name])
    found = shutil.which(name)
    if found is None and name in _PACKAGES and os.geteuid() == 0 and shutil.which("apt-get"):
        install(_PACKAGES[name])
        found = shutil.which(name)
    return found or lacking(f"{name} isn't installed, and can't be (apt-get, as root)")


def install(package: str) -> None:
    """Install a Debian package; whether that worked shows in what is there afterwards."""
    environment: Mapping[str, str] = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["update", "-qq"], ["install", "-qq", "--no-install-recommends", package]):
        subprocess.run(
            ["apt-get", "-y", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            env=environment,
            timeout=280,
            check=False,
        )
