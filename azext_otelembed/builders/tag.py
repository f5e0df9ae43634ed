"""The tag of an app image that was given none."""

from __future__ import annotations

import shutil
import subprocess
from datetime import datetime, timezone
from pathlib import Path

_LIMIT = 30.0


def default_tag(directory: Path, now: datetime | None = None) -> str:
    """12 hex digits of the commit where `directory` is a clean git checkout, else the time.

    The time is UTC, e.g. `20261122-214500`: what was built from uncommitted files can't be named
    by anything that would lead back to them.
    """
    return _commit(directory) or f"{now or datetime.now(timezone.utc):%Y%m%d-%H%M%S}"


def _commit(directory: Path) -> str | None:
    """The commit, if everything below `directory` is as committed (ignored files don't count)."""
    if shutil.which("git") is None:
        return None
    changed = _git(directory, "status", "--porcelain", "--", ".")
    return _git(directory, "rev-parse", "--short=12", "HEAD") if changed == "" else None


def _git(directory: Path, *arguments: str) -> str | None:
    """What git says; None where it fails, as in a directory that is no checkout."""
    try:
        done = subprocess.run(
            ["git", "-C", str(directory), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
