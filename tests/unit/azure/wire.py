"""A session whose responses a test writes byte by byte, without a network."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.client import HTTPResponse
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter

from azext_otelembed.azure.session import Session
from tests.release.support import Fixed

ENDPOINT = "https://management.azure.com"
HEAD = {"Content-Type": "application/json; charset=utf-8"}


@dataclass(frozen=True)
class Reply:
    """A response; `body` is everything that follows the headers, chunk by chunk if it's a list.

    Without a Content-Length among the headers, the body ends with the connection.
    """

    body: bytes | Callable[[], Iterator[bytes]] = b"{}"
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class _Stream(io.RawIOBase):
    """What a socket receives: the response's bytes, and then the end."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = b""

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: Any) -> int:
        """The next bytes, at most one piece of them."""
        self._rest = self._rest or next(filter(None, self._pieces), b"")
        count = min(len(buffer), len(self._rest))
        buffer[:count], self._rest = self._rest[:count], self._rest[count:]
        return count


class _Socket:
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def makefile(self, *_: object) -> io.BufferedReader:
        """The file that http.client reads from."""
        return io.BufferedReader(_Stream(self._pieces))


@dataclass
class Wire(HTTPAdapter):
    """Replies by `reply`; `asked` has each request's address and Authorization header."""

    reply: Callable[[str], Reply]
    asked: list[tuple[str, str | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def send(self, request: requests.PreparedRequest, *_: Any, **__: Any) -> requests.Response:
        """The reply to the request's address, through http.client and urllib3."""
        address = request.url or ""
        authorization: Any = request.headers.get("Authorization")
        self.asked.append((address, authorization))
        reply = self.reply(address)
        parsed = HTTPResponse(_Socket(_pieces(reply)), method=request.method)  # type: ignore[arg-type]
        parsed.begin()
        answer = urllib3.HTTPResponse(
            parsed,
            headers=dict(parsed.getheaders()),
            status=reply.status,
            preload_content=False,
            request_method=request.method,
            original_response=parsed,
        )
        return self.build_response(request, answer)


def _pieces(reply: Reply) -> Iterator[bytes]:
    headers = {**HEAD, **reply.headers}
    lines = [f"HTTP/1.1 {reply.status} As Written", *(f"{k}: {v}" for k, v in headers.items())]
    start = "\r\n".join([*lines, "", ""]).encode()
    if callable(reply.body):
        yield start
        yield from reply.body()
    else:
        yield start + reply.body


def session_on(wire: Wire) -> Session:
    """A session in the public cloud whose responses come from `wire`."""
    transport = requests.Session()
    transport.trust_env = False
    transport.mount("https://", wire)
    transport.mount("http://", wire)
    return Session(
        credential=Fixed("the-token"),  # type: ignore[arg-type]  # all that is used
        subscription="s",
        tenant="t",
        arm_endpoint=ENDPOINT,
        arm_scope=f"{ENDPOINT}/.default",
        acr_suffix="azurecr.io",
        transport={"session": transport, "session_owner": False},
    )
