"""A proxy (CONNECT) to the listeners of this machine, whatever name of `localhost` is asked for.

Names below `localhost` mean the loopback interface (RFC 6761, 6.3), but few resolvers know them.
"""

from __future__ import annotations

import asyncio
import contextlib

from localazure.server import Bound

_CHUNK = 1 << 16
_HEAD_LIMIT = 1 << 16


class LoopbackProxy:
    """Forwards each CONNECT for a name of `localhost` to the same port of 127.0.0.1."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, bound: Bound) -> int:
        """Listen on the bound sockets; returns their port."""
        for socket in bound.sockets:
            server = await asyncio.start_server(self._serve, sock=socket, limit=_HEAD_LIMIT)
            self._servers.append(server)
        return bound.port

    async def close(self) -> None:
        """Close the listeners and all connections."""
        for server in self._servers:
            server.close()
        tasks = set(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            ended = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError)
            with contextlib.suppress(*ended):
                await _tunnel(reader, writer)
        finally:
            writer.close()


async def _tunnel(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    method, _, rest = head.partition(" ")
    host, _, port = rest.partition(" ")[0].rpartition(":")
    local = host == "localhost" or host.endswith(".localhost") or host == "127.0.0.1"
    if method != "CONNECT" or not local or not port.isdigit():
        writer.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()
        return
    far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(port))
    try:
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
    finally:
        far_writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(_CHUNK):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
