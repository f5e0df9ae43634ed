"""Listeners: each service of the double has its own port; all run in one event loop."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

TRANSPORT = "localazure.transport"
"""Key of the connection's transport in each ASGI scope: `faults` cuts connections with it."""


Service = str | Callable[[str], str]
"""A service's name, or a function from a path to a name."""
Wrapper = Callable[[ASGIApp, Service], ASGIApp]
"""Makes the middleware of each listener (`faults.middleware.Recording`)."""


@dataclass(frozen=True, slots=True)
class Bound:
    """Bound sockets without an app: so the port is known before the app is made."""

    port: int
    sockets: list[socket.socket]

    @property
    def host(self) -> str:
        """`localhost:PORT`."""
        return f"localhost:{self.port}"


class _Connection(H11Protocol):
    """uvicorn's HTTP/1.1 protocol, which adds the connection's transport to each scope."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        app: Any = self.app

        async def connected(scope: Any, receive: Any, send: Any) -> None:
            scope[TRANSPORT] = transport
            await app(scope, receive, send)

        self.app = connected
        super().connection_made(transport)


class _Server(uvicorn.Server):
    """uvicorn's server without its signal handlers and its ten ticks a second."""

    async def begin(self, sockets: list[socket.socket], context: ssl.SSLContext | None) -> None:
        self.config.load()
        self.config.ssl = context
        self.lifespan = self.config.lifespan_class(self.config)
        await self.startup(sockets=sockets)


class Listeners:
    """The double's listening ports, on 127.0.0.1 and, if the machine has IPv6, on ::1.

    Both, since `localhost` may resolve to either first and a refused connection delays clients.
    """

    def __init__(self, context: ssl.SSLContext, wrap: Wrapper) -> None:
        self._context = context
        self._wrap = wrap
        self._servers: list[tuple[_Server, list[socket.socket]]] = []

    def bind(self) -> Bound:
        """Bind a free port."""
        for _ in range(50):
            four = socket.socket(socket.AF_INET)
            four.bind(("127.0.0.1", 0))
            port: int = four.getsockname()[1]
            try:
                return Bound(port, [four, *_six(port)])
            except OSError as error:
                four.close()
                if error.errno != errno.EADDRINUSE:
                    raise
        raise OSError(errno.EADDRINUSE, "No port is free on both 127.0.0.1 and ::1.")

    async def listen(
        self,
        app: ASGIApp,
        *,
        service: Service,
        tls: bool = True,
        bound: Bound | None = None,
        recorded: bool = True,
    ) -> int:
        """Serve `app`, on `bound` or on a free port; returns the port."""
        bound = bound or self.bind()
        config = uvicorn.Config(
            self._wrap(app, service) if recorded else app,
            http=_Connection,
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="error",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=120,
            timeout_graceful_shutdown=1,
        )
        server = _Server(config)
        await server.begin(bound.sockets, self._context if tls else None)
        self._servers.append((server, bound.sockets))
        return bound.port

    async def close(self) -> None:
        """Close every listener; open requests have one second to end."""
        servers, self._servers = self._servers, []
        await asyncio.gather(*(server.shutdown(sockets) for server, sockets in servers))


def _six(port: int) -> list[socket.socket]:
    """A socket on ::1 with the same port; none where the machine has no IPv6."""
    try:
        six = socket.socket(socket.AF_INET6)
    except OSError:
        return []
    try:
        six.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        six.bind(("::1", port))
    except OSError as error:
        six.close()
        if error.errno == errno.EADDRINUSE:
            raise
        return []
    return [six]
