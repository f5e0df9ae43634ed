"""Requests to servers that send a byte now and then, which every read timeout accepts."""

from __future__ import annotations

import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from itertools import count, pairwise

import pytest
import trustme

from azext_otelembed.azure import arm
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import Session
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import AzureFailed, DeadlineExceeded, RegistryFailed
from azext_otelembed.http_session import PlainSession
from azext_otelembed.image.reference import Digest
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.policies import RetryOptions
from azext_otelembed.verification import site_answer
from tests.release.support import Fixed
from tests.selection import rest_is_thorough

TICK = 0.05
IMPATIENT = RetryOptions(attempts=1, connect_timeout=0.3, read_timeout=0.3, max_total=0.6)
BOUND = 5.0
"""Seconds that each of them may take, on a busy machine; 0.6 on an idle one."""
LONGEST = 12.0
"""Seconds after which a server ends, for code that would wait for ever."""

OK = b"HTTP/1.1 200 OK\r\n"
RETRY_AFTER = (b"0", b"0.001", b"-5", b"Wed, 21 Oct 2015 07:28:00 GMT", b"soon")
TEXT = OK + b"Content-Type: text/plain\r\n"
Answer = Callable[[], Iterator[bytes]]


def status_line() -> Iterator[bytes]:
    yield b"HTTP/1.1 "
    while True:
        yield b"2"


def header_lines() -> Iterator[bytes]:
    yield OK
    for number in range(10_000):
        yield b"X-%d: 1\r\n" % (number % 50)


def one_header_line() -> Iterator[bytes]:
    yield OK + b"X-Long: "
    while True:
        yield b"x"


def continues() -> Iterator[bytes]:
    while True:
        yield b"HTTP/1.1 100 Continue\r\n\r\n"


def body() -> Iterator[bytes]:
    yield TEXT + b"Content-Length: 100000\r\n\r\n"
    while True:
        yield b"x"


def body_of_a_closed_connection() -> Iterator[bytes]:
    yield TEXT + b"Connection: close\r\n\r\n"
    while True:
        yield b"x"


def chunks() -> Iterator[bytes]:
    yield TEXT + b"Transfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1\r\nx\r\n"


def chunk_size() -> Iterator[bytes]:
    yield TEXT + b"Transfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"0"


def trailers() -> Iterator[bytes]:
    yield TEXT + b"Transfer-Encoding: chunked\r\n\r\n0\r\n"
    while True:
        yield b"X-Trailer: 1\r\n"


def nothing() -> Iterator[bytes]:
    while True:
        yield b""


def handshake() -> Iterator[bytes]:
    """A TLS record of 16 KiB that comes byte by byte."""
    yield b"\x16\x03\x03\x40\x00"
    while True:
        yield b"\x02"


HEADERS = (status_line, header_lines, one_header_line, continues, nothing)
BODIES = (body, body_of_a_closed_connection, chunks, chunk_size, trailers)


@dataclass(frozen=True)
class Tls:
    """A server's side of TLS, and the file that its clients trust."""

    context: ssl.SSLContext
    trusted: str


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Tls:
    """For 127.0.0.1."""
    ca = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    ca.issue_cert("127.0.0.1").configure_cert(context)
    path = tmp_path_factory.mktemp("tls") / "ca.pem"
    ca.cert_pem.write_to_path(str(path))
    return Tls(context, str(path))


