"""What can be wrong with a collector's configuration or a connection string."""

from __future__ import annotations


class ConfigProblem(ValueError):
    """A configuration that can't work.

    `message` says what is wrong, with the line where there is one (`line` counts from 1), and never
    repeats a value that may be secret; `recommendation`, where there is one, what to do.
    """

    def __init__(
        self, message: str, recommendation: str | None = None, line: int | None = None
    ) -> None:
        text = message if line is None else f"line {line}: {message}"
        super().__init__(text)
        self.message = text
        self.recommendation = recommendation
        self.line = line
