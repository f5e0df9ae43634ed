"""What HTTP libraries log with `--debug`: no address of a request, which may hold a signature."""

from __future__ import annotations

import io
import logging
import socketserver
import threading
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.rest import HttpRequest

from azext_otelembed.azure.arm import make_transport
from azext_otelembed.azure.session import Session
from azext_otelembed.command_frame import command_frame
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.policies import RequestOptions
from tests.release.support import Fixed

SIGNATURE = "c2lnbmF0dXJl"
CMD: Any = SimpleNamespace(cli_ctx=SimpleNamespace(only_show_errors=False))


class _BadHeader(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        """Answers with a header line that is none: urllib3 warns of it, and names the address."""
        while self.rfile.readline().strip():
            pass
        self.wfile.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nnot a header\r\n\r\n{}")


@pytest.fixture
def host() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _BadHeader) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def debug_log() -> Iterator[io.StringIO]:
    """What the root logger's handler writes, as with `--debug`."""
    stream, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(stream), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.removeHandler(handler)
    root.setLevel(level)


@pytest.mark.parametrize("service", ["arm", "registry"])
def test_a_malformed_header_doesnt_get_the_address_into_the_log(
    service: str, host: str, debug_log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    address = f"/operations/1?sig={SIGNATURE}"
    with command_frame(CMD):
        if service == "arm":
            credential: Any = Fixed("the-token")
            session = Session(credential, "s", "t", f"http://{host}", "scope", "azurecr.io")
            make_transport(session).send(HttpRequest("GET", f"http://{host}{address}"))
        else:
            with RegistryClient(host, scheme="http") as client:
                client.http.send("GET", address, RequestOptions("operation"))
    assert SIGNATURE not in debug_log.getvalue()
