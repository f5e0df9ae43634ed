"""An ingestion endpoint that accepts, refuses or hangs, and counts. It reads no envelopes."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

ACCEPTED = b'{"itemsReceived":1,"itemsAccepted":1,"errors":[]}'


class IngestionEndpoint:
    """A server on localhost. `mode` can be changed while it runs.

    "ok"; "500"; "429" (with Retry-After in seconds, which the exporter ignores) or "429 date";
    "hang" (no answer); "refused" (no listener).
    """

    def __init__(self, mode: str = "ok") -> None:
        self.requests = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._mode = "refused"
        self.port = 0
        self._first = mode

    def __enter__(self) -> IngestionEndpoint:
        self._thread.start()
        self.mode = "ok"
        self.mode = self._first
        return self

    def __exit__(self, *_: object) -> None:
        self.mode = "refused"
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def address(self) -> str:
        return f"http://localhost:{self.port}/"

    @property
    def mode(self) -> str:
        return self._mode

    @mode.setter
    def mode(self, mode: str) -> None:
        asyncio.run_coroutine_threadsafe(self._change(mode), self._loop).result(10)

    async def _change(self, mode: str) -> None:
        self._mode = mode
        if mode == "refused" and self._server:
            self._server.close()
            self._server = None
        elif mode != "refused" and self._server is None:
            self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
            self.port = self._server.sockets[0].getsockname()[1]
        for writer in self._writers:
            writer.close()

    async def _end(self) -> None:
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                await reader.readexactly(int(head.partition("content-length: ")[2].split()[0]))
                self.requests += 1
                if self._mode == "hang":
                    await reader.read()  # until the exporter closes the connection
                    break
                writer.write(self._answer())
                await writer.drain()
        self._writers.discard(writer)
        writer.close()

    def _answer(self) -> bytes:
        status, _, form = self._mode.partition(" ")
        headers = ""
        if status == "429":
            later = format_datetime(datetime.now(timezone.utc) + timedelta(seconds=10), usegmt=True)
            headers = f"Retry-After: {later if form else 10}\r\n"
        body = ACCEPTED if status == "ok" else b"{}"
        status = "200" if status == "ok" else status
        return (
            f"HTTP/1.1 {status} x\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body
        )
