"""Middleware of every listener: records requests and injects faults."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable
from email.utils import formatdate

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from localazure.faults import bodies
from localazure.faults.recorder import Fault, Record, Recorder
from localazure.server import TRANSPORT

_POLL = 0.05
"""Seconds between two looks at a connection: is its client still there, has it got everything?"""
_LONGEST_FLUSH = 10
"""Seconds within which a client takes what was written to it."""


class _CutError(Exception):
    """The connection was cut by a fault: the app has to stop."""


class Recording:
    """Makes the wrapper of one app: `Recording(recorder)(app, "arm")`."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    def __call__(self, app: ASGIApp, service: str | Callable[[str], str]) -> ASGIApp:
        """Wrap `app`; `service` is its name in the log, or a function from a path to a name."""

        async def recorded(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            name = service if isinstance(service, str) else service(scope["path"])
            record = self._recorder.begin(scope, name)
            fault = self._recorder.due(record) or Fault(id=0)
            with contextlib.suppress(_CutError):
                await _Exchange(scope, record, fault, receive, send).run(app)

        return recorded


class _Exchange:
    """One request and its response, recorded and changed by a fault."""

    def __init__(
        self, scope: Scope, record: Record, fault: Fault, receive: Receive, send: Send
    ) -> None:
        self._scope = scope
        self._record = record
        self._fault = fault
        self._left = fault.truncate
        self._receive = receive
        self._send = send
        self._started = time.monotonic()

    async def run(self, app: ASGIApp) -> None:
        fault = self._fault
        await asyncio.sleep(fault.latency)
        if fault.hold:
            await self._hold()
        if fault.drip is not None:
            await self._drip(fault.drip)
        if fault.reset:
            await self._cut()
        if fault.status is not None:
            if fault.handle:
                await app(self._scope, self._count, _discard)
            else:
                await self._read_body()
            await self._answer(fault.status)
            return
        await app(self._scope, self._count, self._reply)

    async def _count(self) -> Message:
        message = await self._receive()
        self._record.sent += len(message.get("body", b""))
        return message

    async def _forward(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = list(message["headers"])
            if not any(name.lower() == b"date" for name, _ in headers):
                headers.append((b"date", formatdate(usegmt=True).encode()))
            message = {**message, "headers": headers}
            self._record.status = message["status"]
            self._record.sent = max(self._record.sent, self._announced())
        else:
            self._record.received += len(message.get("body", b""))
            self._record.seconds = time.monotonic() - self._started
        await self._send(message)

    def _announced(self) -> int:
        """The request's Content-Length: an app that answers early doesn't read the body."""
        lengths = [v for k, v in self._scope["headers"] if k == b"content-length"]
        return int(lengths[0]) if lengths else 0

    async def _read_body(self) -> None:
        while (message := await self._count()).get("more_body"):
            if message["type"] == "http.disconnect":
                raise _CutError

    async def _hold(self) -> None:
        self._record.held = True
        self._fault.held.set()
        while not self._fault.released.is_set():
            if self._scope[TRANSPORT].is_closing():
                raise _CutError
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(self._fault.released.wait(), _POLL)
        self._record.held = False

    async def _drip(self, pause: float) -> None:
        """Send header lines until the client has gone."""
        transport = self._scope[TRANSPORT]
        line = b"HTTP/1.1 200 OK\r\n"
        while not transport.is_closing():
            transport.write(line)
            # Lines of one name: http.client refuses more than 100 headers.
            line = b"x-drip: 1\r\n"
            await asyncio.sleep(pause)
        raise _CutError

    async def _cut(self) -> None:
        """Cut the TCP connection with a reset, and wait until uvicorn has noticed."""
        transport = self._scope[TRANSPORT]
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        for _ in range(5):
            await asyncio.sleep(0)
        raise _CutError

    async def _answer(self, status: int) -> None:
        fault = self._fault
        asked, pause = self._record, fault.retry_after
        if fault.body is None:
            body = bodies.usual(asked.service, asked.method, asked.path, status, pause)
        else:
            body = bodies.given(fault.body)
        content = body.content
        length = {"content-type": body.media_type, "content-length": str(len(content))}
        headers = {**body.headers, **length}
        if pause is not None:
            headers["retry-after"] = f"{pause:g}"
        headers |= {name.lower(): value for name, value in fault.headers.items()}
        raw = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self._forward({"type": "http.response.start", "status": status, "headers": raw})
        silent = self._record.method == "HEAD"
        await self._forward({"type": "http.response.body", "body": b"" if silent else content})

    async def _reply(self, message: Message) -> None:
        """Send a part of the app's response: held, cut or truncated by the fault."""
        start = message["type"] == "http.response.start"
        if start and self._fault.hold_after:
            await self._hold()
        if self._fault.reset_after:
            if not start and not message.get("more_body"):
                await self._cut()
            return
        if self._left is None or start:
            await self._forward(message)
            return
        body = message.get("body", b"")[: self._left]
        self._left -= len(body)
        await self._forward({"type": "http.response.body", "body": body, "more_body": True})
        if not self._left or not message.get("more_body"):
            await self._sent()
            await self._cut()

    async def _sent(self) -> None:
        """Wait until the client's system has all that was written: a reset discards the rest."""
        transport = self._scope[TRANSPORT]
        descriptor = transport.get_extra_info("socket").fileno()
        deadline = time.monotonic() + _LONGEST_FLUSH
        await asyncio.sleep(_POLL)
        while transport.get_write_buffer_size() or _unacknowledged(descriptor):
            if transport.is_closing() or time.monotonic() > deadline:
                return
            await asyncio.sleep(_POLL)


async def _discard(_message: Message) -> None:
    """Where the response of a request goes that is handled, and then answered by a fault."""


def _unacknowledged(descriptor: int) -> int:
    """Bytes in the send queue of a TCP socket: tcp(7), SIOCOUTQ, which is Linux's TIOCOUTQ."""
    if not sys.platform.startswith("linux"):
        return 0
    answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4))
    return int.from_bytes(answer, sys.byteorder)
