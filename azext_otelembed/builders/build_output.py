"""The output of a build: its lines as text, the last of them for an error, known causes."""

from __future__ import annotations

import re
from collections.abc import Sequence

KEPT_LINES = 200
"""Lines that are kept for an error."""
NEEDS_BUILDKIT = re.compile(r"requires BuildKit|Unknown flag: (mount|chmod|link)", re.IGNORECASE)
# `FROM.*denied` would take n² steps on n times FROM.
NO_BASE = re.compile(
    r"pull access denied|\bFROM\b(?:(?!\bFROM\b).)*(?:denied|unauthorized)", re.IGNORECASE
)
"""The registry of a base refuses the engine."""

_QUOTED_LINES = 15
_LONGEST_QUOTED = 1000
_STYLES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]")
"""Colours and movements of the cursor (ECMA-48, "Control sequences")."""


def visible_text(line: bytes) -> str:
    """One line as text, without colours.

    After carriage returns, only the last state of the line is visible.
    """
    return _STYLES.sub("", line.decode("utf-8", "replace").rstrip().rpartition("\r")[2])


def last_lines(lines: Sequence[str]) -> list[str]:
    """The last lines that aren't empty."""
    return [line for line in lines if line.strip()][-_QUOTED_LINES:]


def quote(lines: Sequence[str]) -> str:
    """The last lines for an error message, each with a margin; long ones are cut."""
    shown = (
        line if len(line) <= _LONGEST_QUOTED else f"{line[:_LONGEST_QUOTED]} …"
        for line in last_lines(lines) or ["(no output)"]
    )
    return "\n".join(f"  | {line}" for line in shown)
