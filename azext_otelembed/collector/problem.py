"""A problem of a collector configuration: where it is, what is wrong, what to write instead."""

from __future__ import annotations

from dataclasses import dataclass

from azext_otelembed.errors import InvalidConfig


@dataclass(frozen=True, slots=True)
class Problem:
    """An error (`is_error`: the collector would exit, or a secret is in the image) or a warning.

    `line` counts from 1 in the file called `file` ("" where there is one file without a name);
    None where no line is to blame. `path` is the setting as the collector's own messages name it:
    keys joined by `::`, e.g. `service::pipelines::traces`; "" for the document. `advice` is what to
    write instead, or "". None of them repeats a value that may be secret.
    """

    line: int | None
    path: str
    message: str
    is_error: bool = True
    advice: str = ""
    file: str = ""

    def __str__(self) -> str:
        place = f"line {self.line}: " if self.line is not None else ""
        return f"{place}{self.message}"

    def as_error(self) -> InvalidConfig:
        """The exception that ends a command because of this problem."""
        return InvalidConfig(self.message, self.advice or None, self.line)

    def as_result(self) -> dict[str, object]:
        """The entry in the result of `config validate`."""
        return {
            "severity": "error" if self.is_error else "warning",
            "file": self.file or None,
            "line": self.line,
            "path": self.path or None,
            "message": self.message,
            "advice": self.advice or None,
        }
