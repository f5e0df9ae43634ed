"""A time limit for a request as a whole: its connection is shut down when the time is up.

A read timeout alone never ends a request whose answer comes byte by byte: http.client reads the
headers line by line, and the timeout begins anew with each byte.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from requests.adapters import HTTPAdapter

from azext_otelembed.deadline import Deadline

_IDLE = 60.0
"""Seconds after which the thread of a guard checks again whether there is a limit."""
_AGAIN = 0.2
"""Seconds until a connection that was opened after the end is shut down."""


class ConnectionGuard:
    """Shuts a connection down when the time allowed, or the command's, is up.

    `expired` is then True: what was read until then may look complete. The guard holds the socket
    itself, whose descriptor can't be duplicated on Windows.
    """

    def __init__(self, deadline: Deadline | None = None) -> None:
        self.expired = False
        self._deadline = deadline
        self._end: float | None = None
        self._wakes = 0.0
        self._socket: Any = None
        self._active: object = None
        self._changed = threading.Condition()

    @property
    def is_limited(self) -> bool:
        """Whether a time is allowed at present."""
        return self._end is not None

    def watch(self, connection: Any) -> None:
        """Guards this socket from now on."""
        self._socket = connection

    def allow(self, seconds: float) -> None:
        """Allows `seconds` from now, but no more than the command has."""
        if self._deadline is not None:
            seconds = min(seconds, self._deadline.remaining)
        with self._changed:
            self._end = time.monotonic() + seconds
            if self._active is None:
                self._active = object()
                thread = threading.Thread(
                    target=self._run, args=(self._active,), name="otelembed-guard", daemon=True
                )
                thread.start()
            elif self._end < self._wakes:
                self._changed.notify_all()

    def pause(self) -> None:
        """Sets no limit until the next `allow`."""
        self._end = None

    def close(self) -> None:
        """Ends the guard's thread; the next `allow` starts another."""
        with self._changed:
            self._end = self._active = None
            self._changed.notify_all()

    def check(self, missing: str) -> None:
        """Raises `DeadlineExceeded` if the command's time is up; `missing` as in `Deadline`."""
        if self._deadline is not None:
            self._deadline.check(missing)

    @contextmanager
    def sending(self, seconds: float) -> Iterator[None]:
        """The connections that this thread uses inside the block are guarded."""
        before, _THREAD.guard = _THREAD.guard, self
        self.allow(seconds)
        try:
            yield
        finally:
            _THREAD.guard = before
            self.close()

    def _run(self, active: object) -> None:
        with self._changed:
            while self._active is active:
                now = time.monotonic()
                end = self._end
                wait = _IDLE if end is None else min(end - now, _IDLE)
                if wait <= 0:
                    self.expired = True
                    _shut_down(self._socket)
                    wait = _AGAIN
                self._wakes = now + wait
                self._changed.wait(wait)


class _Thread(threading.local):
    guard: ConnectionGuard | None = None


_THREAD = _Thread()


def _shut_down(connection: Any) -> None:
    """Interrupts the thread that reads from or writes to a socket, as close() does not."""
    while connection is not None and not isinstance(connection, socket.socket):
        connection = getattr(connection, "socket", None)  # TLS inside of TLS, through a proxy
    if connection is not None:
        # A TLS socket's own method would drop its TLS state under the thread that uses it.
        with suppress(OSError, ValueError):
            socket.socket.shutdown(connection, socket.SHUT_RDWR)


class _GuardedConnection:
    """What is added to a connection of urllib3: its thread's guard watches the sockets in use.

    During a TLS handshake that can't be: the limit is the connection's timeout, which Python
    applies to the handshake as a whole.
    """

    _socket: Any = None

    @property
    def sock(self) -> Any:
        """The socket: first the plain one, then that with TLS."""
        return self._socket

    @sock.setter
    def sock(self, connection: Any) -> None:
        self._socket = connection
        if connection is not None and _THREAD.guard is not None:
            _THREAD.guard.watch(connection)

    def putrequest(self, *arguments: Any, **options: Any) -> Any:
        """Begins a request, perhaps on a connection that is open already."""
        self.sock = self._socket
        parent: Any = super()
        return parent.putrequest(*arguments, **options)


@cache
def _guarded(pool: Any) -> Any:
    """The class of pools like `pool`, with guarded connections."""
    connection = type(pool.ConnectionCls.__name__, (_GuardedConnection, pool.ConnectionCls), {})
    return type(pool.__name__, (pool,), {"ConnectionCls": connection})


def _guarded_pools(manager: Any) -> dict[str, Any]:
    return {scheme: _guarded(pool) for scheme, pool in manager.pool_classes_by_scheme.items()}


class GuardedAdapter(HTTPAdapter):
    """Connections, direct ones and those through a proxy, that a `ConnectionGuard` can watch."""

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """Creates the pools of direct connections."""
        super().init_poolmanager(*arguments, **options)
        self.poolmanager.pool_classes_by_scheme = _guarded_pools(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **options: Any) -> Any:
        """The pools of connections through a proxy."""
        known = proxy in self.proxy_manager
        manager = super().proxy_manager_for(proxy, **options)
        if not known:
            manager.pool_classes_by_scheme = _guarded_pools(manager)
        return manager
