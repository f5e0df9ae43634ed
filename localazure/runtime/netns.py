"""Sockets inside of a container's network namespace.

A socket belongs to the namespace of the thread that creates it. As root, a thread enters the
namespace, creates the socket and returns: some ten microseconds. Without root, a namespace is
entered through its user namespace, which only a process with a single thread may do: so a separate
process (`netns_agent`) creates the sockets and passes their file descriptors.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from localazure.runtime import netns_agent

ADDRESS = "169.254.130.2"
"""A container's address for the front end. As on App Service, it doesn't reach a program that only
listens on 127.0.0.1."""

_CLONE_NEWNET = 0x40000000
_SIOCGIFFLAGS, _IFF_UP = 0x8913, 0x1
_SIOCSIFADDR, _SIOCSIFNETMASK = 0x8916, 0x891C
_libc = ctypes.CDLL(None, use_errno=True)


class Network(Protocol):
    """A container's network."""

    def socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        """A new socket in it; OSError as for any socket."""

    def close(self) -> None:
        """Release it; existing sockets stay usable."""


def join(pid: int, *, root: bool) -> Network:
    """The network of process `pid`; every user there may listen on every port, as in Docker.

    Slow without root: it starts a process.
    """
    return _Direct(pid) if root else _Agent(pid)


def tcp(network: Network, family: socket.AddressFamily = socket.AF_INET) -> socket.socket:
    """A TCP socket that doesn't block."""
    made = network.socket(family, socket.SOCK_STREAM)
    made.setblocking(False)
    return made


def is_up(network: Network) -> bool:
    """Whether its loopback interface is up (bubblewrap gives it its address just before)."""
    with network.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        answer = fcntl.ioctl(control, _SIOCGIFFLAGS, struct.pack("16s16x", b"lo"))
        (flags,) = struct.unpack_from("h", answer, 16)
        return bool(flags & _IFF_UP)


def add_address(network: Network) -> None:
    """Give it `ADDRESS`."""
    with network.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for request, address in ((_SIOCSIFADDR, ADDRESS), (_SIOCSIFNETMASK, "255.255.255.255")):
            packed = struct.pack("16sHH4s8x", b"lo:1", socket.AF_INET, 0, socket.inet_aton(address))
            fcntl.ioctl(control, request, packed)


class _Direct:
    def __init__(self, pid: int) -> None:
        self._namespace = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        with self._inside():
            Path(netns_agent.PORT_START).write_text("0")

    def socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        with self._inside():
            return socket.socket(family, kind)

    def close(self) -> None:
        os.close(self._namespace)

    @contextlib.contextmanager
    def _inside(self) -> Iterator[None]:
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(self._namespace)
            try:
                yield
            finally:
                _setns(home)
        finally:
            os.close(home)


def _setns(namespace: int) -> None:
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


class _Agent:
    def __init__(self, pid: int) -> None:
        self._socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", netns_agent.__file__, str(theirs.fileno()), str(pid)],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        if self._socket.recv(1) != netns_agent.READY:
            _, complaint = self._process.communicate()
            self._socket.close()
            reason = complaint.decode(errors="replace").strip().rpartition("\n")[2]
            raise OSError(f"its network can't be entered: {reason}")

    def socket(self, family: socket.AddressFamily, kind: socket.SocketKind) -> socket.socket:
        self._socket.send(netns_agent.REQUEST.pack(family, kind))
        data, fds, _, _ = socket.recv_fds(self._socket, netns_agent.ANSWER.size, 1)
        if not fds:
            (number,) = netns_agent.ANSWER.unpack(data or netns_agent.ANSWER.pack(0))
            raise OSError(number, f"no socket: {os.strerror(number)}")
        return socket.socket(family, kind, fileno=fds[0])

    def close(self) -> None:
        self._socket.close()
        if self._process.stderr is not None:
            self._process.stderr.close()
        self._process.wait()
