"""A registry that lies, and what it does to whoever believes it, measured in a process of its own.

It takes whatever is pushed to it. `python -m tests.registry.liar HOST TAG` brings a collector image
of it into the same registry, and prints what came of it.
"""

from __future__ import annotations

import json
import sys
import tarfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote

from localazure.images.assemble import MANIFEST, Entry, Image, layer, sha256
from tests.memory import peak_megabytes, run_measured

REPOSITORY = "otel/collector"
Body = Callable[[], Iterator[bytes]]


@dataclass
class Liar:
    """What it serves, by the last part of a path: a body, and the length that it announces.

    `taken` are the digests of blobs and the names of manifests that were pushed to it.
    """

    host: str = ""
    bodies: dict[str, tuple[str, Body, int | None]] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)

    def serve(
        self, name: str, body: bytes | Body, kind: str = "", length: int | None = None
    ) -> str:
        """Serve a body under a name; bytes without a name are served under their digest."""
        if isinstance(body, bytes):
            data = body
            name, length = name or sha256(data), len(data) if length is None else length
            self.bodies[name] = kind, lambda: iter([data]), length
        else:
            self.bodies[name] = kind, body, length
        return name

    def image(self, tag: str, found: Image, *, size: int | None = None, **bodies: Body) -> None:
        """An image; `first` replaces the bytes of its first layer, `size` what is said of it."""
        self.serve("", found.config_bytes)
        for each in found.layers:
            self.serve("", each.data)
        document = json.loads(found.manifest_bytes)
        if size is not None:
            document["layers"][0]["size"] = size
        if "first" in bodies:
            self.serve(document["layers"][0]["digest"], bodies["first"])
        self.serve(tag, json.dumps(document).encode(), MANIFEST[found.family])


@contextmanager
def lying() -> Iterator[Liar]:
    """A liar that listens, without TLS."""
    liar = Liar()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.rpartition("/")[2]
            if name not in liar.bodies:
                self.send_error(404)
                return
            kind, body, length = liar.bodies[name]
            self.send_response(200)
            self.send_header("Content-Type", kind or "application/octet-stream")
            if length is not None:
                self.send_header("Content-Length", str(length))
            self.end_headers()
            try:
                for piece in body():
                    self.wfile.write(piece)
            except OSError:
                return  # the client has heard enough

        def do_HEAD(self) -> None:
            self.answer(404)

        def do_POST(self) -> None:
            self.answer(202, Location="/v2/uploads/1")

        def do_PATCH(self) -> None:
            self.answer(202, Location="/v2/uploads/1")

        def do_PUT(self) -> None:
            path, _, digest = self.path.partition("?digest=")
            liar.taken.append(unquote(digest) or path.rpartition("/")[2])
            self.answer(201)

        def answer(self, status: int, **headers: str) -> None:
            left = int(self.headers.get("Content-Length") or 0)
            while left > 0 and (read := self.rfile.read(min(left, 1 << 16))):
                left -= len(read)
            self.send_response(status)
            for name, value in {"Content-Length": "0", **headers}.items():
                self.send_header(name, value)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    server.daemon_threads = True
    liar.host = f"localhost:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield liar
    finally:
        server.shutdown()
        server.server_close()


@dataclass(frozen=True)
class Outcome:
    """`megabytes` is the most memory that the process had."""

    message: str
    megabytes: float
    seconds: float


def believe(liar: Liar, tag: str) -> Outcome:
    """Bring the image in, in a process of its own."""
    liar.taken.clear()
    return Outcome(**run_measured("tests.registry.liar", liar.host, tag))


def _main(host: str, tag: str) -> Mapping[str, object]:
    from azext_otelembed.embedding.prepare_collector import prepare_collector
    from azext_otelembed.errors import OtelembedError
    from azext_otelembed.image.reference import Reference
    from azext_otelembed.registry.client import RegistryClient
    from azext_otelembed.registry.policies import RetryOptions

    retry = RetryOptions(attempts=2, first_delay=0.01, max_total=3, read_timeout=1)
    began = time.monotonic()
    message = ""
    with (
        RegistryClient(host, scheme="http", retry=retry) as source,
        RegistryClient(host, scheme="http", retry=retry) as target,
    ):
        try:
            prepare_collector(target, Reference(host, REPOSITORY, tag), source)
        except OtelembedError as error:
            message = error.message
    return {"message": message, "megabytes": peak_megabytes(), "seconds": time.monotonic() - began}


def tar_header(path: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """The header of an entry in a tar archive."""
    info = tarfile.TarInfo(path)
    info.mode, info.size, info.type = 0o755, size, kind
    return info.tobuf(tarfile.GNU_FORMAT)


def bomb(pack: Callable[[bytes], bytes], gigabytes: int) -> list[bytes]:
    """A few MB that unpack to a file of many GB: compressed streams may be joined."""
    size = gigabytes << 30
    start, zeros = pack(tar_header("etc/zeros", size)), pack(bytes(64 << 20))
    return [start, *[zeros] * (size >> 26)]


def endless() -> Iterator[bytes]:
    """Never stops."""
    while True:
        yield b"x" * 65536


def slow() -> Iterator[bytes]:
    """A byte now and then."""
    while True:
        yield b" "
        time.sleep(0.2)


def collector(*entries: Entry, entrypoint: str = "/otelcol") -> Image:
    """A collector image of one layer."""
    return Image([layer(list(entries))], {"Entrypoint": [entrypoint]})


if __name__ == "__main__":
    print(json.dumps(_main(*sys.argv[1:])))
