"""The deadline of one command, for its requests, polls and child processes."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from azext_otelembed.errors import DeadlineExceeded

LONGEST = 7200.0
"""Seconds of a command without --timeout, except for its verification. A run of ACR Tasks alone may
take an hour (`timeout` of `DockerBuildRequest`, learn.microsoft.com) and may be queued before."""
READING = 600.0
"""Seconds of a command that changes nothing."""
COMPLETION = 10.0
"""Seconds in which the shell completes a name."""
CLOSING = 30.0
"""Seconds for what follows the end of a release: the last look at the site, its record."""
POLL_INTERVAL = 1.0
"""Seconds between two polls of anything, at least, whatever Retry-After says."""

_TICK = 0.2
"""Seconds between two checks of whether the time is up."""

Result = TypeVar("Result")


class _Thread(threading.local):
    end = math.inf
    seconds = 0.0


_THREAD = _Thread()
"""The limit of `Deadline.limited` in this thread."""


class Deadline:
    """When the time of a command is up, in monotonic seconds. Threads may share it.

    `seconds` is what --timeout gives; None: `longest`. A release that has changed a site gets more
    time for its way back (`extend`).
    """

    def __init__(self, seconds: float | None = None, longest: float = LONGEST) -> None:
        self._given = seconds is not None
        self._seconds = longest if seconds is None else float(seconds)
        self._extended = False
        self._end = time.monotonic() + self._seconds

    @property
    def remaining(self) -> float:
        """Seconds left; 0 when the time is up."""
        return max(min(self._end, _THREAD.end) - time.monotonic(), 0.0)

    @contextmanager
    def limited(self, seconds: float) -> Iterator[None]:
        """What this thread does inside the block ends after `seconds`, if not with the command."""
        before = _THREAD.end, _THREAD.seconds
        end = time.monotonic() + seconds
        if end < _THREAD.end:
            _THREAD.end, _THREAD.seconds = end, seconds
        try:
            yield
        finally:
            _THREAD.end, _THREAD.seconds = before

    def restart(self) -> None:
        """Begins again: the next release, or the time after a question to the user."""
        self._extended = False
        self._end = time.monotonic() + self._seconds

    def extend(self, seconds: float) -> None:
        """Allows at least another `seconds` from now."""
        end = time.monotonic() + seconds
        self._extended = self._extended or end > self._end
        self._end = max(self._end, end)

    def check(self, missing: str) -> None:
        """Raises `DeadlineExceeded` when the time is up. `missing`: "the build has ended"."""
        if self.remaining > 0:
            return
        if time.monotonic() < self._end:
            raise DeadlineExceeded(f"{_THREAD.seconds:.0f} s ended before {missing}.")
        limit = f"{self._seconds:.0f} s"
        limit = f"{limit} of --timeout" if self._given else f"{limit} that a command may take"
        after = " and the time to undo the changes" if self._extended else ""
        raise DeadlineExceeded(
            f"The {limit}{after} ended before {missing}.",
            "Run the same command again: it continues where it stopped."
            + (" Give it more time, or leave --timeout out." if self._given else ""),
        )

    def sleep(self, seconds: float, missing: str) -> None:
        """Sleeps. Raises `DeadlineExceeded` as soon as the time is up."""
        time.sleep(min(seconds, self.remaining))
        self.check(missing)

    def poll(self, asked: float | None, missing: str, default: float = 2.0) -> None:
        """Sleeps between two polls: as long as `asked` (Retry-After), but `POLL_INTERVAL` at
        least; without a Retry-After, `default` seconds. Raises `DeadlineExceeded`.
        """
        self.sleep(max(POLL_INTERVAL, default if asked is None else asked), missing)

    def run(self, call: Callable[[], Result], missing: str, limit: float = math.inf) -> Result:
        """The result of a call of another library, which has no time limit of its own.

        It runs in a daemon thread, which is left behind when the time is up. Raises what the call
        raises, `DeadlineExceeded`, or `TimeoutError` after `limit` seconds.
        """
        ended: queue.SimpleQueue[tuple[Result] | BaseException] = queue.SimpleQueue()

        def work() -> None:
            try:
                ended.put((call(),))
            except BaseException as error:  # noqa: BLE001  # re-raised by the caller's thread
                ended.put(error)

        threading.Thread(target=work, name="otelembed-call", daemon=True).start()
        last = time.monotonic() + limit
        while True:
            try:
                # Short waits: one without a limit can't be interrupted on every platform.
                found = ended.get(timeout=_TICK)
            except queue.Empty:
                self.check(missing)
                if time.monotonic() >= last:
                    raise TimeoutError(f"{limit:.0f} s ended before {missing}") from None
                continue
            if isinstance(found, BaseException):
                raise found
            return found[0]
