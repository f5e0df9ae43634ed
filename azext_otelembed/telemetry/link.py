"""A link of the chain that telemetry takes from an app to Application Insights. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

_COMMAND = re.compile(r"`(az [^`]+)`")


class State(Enum):
    """What was found of a link."""

    OK = "ok"
    BROKEN = "broken"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Link:
    """A link: its name, its state, the evidence for that, and how to repair or to check it.

    `fix` is a sentence with az commands in backticks, "" where there is nothing to do.
    """

    name: str
    state: State
    evidence: str
    fix: str = ""

    @property
    def commands(self) -> tuple[str, ...]:
        """The az commands in `fix`."""
        return tuple(_COMMAND.findall(self.fix))

    def as_result(self) -> dict[str, Any]:
        """The entry in the result of `doctor`."""
        return {
            "link": self.name,
            "state": self.state.value,
            "evidence": self.evidence,
            "fix": self.fix or None,
            "commands": list(self.commands),
        }


def health(links: Sequence[Link]) -> bool | None:
    """True if every link is known to hold, false if one is broken, else None."""
    states = {link.state for link in links}
    if State.BROKEN in states:
        return False
    return None if State.UNKNOWN in states else True
