"""A credential helper for docker and podman: it asks the process that started the engine.

A program that runs with az's Python: `helper.py SOCKET get`, with a registry's host on stdin.
(docker/docker-credential-helpers, "Development": `get` responds with JSON; an error is written to
stdout, with status 1.)
"""

from __future__ import annotations

import socket
import sys

TIMEOUT = 60.0
"""Seconds to wait for the response: a token may have to be requested first."""
MISSING = "credentials not found in native keychain"
"""The message that lets engines continue without credentials."""


def main(arguments: list[str]) -> int:
    """Answers one request; returns the exit status."""
    address, action = arguments
    if action != "get":
        # This helper stores nothing, so there is nothing to list or erase.
        sys.stdout.write("{}" if action == "list" else "")
        return 0
    host = sys.stdin.readline().strip()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(TIMEOUT)
        connection.connect(address)
        connection.sendall(host.encode() + b"\n")
        response = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    sys.stdout.write(response or MISSING)
    return 0 if response else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
