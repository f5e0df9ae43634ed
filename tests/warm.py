"""az without the second of computing that loading its modules takes, each time it is started.

What runs is az all the same: its own interpreter, `azure.cli` as a program, the extension as it is
installed, a process of its own for each command. But that process is forked from one that has
loaded the modules already (`warm_server`). Programs that are stopped, given a terminal or timed
(`Az.popen`, `Cloud.on_terminal`, the demo) are started the ordinary way.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

from localazure.az import AZ, Az, Completed

SERVER = Path(__file__).with_name("warm_server.py")
_FIXED = ("PYTHON", "AZURE_CONFIG_DIR", "AZURE_EXTENSION_DIR")
"""Variables that are read before a command runs."""


class WarmAz(Az):
    """An `Az` whose commands start faster, until it is closed."""

    _server: subprocess.Popen[bytes] | None = None
    _control: socket.socket
    _starting = threading.Lock()

    def run(
        self,
        *arguments: str,
        input: str | None = None,  # noqa: A002  (subprocess calls it so)
        env: Mapping[str, str] | None = None,
        timeout: float = 300,
        cwd: Path | None = None,
    ) -> Completed:
        """Run one az command to its end."""
        if any(name.startswith(_FIXED) for name in env or {}):
            return super().run(*arguments, input=input, env=env, timeout=timeout, cwd=cwd)
        request = {
            "arguments": arguments,
            "environment": self.environment(env),
            "folder": str(cwd or self.folder),
        }
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write((input or "").encode())
            given.seek(0)
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with ours, theirs:
                files = [given.fileno(), out.fileno(), err.fileno(), theirs.fileno()]
                socket.send_fds(self._connection(), [json.dumps(request).encode()], files)
                theirs.close()
                status = _wait(ours, arguments, timeout)
            out.seek(0)
            err.seek(0)
            return Completed(status, out.read().decode(), err.read().decode())

    def _connection(self) -> socket.socket:
        with self._starting:
            if self._server is None:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                folder = AZ.resolve().parent
                self._server = subprocess.Popen(
                    [str(folder / "python"), str(SERVER), str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    env={**self.environment(), "PYTHONPATH": str(folder / "src")},
                    cwd=self.folder,
                    pass_fds=[theirs.fileno()],
                    start_new_session=True,
                )
                theirs.close()
                self._control = ours
            return self._control

    def close(self) -> None:
        """End the process that commands are forked from."""
        if self._server is not None:
            self._control.close()
            self._server.wait(20)
            self._server = None

    def __enter__(self) -> WarmAz:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def _wait(answers: socket.socket, arguments: tuple[str, ...], timeout: float) -> int:
    pid = int(answers.recv(32) or 0)
    if not pid:
        raise RuntimeError("the process that az is forked from has ended")
    answers.settimeout(timeout)
    try:
        return int(answers.recv(32))
    except TimeoutError:
        os.kill(pid, signal.SIGKILL)
        raise subprocess.TimeoutExpired(["az", *arguments], timeout) from None
