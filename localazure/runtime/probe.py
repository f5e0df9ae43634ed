"""The warm-up probe: HTTP requests to a new container until it answers one."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Mapping, Sequence

from localazure.runtime.container import Container

DEFAULT_PATH = "/robots933456.txt"
"""App Service's default: a path that no app has, as any response counts."""
_INTERVAL = 0.1
_STATUS_LINE = re.compile(rb"HTTP/1\.[01] (\d{3})")


async def first_port(
    container: Container, ports: Sequence[int], settings: Mapping[str, str]
) -> int:
    """The first of `ports` on which the container answers a request. It has no time limit.

    Any response counts, unless WEBSITE_WARMUP_STATUSES lists the accepted ones.
    """
    path = settings.get("WEBSITE_WARMUP_PATH") or DEFAULT_PATH
    wanted = re.findall(r"\d{3}", settings.get("WEBSITE_WARMUP_STATUSES", ""))
    probes = [asyncio.create_task(_until_answered(container, p, path, wanted)) for p in ports]
    try:
        done, _ = await asyncio.wait(probes, return_when=asyncio.FIRST_COMPLETED)
        return done.pop().result()
    finally:
        for probe in probes:
            probe.cancel()
        await asyncio.wait(probes)


async def _until_answered(container: Container, port: int, path: str, wanted: Sequence[str]) -> int:
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            status = await _ask(container, port, path)
            if status and (not wanted or status in wanted):
                return port
        await asyncio.sleep(_INTERVAL)


async def _ask(container: Container, port: int, path: str) -> str | None:
    """The status of the response; None if it isn't HTTP."""
    reader, writer = await container.connect(port)
    try:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode())
        answer = await reader.readexactly(len("HTTP/1.1 200"))
        match = _STATUS_LINE.match(answer)
        return match[1].decode() if match else None
    finally:
        writer.close()
