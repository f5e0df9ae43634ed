"""A stand-in for a Docker engine: builds nothing, waits for leave, and names a digest."""

from __future__ import annotations

import json
import socketserver
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

DIGEST = f"sha256:{'5' * 64}"
LONGEST = 30.0
"""Seconds that a build waits for leave."""


@dataclass(frozen=True, slots=True)
class Docker:
    """`socket` is where it listens; a build ends once `leave` is set."""

    socket: Path
    leave: threading.Event = field(default_factory=threading.Event)


@contextmanager
def docker() -> Iterator[Docker]:
    """An engine that runs as long as the context."""
    with tempfile.TemporaryDirectory() as folder:  # a short path: sockets' names are limited
        made = Docker(Path(folder) / "socket")

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                while size := int(self.rfile.readline() or b"0", 16) if self._chunked else 0:
                    self.rfile.read(size + 2)
                self.send_response(200)
                self.end_headers()
                if self.path.startswith("/build"):
                    self._line({"stream": "Step 1/1 : FROM scratch\n"})
                    made.leave.wait(LONGEST)
                else:
                    self._line({"aux": {"Digest": DIGEST}})

            def do_DELETE(self) -> None:
                self.send_response(200)
                self.end_headers()

            @property
            def _chunked(self) -> bool:
                return self.headers.get("transfer-encoding") == "chunked"

            def _line(self, told: object) -> None:
                self.wfile.write(json.dumps(told).encode() + b"\n")
                self.wfile.flush()

            def log_message(self, *_: object) -> None:
                """Nothing: a Unix socket's client has no address to tell."""

        class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            daemon_threads = True

        with Server(str(made.socket), Answers) as server:
            thread = threading.Thread(target=server.serve_forever, args=(0.05,))
            thread.start()
            try:
                yield made
            finally:
                made.leave.set()
                server.shutdown()
                thread.join()
