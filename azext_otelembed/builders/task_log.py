"""The log of an ACR Tasks run, line by line while it is written."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, TypeVar

from azext_otelembed.azure.blob_storage import Blob, State
from azext_otelembed.errors import AzureFailed, Unauthorized

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.azure.tasks import Tasks

Answer = TypeVar("Answer")
_MOST = 1 << 20
_LONGEST_LINE = 1 << 16
_CONTROLS = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|[\x00-\x08\x0b-\x1f\x7f]")
"""Colours, and whatever else a build's log could do to a terminal."""
_PAUSES = (0.5, 4.0)
_ASK_RUN = 10.0
"""Seconds of silence after which the run itself is asked: its log may never be completed."""
_ADDRESSES = 5


def follow(session: Session, tasks: Tasks, run: str) -> Iterator[str]:
    """The lines of a run's log until it is complete or the run has ended.

    Reads in pieces of at most a MiB. Asks for a new address when storage refuses the old one.
    Raises `AzureFailed` and `Unauthorized`.
    """
    lines = Lines()
    reader = _Reader(session, tasks, run)
    try:
        pause, heard, over = _PAUSES[0], time.monotonic(), False
        while True:
            state = reader.look()
            if state is not None and state.size > reader.read:
                heard, pause = time.monotonic(), _PAUSES[0]
                while reader.read < state.size:
                    yield from lines.take(reader.more(min(state.size, reader.read + _MOST)))
            elif over or (state is not None and state.complete):
                break
            elif time.monotonic() - heard >= _ASK_RUN:
                heard, over = time.monotonic(), tasks.get(run).ended
            if not over and not (state is not None and state.complete):
                time.sleep(pause)
                pause = min(pause * 1.5, _PAUSES[1])
        yield from lines.rest()
    finally:
        reader.close()


class _Reader:
    """The log's blob, under as many addresses as it takes; `read` counts the bytes had so far."""

    def __init__(self, session: Session, tasks: Tasks, run: str) -> None:
        self._session, self._tasks, self._run = session, tasks, run
        self._blob: Blob | None = None
        self._addresses = 0
        self.read = 0

    def look(self) -> State | None:
        return self._trying(lambda blob: blob.look())

    def more(self, end: int) -> bytes:
        data = self._trying(lambda blob: blob.read(self.read, end))
        if not data:
            raise AzureFailed(f"The log of run '{self._run}' ends before its own length.")
        self.read += len(data)
        return data

    def _trying(self, call: Callable[[Blob], Answer]) -> Answer:
        while True:
            try:
                return call(self._blob or self._renewed())
            except Unauthorized:
                if self._addresses >= _ADDRESSES:
                    raise
                self.close()

    def _renewed(self) -> Blob:
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


class Lines:
    """Bytes into lines. One that redraws itself counts as what it shows at last."""

    def __init__(self) -> None:
        self._rest = b""

    def take(self, data: bytes) -> list[str]:
        """The lines that `data` completes."""
        *whole, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > _LONGEST_LINE:
            whole.append(self._rest)
            self._rest = b""
        return [_shown(line) for line in whole]

    def rest(self) -> list[str]:
        """The last line, if nothing ended it."""
        rest, self._rest = self._rest, b""
        return [_shown(rest)] if rest else []


def _shown(line: bytes) -> str:
    text = line.decode("utf-8", "replace").rstrip().rpartition("\r")[2]
    return _CONTROLS.sub("", text)
