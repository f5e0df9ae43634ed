"""Runs a program and passes on its output, line by line."""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO

from azext_otelembed.builders.build_output import KEPT_LINES, visible_text
from azext_otelembed.builders.source import OnLine
from azext_otelembed.deadline import Deadline
from azext_otelembed.parallel import read_ahead
from azext_otelembed.redaction import LEFT_OUT, MAX_LINE, Secrets

_STOP_TIMEOUT = 10.0
_READ_AHEAD = 64
_TICK = 0.2


@dataclass(frozen=True, slots=True)
class ProcessResult:
    """The exit status of a program, and its last lines (stdout and stderr interleaved)."""

    status: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


def run(
    command: Sequence[str],
    environment: Mapping[str, str],
    secrets: Secrets,
    on_line: OnLine,
    deadline: Deadline | None = None,
) -> ProcessResult:
    """Run `command` to its end; an exception ends the program as well.

    `secrets` are masked in its output. Raises OSError when the program can't be started, and
    `DeadlineExceeded`.
    """
    end = deadline or Deadline()
    ended = f"'{' '.join(command[:2])}' had ended"

    def check() -> None:
        end.check(ended)

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
        # Another thread reads: a child of the program may hold the pipe open for ever.
        for line in map(secrets.mask, read_ahead(_lines(process.stdout), _READ_AHEAD, check)):
            lines.append(line)
            on_line(line)
            check()
        process.stdout.close()
        while process.poll() is None:
            end.sleep(_TICK, ended)
        return ProcessResult(process.returncode, tuple(lines))
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(_STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _lines(stream: IO[bytes]) -> Iterator[str]:
    while raw := stream.readline(MAX_LINE):
        if len(raw) < MAX_LINE or raw.endswith(b"\n"):
            yield visible_text(raw)
            continue
        while (rest := stream.readline(MAX_LINE)) and not rest.endswith(b"\n"):
            pass
        yield LEFT_OUT
