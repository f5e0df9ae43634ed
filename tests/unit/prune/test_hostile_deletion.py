"""Answers of a registry to the deletion of an image: no token follows them to another host."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, timezone

import pytest
import requests
import urllib3

from azext_otelembed.azure.registries import Registry
from azext_otelembed.azure.session import Session
from azext_otelembed.connection_guard import GuardedAdapter
from azext_otelembed.console import Console
from azext_otelembed.errors import OtelembedError
from azext_otelembed.http_transport import GuardedTransport
from azext_otelembed.prune.prune import Findings, Pruner
from azext_otelembed.prune.retention import Decision, StoredImage
from tests.release.support import Fixed

HOST = "shop.azurecr.example"
NOW = datetime(2026, 11, 22, tzinfo=timezone.utc)
CHALLENGE = {
    "WWW-Authenticate": f'Bearer realm="https://{HOST}/oauth2/token",service="{HOST}",'
    'scope="repository:shop:delete"'
}
ELSEWHERE = {"Location": "https://other.example/oauth2/exchange"}
Reply = tuple[int, dict[str, str], bytes]


def delete(reply: Callable[[str], Reply], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Deletes an image; returns the addresses that were asked, with method and body."""
    asked: list[str] = []

    def send(
        adapter: GuardedAdapter, request: requests.PreparedRequest, **_: object
    ) -> requests.Response:
        asked.append(f"{request.method} {request.url} {request.body!r}")
        status, headers, body = reply(str(request.url))
        answer = urllib3.HTTPResponse(
            io.BytesIO(body),
            headers={"Content-Type": "application/json", **headers},
            status=status,
            preload_content=False,
        )
        return adapter.build_response(request, answer)

    monkeypatch.setattr(GuardedAdapter, "send", send)
    token = Fixed("the-token")
    arm = "https://arm.example"
    session = Session(token, "s", "t", arm, f"{arm}/.default", "azurecr.example")  # type: ignore[arg-type]
    pruner = Pruner(session, Registry("/subscriptions/s/x", "shop", HOST), None, 1)
    image = StoredImage("shop", f"sha256:{'0' * 64}", ("1",), NOW, NOW)
    with pytest.raises(OtelembedError):
        pruner.delete(Findings([Decision(image, "")], []), Console(stream=io.StringIO()))
    return asked


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_token_follows_a_redirect_of_the_exchange(
    status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def reply(url: str) -> Reply:
        return (status, ELSEWHERE, b"") if "exchange" in url else (401, CHALLENGE, b"")

    asked = delete(reply, monkeypatch)
    assert any("the-token" in one for one in asked)
    assert [one for one in asked if f" https://{HOST}/" not in one] == []


def test_a_registry_that_asks_for_a_day_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(GuardedTransport, "sleep", lambda _, seconds: waits.append(seconds))
    delete(lambda _: (429, {"Retry-After": "86400"}, b"{}"), monkeypatch)
    assert sum(waits) < 60


def test_an_answer_of_the_registry_is_read_up_to_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"refresh_token": "' + b"a" * (40 << 20) + b'"}'

    def reply(url: str) -> Reply:
        return (200, {}, body) if "exchange" in url else (401, CHALLENGE, b"")

    assert not any("/oauth2/token" in one for one in delete(reply, monkeypatch))
