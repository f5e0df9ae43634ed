"""Reverse proxy: forwards one request to a container and its response back, both as streams."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterable

import h11
from starlette.types import Receive, Scope, Send

from localazure.runtime.context import FRONT_END_TIMEOUT
from localazure.runtime.worker import Serving

_CHUNK = 1 << 16
_HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"upgrade", b"transfer-encoding"}
)
_FORWARDED = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-arr-log-id", b"client-ip"})


class NoAnswerError(Exception):
    """The container closed the connection before its response began."""


class UnreachableError(Exception):
    """Nothing listens in the container. Nothing was sent, so a retry is safe."""


class TooSlowError(Exception):
    """The container's response did not begin in time."""


class AnswerCutError(Exception):
    """The container's response is incomplete: only a cut connection can show that."""


async def forward(serving: Serving, scope: Scope, receive: Receive, send: Send) -> None:
    """Forward one HTTP request; raises an error of this module without a complete response."""
    try:
        reader, writer = await serving.container.connect(serving.port)
    except OSError as error:
        raise UnreachableError(str(error)) from error
    exchange = _Exchange(reader, writer, send)
    sending = asyncio.create_task(exchange.send_request(scope, receive))
    try:
        await exchange.relay_answer()
    finally:
        sending.cancel()
        await asyncio.wait({sending})
        writer.close()


class _Exchange:
    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, send: Send
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._send = send
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
        self._begun = False

    async def send_request(self, scope: Scope, receive: Receive) -> None:
        """Write the request; if the client disconnects, close the container's connection."""
        try:
            await self._carry(scope, receive)
        except (h11.LocalProtocolError, OSError):
            self._writer.close()

    async def _carry(self, scope: Scope, receive: Receive) -> None:
        await self._write(_request(scope))
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                self._writer.close()
                return
            if data := message.get("body", b""):
                await self._write(h11.Data(data=data))
            more = message.get("more_body", False)
        await self._write(h11.EndOfMessage())
        await receive()  # returns when the client has disconnected
        self._writer.close()

    async def _write(self, event: h11.Event) -> None:
        if data := self._http.send(event):
            self._writer.write(data)
            await self._writer.drain()

    async def relay_answer(self) -> None:
        """Read the response and forward it, chunk by chunk."""
        try:
            while not isinstance(event := await self._next(), h11.EndOfMessage):
                if isinstance(event, h11.Response):
                    self._begun = True
                    headers = _answer_headers(event.headers)
                    start = {"type": "http.response.start", "headers": headers}
                    await self._send({**start, "status": event.status_code})
                elif isinstance(event, h11.Data):
                    body = {"type": "http.response.body", "body": bytes(event.data)}
                    await self._send({**body, "more_body": True})
        except asyncio.TimeoutError as error:
            slow = AnswerCutError if self._begun else TooSlowError
            raise slow(f"nothing came for {FRONT_END_TIMEOUT:g} seconds") from error
        except (h11.RemoteProtocolError, OSError) as error:
            failure = AnswerCutError if self._begun else NoAnswerError
            raise failure(str(error)) from error
        await self._send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _next(self) -> h11.Event:
        while True:
            event = self._http.next_event()
            if event is not h11.NEED_DATA:
                if not isinstance(event, h11.Event):
                    raise ConnectionResetError("the container broke the connection off")
                return event
            reading = self._reader.read(_CHUNK)
            self._http.receive_data(await asyncio.wait_for(reading, FRONT_END_TIMEOUT))


def _request(scope: Scope) -> h11.Request:
    headers = [(n, v) for n, v in scope["headers"] if n not in _HOP_BY_HOP | _FORWARDED]
    if any(name == b"transfer-encoding" for name, _ in scope["headers"]):
        headers.append((b"transfer-encoding", b"chunked"))
    host, port = scope.get("client") or ("127.0.0.1", 0)
    before = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
    forwarded = b", ".join([*before, f"{host}:{port}".encode()])
    headers += [
        (b"connection", b"close"),
        (b"x-forwarded-for", forwarded),
        (b"x-forwarded-proto", scope["scheme"].encode()),
        (b"x-arr-log-id", str(uuid.uuid4()).encode()),
        (b"client-ip", f"{host}:{port}".encode()),
    ]
    target = scope["raw_path"] or b"/"
    if scope["query_string"]:
        target += b"?" + scope["query_string"]
    return h11.Request(method=scope["method"], target=target, headers=headers)


def _answer_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name, value) for name, value in headers if name not in _HOP_BY_HOP]
