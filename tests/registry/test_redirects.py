"""Who gets what when a registry, or whoever gives its tokens, sends the client elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from azext_otelembed.registry.auth import Basic
from azext_otelembed.registry.client import RegistryClient

Reply = tuple[int, Mapping[str, str], bytes]


@contextmanager
def serving(reply: Callable[[str], Reply], seen: list[str | None]) -> Iterator[str]:
    """A server that notes each Authorization header; yields its host."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.headers.get("Authorization"))
            status, headers, body = reply(self.path)
            self.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_a_password_does_not_follow_a_redirect_to_another_host() -> None:
    registry: list[str | None] = []
    stranger: list[str | None] = []
    with ExitStack() as stack:
        token = (200, {"Content-Type": "application/json"}, b'{"token":"t"}')
        other = stack.enter_context(serving(lambda _: token, stranger))

        def reply(path: str) -> Reply:
            if path.startswith("/token"):
                return 307, {"Location": f"http://{other}{path}"}, b""
            if registry[-1] == "Bearer t":
                return 404, {}, b""
            realm = f'Bearer realm="http://{hosts[0]}/token",service="s"'
            return 401, {"WWW-Authenticate": realm}, b""

        hosts: list[str] = []
        hosts.append(stack.enter_context(serving(reply, registry)))
        with RegistryClient(hosts[0], Basic("someone", "hunter2"), scheme="http") as client:
            assert client.head_manifest("a", "1") is None
    assert any(one and one.startswith("Basic ") for one in registry), "the registry's own got it"
    assert stranger == [None]
