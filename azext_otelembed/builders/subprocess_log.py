"""Another program, run with its output passed on line by line while it runs."""

from __future__ import annotations

import subprocess
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from azext_otelembed.builders.source import Tell

_KEPT = 200
_LONGEST = 1 << 16
_STOP = 10.0


@dataclass(frozen=True, slots=True)
class Ran:
    """How a program ended, and the last lines it wrote (stdout and stderr as they came)."""

    status: int
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """The lines as one text."""
        return "\n".join(self.lines)


def run(command: Sequence[str], environment: Mapping[str, str], tell: Tell) -> Ran:
    """Run `command` to its end. However this is left, the program has ended too.

    A line that redraws itself with carriage returns counts as what it shows at last. Raises
    OSError when the program can't be started.
    """
    lines: deque[str] = deque(maxlen=_KEPT)
    process = subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(environment),
    )
    assert process.stdout is not None  # noqa: S101  # it is a pipe
    try:
        for raw in iter(partial(process.stdout.readline, _LONGEST), b""):
            line = raw.decode("utf-8", "replace").rstrip().rpartition("\r")[2]
            lines.append(line)
            tell(line)
        return Ran(process.wait(), tuple(lines))
    finally:
        process.stdout.close()
        _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(_STOP)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
