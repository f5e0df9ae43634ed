"""The verdict of `otelcol validate` on a configuration."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from azext_otelembed.collector.problem import Problem
from azext_otelembed.errors import InvalidConfig

LOCAL, ACR = "local", "acr"


@dataclass(frozen=True, slots=True)
class Verdict:
    """`where` is "local" or "acr", `collector` the collector image, `run` that of ACR Tasks.

    `unrestricted` names what the sandbox couldn't refuse: "files", "network", "processes".
    """

    where: str
    collector: str
    problems: tuple[Problem, ...]
    unrestricted: tuple[str, ...] = ()
    run: str | None = None

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems because of which the collector would exit."""
        return tuple(problem for problem in self.problems if problem.is_error)

    def check(self) -> None:
        """Raises InvalidConfig for the first error."""
        if self.errors:
            first = self.errors[0]
            others = len(self.errors) - 1
            more = f" ({others} more)" if others else ""
            raise InvalidConfig(first.message + more, first.advice or None, first.line)

    @property
    def note(self) -> str | None:
        """What a person should know of how it was run."""
        if not self.unrestricted:
            return None
        what = " and ".join(self.unrestricted)
        return (
            f"This machine's kernel can't keep `otelcol validate` from {what}; it ran with "
            "placeholders for its environment, in a folder of its own and with limits. "
            "`--validate acr` runs it in Azure."
        )

    def as_result(self) -> dict[str, Any]:
        """The field `otelcol` of a result."""
        return {
            "where": self.where,
            "collector": self.collector,
            "run": self.run,
            "unrestricted": list(self.unrestricted),
        }
