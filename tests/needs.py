"""What a test can't do without: it is there, or the test is skipped and says what to type.

Nothing is installed: that is `.ci/run`'s matter, which sets OTELEMBED_ENGINE=required then. With it
nothing may be missing.
"""

from __future__ import annotations

import os
import shutil
from typing import NoReturn

import pytest

from localazure.client import ROOT

_MADE = {name: ROOT / ".local" / "bin" / name for name in ("crane", "buildx")}


def lacking(reason: str) -> NoReturn:
    """End a test that lacks something."""
    if os.environ.get("OTELEMBED_ENGINE") == "required":
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def program(name: str) -> str:
    """The path of a program: one of this machine's, or one that make builds."""
    if name in _MADE:
        if not _MADE[name].exists():
            lacking(f"`make .local/bin/{name}` builds it")
        return str(_MADE[name])
    return shutil.which(name) or lacking(f"{name} isn't installed: as root, {command(name)}")


def command(package: str) -> str:
    """What a person types to install a Debian package."""
    return f"`apt-get install --no-install-recommends {package}`"
