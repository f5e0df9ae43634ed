"""Client of a Docker engine behind a Unix socket: build and push.

It uses the HTTP API (https://docs.docker.com/reference/api/engine/) with the classic builder, as
ACR Tasks does: so the log of a run has the same form.
"""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx

_CHUNK = 1 << 20


class EngineError(Exception):
    """An error that the engine reported."""


class Engine:
    """`logins` are user and password by registry host; `write` gets the text for the log."""

    def __init__(
        self, socket: Path, logins: Mapping[str, tuple[str, str]], write: Callable[[str], None]
    ) -> None:
        self._socket = socket
        self._logins = {
            host: {"username": user, "password": password, "serveraddress": host}
            for host, (user, password) in logins.items()
        }
        self._write = write

    async def build(self, archive: Path, names: list[str], request: Mapping[str, Any]) -> None:
        """Build an archive, gzipped or not, with the options of a DockerBuildRequest."""
        arguments = {one["name"]: one.get("value") for one in request.get("arguments") or ()}
        platform = request.get("platform") or {}
        query: dict[str, Any] = {
            "t": names,
            "dockerfile": request.get("dockerFilePath") or "Dockerfile",
            "buildargs": json.dumps(arguments),
            "platform": f"{platform.get('os', 'linux')}/{platform.get('architecture', 'amd64')}",
            # The engines of tests have no bridge network.
            "networkmode": "host",
            "forcerm": "true",
        }
        if request.get("target"):
            query["target"] = request["target"]
        if request.get("noCache"):
            query["nocache"] = "true"
        headers = {"content-type": "application/x-tar", "x-registry-config": _coded(self._logins)}
        async for line in self._post("/build", query, headers, _read(archive)):
            self._write(str(line.get("stream") or _status(line)))

    async def push(self, name: str) -> str:
        """Push an image by its full name; returns its digest."""
        repository, _, tag = name.rpartition(":")
        login = self._logins[name.partition("/")[0]]
        path = f"/images/{quote(repository)}/push"
        digest = ""
        async for line in self._post(path, {"tag": tag}, {"x-registry-auth": _coded(login)}):
            self._write(_status(line))
            digest = str((line.get("aux") or {}).get("Digest") or digest)
        return digest

    async def forget(self, names: list[str]) -> None:
        """Remove images from the engine; unknown names are ignored."""
        async with self._client() as client:
            for name in names:
                await client.delete(f"/images/{quote(name)}")

    async def _post(
        self,
        path: str,
        query: dict[str, Any],
        headers: dict[str, str],
        content: AsyncIterator[bytes] | None = None,
    ) -> AsyncIterator[dict[str, Any]]:
        try:
            async with (
                self._client() as client,
                client.stream(
                    "POST", path, params=query, headers=headers, content=content
                ) as answer,
            ):
                if answer.status_code >= 400:
                    raise EngineError(_message(await answer.aread()))
                async for text in answer.aiter_lines():
                    line = json.loads(text) if text.strip() else {}
                    if line.get("error"):
                        raise EngineError(str(line["error"]))
                    yield line
        except httpx.HTTPError as error:
            raise EngineError(f"The engine at {self._socket} doesn't answer: {error}") from None

    def _client(self) -> httpx.AsyncClient:
        transport = httpx.AsyncHTTPTransport(uds=str(self._socket))
        return httpx.AsyncClient(transport=transport, base_url="http://engine", timeout=None)  # noqa: S113


async def _read(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while chunk := opened.read(_CHUNK):
            yield chunk


def _coded(value: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


def _status(line: Mapping[str, Any]) -> str:
    """A line of progress as text; empty for a line that updates a progress bar."""
    if not line.get("status") or line.get("progressDetail"):
        return ""
    prefix = f"{line['id']}: " if line.get("id") else ""
    return f"{prefix}{line['status']}\n"


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode("utf-8", "replace")
