"""Runs a program and passes on its output, line by line."""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from azext_otelembed.builders.build_output import KEPT_LINES, MAX_LINE, visible_text
from azext_otelembed.builders.source import OnLine

_STOP_TIMEOUT = 10.0


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """The exit status of a program, and its last lines (stdout and stderr interleaved)."""

    status: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


def run(command: Sequence[str], environment: Mapping[str, str], on_line: OnLine) -> ProcessResult:
    """Run `command` to its end; an exception ends the program as well.

    Raises OSError when the program can't be started.
    """
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
    )
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    try:
        for raw in iter(partial(process.stdout.readline, MAX_LINE), b""):
            line = visible_text(raw)
            lines.append(line)
            on_line(line)
        return ProcessResult(process.wait(), tuple(lines))
    finally:
        process.stdout.close()
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
