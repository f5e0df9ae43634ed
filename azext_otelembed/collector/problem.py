"""A problem of a collector configuration: where it is, what is wrong, what to write instead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from azext_otelembed.az_commands import DEFAULT
from azext_otelembed.collector.yaml_document import Node
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

    @classmethod
    def of(
        cls,
        node: Node,
        path: tuple[str, ...],
        message: str,
        advice: str = "",
        *,
        is_error: bool = True,
    ) -> Problem:
        """The problem of a value, whose keys are `path`."""
        return cls(node.line, "::".join(path), message, is_error, advice, node.file)

    @property
    def sentence(self) -> str:
        """The message with its line."""
        return self.message if self.line is None else f"Line {self.line}: {self.message}"

    @classmethod
    def from_error(cls, error: InvalidConfig, file: str) -> Problem:
        """The problem that made a file unreadable."""
        return cls(error.line, "", error.reason, True, error.recommendation or "", file)

    def as_error(self, others: int = 0, files: Sequence[str] = ()) -> InvalidConfig:
        """The exception that ends a command because of this problem, and of `others` more.

        `files` are the names of all files; the error names the problem's own if there are several.
        """
        advice = [self.advice] if self.advice else []
        if others:
            errors = "1 more error" if others == 1 else f"{others} more errors"
            check = DEFAULT.command("otelembed config validate", *files, subscription=None)
            advice.append(f"`{check}` lists {errors}.")
        message = self.message
        if len(files) > 1 and self.file:
            message = f"{message.removesuffix('.')} (in '{self.file}')."
        return InvalidConfig(message, " ".join(advice) or None, self.line)

    @property
    def report(self) -> str:
        """One line: file, line, severity, path, message and advice."""
        place = ":".join(part for part in (self.file, str(self.line or "")) if part)
        severity = "error" if self.is_error else "warning"
        advice = f" {self.advice}" if self.advice else ""
        path = f" ({self.path})" if self.path else ""
        return f"{place}: {severity}: {self.message}{advice}{path}"

    def as_result(self) -> dict[str, object]:
        """The entry in the result of `config validate`."""
        return {
            "file": self.file or None,
            "line": self.line,
            "path": self.path or None,
            "message": self.message,
            "advice": self.advice or None,
        }
