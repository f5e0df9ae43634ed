"""Answers of the token service that `--credential` asks: any of them is a token or an error."""

from __future__ import annotations

import io
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
import urllib3

from azext_otelembed.azure import credentials
from azext_otelembed.azure.session import CachedCredential
from azext_otelembed.connection_guard import GuardedAdapter
from azext_otelembed.errors import OtelembedError
from azext_otelembed.redaction import Secrets

AUTHORITY = "https://login.example"
TENANT = "0f0e0d0c-0b0a-4909-8807-060504030201"
METADATA = {
    "authorization_endpoint": f"{AUTHORITY}/authorize",
    "token_endpoint": f"{AUTHORITY}/token",
    "issuer": f"{AUTHORITY}/{TENANT}/v2.0",
}
GOOD = {"access_token": "the.token", "expires_in": 3600, "token_type": "Bearer"}
WRONG: dict[str, tuple[Any, ...]] = {
    "access_token": (5, None, [], "", "a\r\nX-Other: b", "é"),
    "expires_in": ("x", None, "²", [], "9" * 5000),
    "refresh_in": ("x", []),
    "expires_on": ("x",),
    "id_token": (5, "x", "a.b.c"),
    "client_info": (5, "x"),
}


class Answers:
    """What the token endpoint answers; `body` in pieces."""

    def __init__(self, *body: bytes, status: int = 200, headers: Any = None) -> None:
        self.body, self.status, self.headers = body, status, headers or {}

    def send(self, request: requests.PreparedRequest) -> requests.Response:
        metadata = "openid-configuration" in str(request.url)
        pieces = (json.dumps(METADATA).encode(),) if metadata else self.body
        answer = urllib3.HTTPResponse(
            _Pieces(iter(pieces)),
            headers={"Content-Type": "application/json", **({} if metadata else self.headers)},
            status=200 if metadata else self.status,
            preload_content=False,
        )
        return GuardedAdapter().build_response(request, answer)


class _Pieces(io.RawIOBase):
    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces

    def read(self, _size: int = -1) -> bytes:
        """The next piece, whatever its size."""
        return next(self._pieces, b"")


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("federated")
    monkeypatch.setenv(credentials.TENANT, TENANT)
    monkeypatch.setenv(credentials.CLIENT, TENANT)
    monkeypatch.setenv(credentials.SECRET, "the-client's-secret")
    monkeypatch.setenv(credentials.TOKEN_FILE, str(file))
    monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda *_: None)


def ask(kind: str, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> str:
    """The token; raises errors of `errors.py`."""
    monkeypatch.setattr(GuardedAdapter, "send", lambda _, request, **__: answers.send(request))
    given = credentials.create(
        kind, AUTHORITY, instance_discovery=False, transport={}, secrets=Secrets()
    )
    return CachedCredential(given).get_token("https://management.example/.default").token


def token_or_error(kind: str, answers: Answers, monkeypatch: pytest.MonkeyPatch) -> str:
    """The token, or the message of an error of `errors.py`."""
    try:
        return ask(kind, answers, monkeypatch)
    except OtelembedError as error:
        return error.message


@pytest.mark.parametrize("kind", [credentials.ENVIRONMENT, credentials.WORKLOAD])
@pytest.mark.parametrize(("name", "value"), [(n, v) for n, vs in WRONG.items() for v in vs])
def test_a_wrong_value_in_a_token_answer_is_no_token(
    kind: str, name: str, value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers = Answers(json.dumps({**GOOD, name: value}).encode())
    said = token_or_error(kind, answers, monkeypatch)
    if name == "access_token":
        assert said == "The sign-in was answered without a token."
    else:
        assert said == "the.token" or said.startswith(f"--credential {kind}: ")


@pytest.mark.parametrize("kind", [credentials.ENVIRONMENT, credentials.WORKLOAD])
@pytest.mark.parametrize(
    "answers",
    [
        Answers(b"1"),
        Answers(b"[" * 100_000),
        Answers(json.dumps(GOOD).encode(), headers={"Content-Type": "text/html"}),
        Answers(b"{}", status=429, headers={"Retry-After": "soon"}),
        Answers(b"{}", status=429, headers={"Retry-After": "9" * 5000}),
    ],
)
def test_an_odd_token_answer_is_an_error_or_a_token(
    kind: str, answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = token_or_error(kind, answers, monkeypatch)
    assert said == "the.token" or said.startswith(f"--credential {kind}: ")


def test_a_token_answer_without_an_end_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield b" " * (64 << 10)

    answers = Answers()
    answers.body = endless()  # type: ignore[assignment]
    tracemalloc.start()
    with pytest.raises(OtelembedError) as raised:
        ask(credentials.ENVIRONMENT, answers, monkeypatch)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert f"no answer from {AUTHORITY} (its answer is too long)" in raised.value.message
    assert peak < 20 << 20
