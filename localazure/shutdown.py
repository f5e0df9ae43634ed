"""Shutdown of the double's process: on TERM or INT, or after the end of the process that owns it.

A thread waits for these events, so a blocked event loop causes no delay. The orderly shutdown has
`LIMIT` seconds; then the thread kills the containers and ends the process.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable

LIMIT = 4.0
"""Seconds for the orderly shutdown."""
_PATIENCE = 0.4


class Shutdown:
    """Made in the main thread, in which the event loop runs.

    `requested` is set by TERM, INT and `request`; with `stdin` also at the end of standard input,
    and with `owner` when the process with that PID ends. Standard input alone is not enough: its
    end doesn't come while another process, one that was forked from the owner, holds the pipe.
    `kill` is called in another thread when `LIMIT` has passed.
    """

    def __init__(self, kill: Callable[[], None], *, stdin: bool, owner: int | None) -> None:
        self.requested = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._kill = kill
        read, self._write = os.pipe()
        os.set_blocking(self._write, False)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, _do_nothing)
        # The interpreter writes each signal there at once, whatever the main thread does.
        signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        watched = [read]
        if owner is not None and hasattr(os, "pidfd_open"):  # on Linux
            try:
                watched.append(os.pidfd_open(owner))
            except ProcessLookupError:
                self.request()
        pipe = sys.stdin.fileno() if stdin else None
        threading.Thread(target=self._watch, args=(watched, pipe), daemon=True).start()

    def request(self) -> None:
        """Ask the process to end. From any thread, any number of times."""
        with contextlib.suppress(BlockingIOError):
            os.write(self._write, b"\0")

    def _watch(self, watched: list[int], stdin: int | None) -> None:
        poll = select.poll()
        for fd in (*watched, *([] if stdin is None else [stdin])):
            poll.register(fd, select.POLLIN)
        while all(fd == stdin and os.read(fd, 4096) for fd, _ in poll.poll()):
            pass  # what is written to standard input has no meaning
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            self._loop.call_soon_threadsafe(self.requested.set)
        time.sleep(LIMIT)
        self._expire()

    def _expire(self) -> None:
        for step in (self._kill, self._report):
            # A step that blocks (on a full pipe, say) must not delay the end.
            thread = threading.Thread(target=step, daemon=True)
            thread.start()
            thread.join(_PATIENCE)
        os._exit(1)

    def _report(self) -> None:
        print(f"localazure did not shut down within {LIMIT:g} s and is ended.", file=sys.stderr)
        faulthandler.dump_traceback()
        with contextlib.suppress(RuntimeError):  # tasks were made or ended meanwhile
            for task in asyncio.all_tasks(self._loop):
                task.print_stack(file=sys.stderr)
        sys.stderr.flush()


def _do_nothing(*_: object) -> None:
    """A signal handler: it replaces the default action, which ends the process."""
