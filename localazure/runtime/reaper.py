"""Reaper: a process that kills the containers after the end of the double, even if that is killed.

bubblewrap's `--die-with-parent` isn't enough: bubblewrap drops all its rights, so at its end the
kernel's signal in its name doesn't reach a container that runs as another user; and a bubblewrap
that ends during its setup leaves its child behind. So a separate process holds a pidfd of every
container, and sends KILL to all of them when the socket to the double closes.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import subprocess
import sys


class Reaper:
    """The double's side: starts the process, and sends it the pidfds of containers."""

    def __init__(self) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def watch(self, handle: int) -> None:
        """Kill the process with this pidfd at the end of the double."""
        socket.send_fds(self._socket, [b"."], [handle])

    def close(self) -> None:
        """End the reaper; it kills all containers that still run."""
        self._socket.close()
        self._process.wait()


def reap(connection: socket.socket) -> None:
    """Receive pidfds until the socket closes, then kill the processes that still run."""
    handles: set[int] = set()
    while True:
        # A pidfd becomes readable when its process has ended.
        ready, _, _ = select.select([connection.fileno(), *handles], [], [])
        for handle in handles.intersection(ready):
            handles.remove(handle)
            os.close(handle)
        if connection.fileno() in ready:
            data, received, _, _ = socket.recv_fds(connection, 1, 1)
            if not data:
                break
            handles.update(received)
    for handle in handles:
        with contextlib.suppress(ProcessLookupError):  # it has just ended
            signal.pidfd_send_signal(handle, signal.SIGKILL)


if __name__ == "__main__":
    reap(socket.socket(fileno=int(sys.argv[1])))
