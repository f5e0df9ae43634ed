"""The log of an ACR Tasks run, read while Azure writes it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TypeVar

from azext_otelembed.azure.blob_storage import Blob, BlobState
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.tasks import Tasks
from azext_otelembed.builders.build_output import visible_text
from azext_otelembed.deadline import POLL_INTERVAL
from azext_otelembed.errors import AzureFailed, Unauthorized
from azext_otelembed.redaction import LEFT_OUT, MAX_LINE

Result = TypeVar("Result")
_MAX_READ = 1 << 20
_PAUSES = (POLL_INTERVAL, 4.0)
_SILENCE = 10.0
"""Seconds without new bytes until the run's state is checked: a log may never be completed."""
_MAX_ADDRESSES = 5


def follow(session: Session, tasks: Tasks, run: str) -> Iterator[str]:
    """The lines of a run's log until it is complete or the run has ended.

    Reads at most 1 MiB at a time. Requests a new address when storage refuses the old one.
    Raises `AzureFailed` and `Unauthorized`.
    """
    lines = LineSplitter()
    reader = _Reader(session, tasks, run)
    try:
        pause, last_data, ended = _PAUSES[0], time.monotonic(), False
        while True:
            state = reader.state()
            if state is not None and state.size > reader.read:
                last_data, pause = time.monotonic(), _PAUSES[0]
                while reader.read < state.size:
                    yield from lines.feed(reader.read_to(min(state.size, reader.read + _MAX_READ)))
            elif ended:
                break
            elif time.monotonic() - last_data >= _SILENCE:
                last_data, ended = time.monotonic(), tasks.get(run).ended
            if state is not None and state.complete:
                break
            # The log is read once more after the end of the run.
            session.deadline.sleep(_PAUSES[0] if ended else pause, f"run {run} had ended")
            pause = min(pause * 1.5, _PAUSES[1])
        yield from lines.flush()
    finally:
        reader.close()


class _Reader:
    """The log's blob, with a new address when one expires; `read` counts the bytes read so far."""

    def __init__(self, session: Session, tasks: Tasks, run: str) -> None:
        self._session, self._tasks, self._run = session, tasks, run
        self._blob: Blob | None = None
        self._addresses = 0
        self.read = 0

    def state(self) -> BlobState | None:
        return self._with_address(lambda blob: blob.state())

    def read_to(self, end: int) -> bytes:
        data = self._with_address(lambda blob: blob.read(self.read, end))
        if not data:
            raise AzureFailed(f"The log of run '{self._run}' is shorter than its reported size.")
        self.read += len(data)
        return data

    def _with_address(self, call: Callable[[Blob], Result]) -> Result:
        while True:
            try:
                return call(self._blob or self._open())
            except Unauthorized:
                if self._addresses >= _MAX_ADDRESSES:
                    raise
                self.close()

    def _open(self) -> Blob:
        self._addresses += 1
        url = self._tasks.log(self._run)
        if not url:
            raise AzureFailed(f"Azure gave no address for the log of run '{self._run}'.")
        self._blob = Blob(self._session, f"The log of run '{self._run}'", url)
        return self._blob

    def close(self) -> None:
        if self._blob is not None:
            self._blob.close()
        self._blob = None


class LineSplitter:
    """Splits bytes into lines of visible text."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *complete_lines, self._rest = (self._rest + data).split(b"\n")
        self._rest = self._rest[: MAX_LINE + 1]  # as long as it needs to be left out
        return [_visible(line) for line in complete_lines]

    def flush(self) -> list[str]:
        """The last line, if it has no line end."""
        rest, self._rest = self._rest, b""
        return [_visible(rest)] if rest else []


def _visible(line: bytes) -> str:
    return LEFT_OUT if len(line) > MAX_LINE else visible_text(line)
