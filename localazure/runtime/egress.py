"""Port forwarding from a container's localhost to this machine's localhost."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from collections.abc import Iterable

from localazure.runtime import netns
from localazure.runtime.netns import Network

_CHUNK = 1 << 16


class Egress:
    """Listeners inside of a network namespace, each forwarding to the same port outside."""

    def __init__(self) -> None:
        self._servers: list[asyncio.Server] = []
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, network: Network, ports: Iterable[int]) -> None:
        """Listen on 127.0.0.1 and, where the network has it, ::1. Its loopback must be up."""
        for port in ports:
            await self._listen(network, socket.AF_INET, "127.0.0.1", port)
            with contextlib.suppress(OSError):
                await self._listen(network, socket.AF_INET6, "::1", port)

    async def _listen(
        self, network: Network, family: socket.AddressFamily, host: str, port: int
    ) -> None:
        listener = netns.tcp(network, family)
        try:
            if family == socket.AF_INET6:
                listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            listener.bind((host, port))
        except OSError:
            listener.close()
            raise

        async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._forward(reader, writer, port)

        self._servers.append(await asyncio.start_server(forward, sock=listener))

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int
    ) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            far_writer.close()
            writer.close()

    def close(self) -> None:
        """Stop listening, and cut the open connections."""
        for server in self._servers:
            server.close()
        for task in list(self._tasks):
            task.cancel()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy until the end of the input, then shut down the output's write side."""
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    try:
        if writer.can_write_eof():
            writer.write_eof()
    except OSError as error:
        if error.errno not in (errno.ENOTCONN, errno.EPIPE, errno.ECONNRESET):
            raise
