"""A credential helper for docker and podman: it asks the process that started the engine.

Run as a program of its own by the Python that runs az: `helper.py SOCKET get`, with a registry's
host on stdin. (docker/docker-credential-helpers, "Development": `get` answers with JSON; an error
is told on stdout with status 1.)
"""

from __future__ import annotations

import socket
import sys

PATIENCE = 60.0
"""Seconds to wait for the answer: a token may have to be fetched first."""
MISSING = "credentials not found in native keychain"
"""The words by which engines know that there is nothing, and go on without."""


def main(arguments: list[str]) -> int:
    """Answers one request; returns the exit status."""
    address, action = arguments
    if action != "get":
        # Nothing is ever stored here, so there is nothing to list or erase.
        sys.stdout.write("{}" if action == "list" else "")
        return 0
    host = sys.stdin.readline().strip()
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(address)
        connection.sendall(host.encode() + b"\n")
        answer = b"".join(iter(lambda: connection.recv(65536), b"")).decode()
    sys.stdout.write(answer or MISSING)
    return 0 if answer else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
