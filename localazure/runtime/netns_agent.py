"""A process inside of a container's network that creates sockets for the double, see `netns`.

Run as `netns_agent.py FD PID`: FD is a socket to the double, PID a process in the network. It needs
only the standard library.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

REQUEST = struct.Struct("ii")
"""Address family and socket type, as numbers."""
ANSWER = struct.Struct("i")
"""Error number; 0 comes with the socket's file descriptor."""
READY = b"."
PORT_START = "/proc/sys/net/ipv4/ip_unprivileged_port_start"

_CLONE_NEWUSER, _CLONE_NEWNET = 0x10000000, 0x40000000
_NS_GET_USERNS = 0xB701


def enter(pid: int) -> None:
    """Enter the network namespace of `pid`, through the user namespace that owns it."""
    libc = ctypes.CDLL(None, use_errno=True)
    network = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    owner = fcntl.ioctl(network, _NS_GET_USERNS)
    for namespace, kind in ((owner, _CLONE_NEWUSER), (network, _CLONE_NEWNET)):
        if libc.setns(namespace, kind) != 0:
            number = ctypes.get_errno()
            raise OSError(number, f"setns: {os.strerror(number)}")
        os.close(namespace)


def serve(connection: socket.socket) -> None:
    """Create a socket for every request, until the double closes the connection."""
    while request := connection.recv(REQUEST.size):
        family, kind = REQUEST.unpack(request)
        try:
            made = socket.socket(family, kind)
        except OSError as error:
            connection.send(ANSWER.pack(error.errno or 0))
            continue
        with made:
            socket.send_fds(connection, [ANSWER.pack(0)], [made.fileno()])


if __name__ == "__main__":
    double = socket.socket(fileno=int(sys.argv[1]))
    enter(int(sys.argv[2]))
    Path(PORT_START).write_text("0")
    double.send(READY)
    serve(double)
