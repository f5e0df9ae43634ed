"""A site's front end: how it forwards requests."""

from __future__ import annotations

import asyncio
import time

import httpx
import pytest

from localazure.runtime import proxy
from tests.localazure.runtime_support import RuntimeFixture, server_image


async def test_a_request_is_forwarded_completely_with_the_clients_address(
    here: RuntimeFixture,
) -> None:
    site = await here.site(here.push(server_image()))
    answer = await here.http.post(
        f"https://{site.host}/echo?a=1&b=%20",
        content=b"x" * 200_000,
        headers={"X-Own": "yes", "X-Forwarded-For": "203.0.113.7"},
    )
    assert answer.status_code == 201
    assert answer.headers["content-type"] == "application/json"
    got = answer.json()
    assert got["method"] == "POST"
    assert got["query"] == "a=1&b=%20"
    assert got["body"] == "x" * 200_000
    headers = got["headers"]
    assert headers["x-own"] == "yes"
    assert headers["host"] == site.host
    assert headers["x-forwarded-proto"] == "https"
    assert headers["x-forwarded-for"].startswith("203.0.113.7, 127.0.0.1:")
    assert len(headers["x-arr-log-id"]) == 36


@pytest.mark.thorough
async def test_a_response_is_forwarded_as_a_stream(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image()))
    times: dict[bytes, float] = {}
    async with here.http.stream("GET", f"https://{site.host}/stream") as answer:
        async for chunk in answer.aiter_raw():
            times[chunk] = time.monotonic()
    assert list(times) == [b"first", b"second"]
    assert times[b"second"] - times[b"first"] > 0.3


@pytest.mark.thorough
async def test_an_incomplete_response_cuts_the_clients_connection(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image()))
    with pytest.raises(httpx.TransportError):
        await here.get(site, "/cut")
    assert (await here.get(site, "/hang-up")).status_code == 502
    assert (await here.get(site)).status_code == 200


@pytest.mark.thorough
async def test_an_app_that_is_too_slow_gives_504(
    here: RuntimeFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(proxy, "FRONT_END_TIMEOUT", 0.5)
    site = await here.site(here.push(server_image()))
    assert (await here.get(site, "/slow?3")).status_code == 504


@pytest.mark.thorough
async def test_requests_are_served_concurrently(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image()))
    await here.facts(site)
    began = time.monotonic()
    await asyncio.gather(*(here.get(site, "/slow?0.5") for _ in range(8)))
    assert time.monotonic() - began < 3


async def test_a_deleted_site_is_not_found(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image()))
    await here.facts(site)
    here.supervisor.stop(site)
    here.double.state.sites.clear()
    assert (await here.get(site)).status_code == 404