@pytest.fixture(autouse=True)
def _as_on_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket's descriptor can't be duplicated there."""

    def refused(_descriptor: int) -> int:
        raise OSError(9, "Bad file descriptor")

    monkeypatch.setattr(os, "dup", refused)


@contextmanager
def dripping(answer: Answer, context: ssl.SSLContext | None = None) -> Iterator[str]:
    """A server that sends these pieces, one a tick, on each connection; its `host:port`."""
    stop = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    began = time.monotonic()

    def talk(connection: socket.socket) -> None:
        with suppress(OSError), connection:
            plain = connection
            if context is not None:
                plain = context.wrap_socket(connection, server_side=True)
            plain.recv(1 << 16)  # a connection that is closed with unread bytes is reset
            for piece in answer():
                if stop.wait(TICK) or time.monotonic() - began > LONGEST:
                    return
                plain.sendall(piece)

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=talk, args=(connection,), daemon=True).start()

    threading.Thread(target=serve, daemon=True).start()
    try:
        yield f"127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        with suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@contextmanager
def soon(bound: float = BOUND) -> Iterator[None]:
    began = time.monotonic()
    yield
    assert time.monotonic() - began < bound


@pytest.mark.parametrize("answer", [*HEADERS, *BODIES])
def test_an_answer_of_a_registry_has_to_be_complete_in_time(
    answer: Answer,
) -> None:
    with dripping(answer) as host, soon(), pytest.raises(RegistryFailed):
        RegistryClient(host, scheme="http", retry=IMPATIENT).get_manifest("r", "1")


@pytest.mark.parametrize("answer", [body, body_of_a_closed_connection, chunk_size, trailers])
def test_each_chunk_of_a_layer_has_to_come_in_time(
    answer: Answer,
) -> None:
    with dripping(answer) as host, soon(), pytest.raises(RegistryFailed):
        list(RegistryClient(host, scheme="http", retry=IMPATIENT).stream_blob("r", Digest.of(b"")))


def test_a_body_that_the_server_does_not_read_is_given_up() -> None:
    with dripping(nothing) as host, soon():
        client = RegistryClient(host, scheme="http", retry=IMPATIENT)
        with pytest.raises(RegistryFailed):
            client.put_manifest("r", "1", bytes(32 << 20), "text/plain")


@pytest.mark.parametrize("answer", [nothing, handshake])
def test_a_handshake_has_to_be_complete_in_time(answer: Answer) -> None:
    with dripping(answer) as host, soon(), pytest.raises(RegistryFailed):
        RegistryClient(host, retry=IMPATIENT).get_manifest("r", "1")


@pytest.mark.parametrize("answer", [header_lines, body, chunk_size])
def test_with_tls_an_answer_has_to_be_complete_in_time(answer: Answer, tls: Tls) -> None:
    with dripping(answer, tls.context) as host, soon():
        trust = {"connection_verify": tls.trusted}
        client = RegistryClient(host, retry=IMPATIENT, transport=trust)
        with pytest.raises(RegistryFailed, match=r"timed out|took longer"):
            client.get_manifest("r", "1")


def test_a_proxy_has_to_connect_in_time() -> None:
    with dripping(header_lines) as host, soon():
        through = PlainSession()
        through.proxies = {"https": f"http://{host}"}
        transport = {"session": through, "session_owner": False}
        client = RegistryClient("registry.example", retry=IMPATIENT, transport=transport)
        with pytest.raises(RegistryFailed):
            client.get_manifest("r", "1")


@pytest.mark.parametrize("answer", [*HEADERS, *BODIES])
def test_a_request_to_azure_ends_with_the_command(answer: Answer, tls: Tls) -> None:
    with dripping(answer, tls.context) as host, soon():
        asked = Arm(session_for(host, tls))
        ended = "1 s of --timeout ended before (127.0.0.1|the whole)"
        with pytest.raises(DeadlineExceeded, match=ended):
            asked.get("The site", "/sites/shop", "1")


def test_a_layer_ends_with_the_command() -> None:
    with dripping(chunks) as host, soon():
        client = RegistryClient(host, scheme="http", deadline=Deadline(0.6))
        with pytest.raises(DeadlineExceeded):
            list(client.stream_blob("r", Digest.of(b"")))


@pytest.mark.parametrize("answer", HEADERS)
def test_a_request_to_the_site_has_an_end(
    answer: Answer, tls: Tls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(site_answer, "LONGEST_PING", 0.6)
    with dripping(answer, tls.context) as host, soon():
        session = replace(session_for(host, tls), deadline=Deadline(60))
        answered = site_answer.ping(session, host, "/", 1)
        assert answered.status is None
        assert answered.problem == "no answer in 1 s"
        assert not answered.unreachable


def test_a_sign_in_that_hangs_ends_with_the_command(tls: Tls) -> None:
    class Hanging:
        def get_token(self, *_scopes: str, **_options: object) -> object:
            time.sleep(LONGEST)
            raise AssertionError

    session = replace(session_for("127.0.0.1:9", tls), credential=Hanging())  # type: ignore[arg-type]
    with soon(), pytest.raises(DeadlineExceeded, match="before the sign-in gave a token"):
        Arm(session).get("The site", "/sites/shop", "1")


def test_a_server_that_fails_and_asks_for_time_ends_with_the_command(tls: Tls) -> None:
    def failing() -> Iterator[bytes]:
        yield b"HTTP/1.1 503 No\r\nRetry-After: 2\r\nContent-Length: 0\r\n\r\n"

    with dripping(failing, tls.context) as host, soon(), pytest.raises(AzureFailed, match="503"):
        Arm(session_for(host, tls)).get("The site", "/sites/shop", "1")


@pytest.mark.parametrize("asked", rest_is_thorough(RETRY_AFTER, (b"0", b"soon").__contains__))
def test_an_operation_that_never_ends_is_polled_once_a_second(asked: bytes, tls: Tls) -> None:
    polls: list[float] = []

    def accepted() -> Iterator[bytes]:
        polls.append(time.monotonic())
        yield b"HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 0\r\n"
        yield b"Retry-After: " + asked + b"\r\nLocation: /operations/1\r\n\r\n"

    with dripping(accepted, tls.context) as host, soon():
        session = replace(session_for(host, tls), deadline=Deadline(2.3))
        with pytest.raises(DeadlineExceeded):
            list(Arm(session).start("The import", "/importImage", "1", {}))
    pauses = [later - earlier for earlier, later in pairwise(polls)]
    assert len(pauses) >= 1
    assert min(pauses) >= 1


def test_a_list_without_an_end_is_refused(tls: Tls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arm, "MAX_PAGES", 3)
    asked = count()

    def page() -> Iterator[bytes]:
        link = f"https://{host}/sites?page={next(asked)}"
        text = json.dumps({"value": [{"name": "shop"}], "nextLink": link}).encode()
        kind = b"Content-Type: application/json\r\nConnection: close\r\n"
        yield OK + kind + b"Content-Length: %d\r\n\r\n" % len(text) + text

    with dripping(page, tls.context) as host, soon():
        session = replace(session_for(host, tls), deadline=Deadline(60))
        with pytest.raises(AzureFailed, match="more than 3 pages"):
            Arm(session).get_all("Sites", "/sites", "1")
    assert next(asked) == 3


def session_for(host: str, tls: Tls) -> Session:
    """A session of 0.6 s, with Azure Resource Manager at `host`."""
    return Session(
        credential=Fixed("t"),  # type: ignore[arg-type]  # all that is used
        subscription="s",
        tenant="t",
        arm_endpoint=f"https://{host}",
        arm_scope="scope",
        acr_suffix="azurecr.io",
        transport={"connection_verify": tls.trusted},
        deadline=Deadline(0.6),
    )
