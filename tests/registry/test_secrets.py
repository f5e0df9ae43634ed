"""`az --debug` shows everything from DEBUG on: nothing there may open a registry or a blob."""

from __future__ import annotations

import logging
import re
import traceback

import pytest

from azext_otelembed.errors import OtelembedError
from azext_otelembed.registry import transfer
from tests.registry.conftest import Registries, Shop, blob

_SECRETS = re.compile(r"sig=|_state=|eyJ[\w-]{10}|Bearer |refresh_token=|access_token=")


@pytest.fixture
def debug(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    for name in ("urllib3", "urllib3.connectionpool", "azure"):
        caplog.set_level(logging.DEBUG, logger=name)
    return caplog


def test_no_secret_is_logged_with_debug(
    registries: Registries, name: str, debug: pytest.LogCaptureFixture
) -> None:
    client = registries.owner()
    digest, data = blob(200_000)
    registries.azure.fault(service="blob", truncate=100)
    registries.azure.fault(service="acr", method="PUT", path="/uploads/", reset=True)
    transfer.upload(client, name, digest, data)
    assert client.get_blob(name, digest) == data
    assert b"".join(client.stream_blob(name, digest)) == data
    assert _SECRETS.search(debug.text) is None
    assert f"GET {registries.shop}/v2/{name}/blobs/{digest}: HTTP 307" in debug.text


def test_other_calls_are_logged_as_ever(
    registries: Registries, name: str, debug: pytest.LogCaptureFixture
) -> None:
    import requests

    registries.owner().head_manifest(name, "1.0")
    requests.get(f"{registries.azure.info['admin']}/requests?since=1000000", timeout=10)
    assert "/requests?since=1000000" in debug.text


@pytest.mark.parametrize(
    "fault",
    [
        {"service": "blob", "reset": True, "times": 0},
        {"service": "blob", "truncate": 10, "times": 0},
        {"service": "blob", "status": 403, "body": "<Error>sig=verysecret</Error>"},
    ],
)
def test_no_error_shows_a_signed_address(shop: Shop, fault: dict[str, object]) -> None:
    digest, _ = shop.upload(1000)
    shop.azure.fault(**fault)
    with pytest.raises(OtelembedError) as failure:
        shop.client.get_blob(shop.name, digest)
    error = failure.value
    told = "".join(traceback.format_exception(error)) + f"{error.message} {error.recommendation}"
    assert _SECRETS.search(told) is None
    assert "verysecret" not in told
    assert shop.azure.info["blobs"].removeprefix("https://") not in error.message
    assert error.__context__ is None


def test_no_error_of_an_upload_shows_its_state(shop: Shop) -> None:
    shop.azure.fault(service="acr", method="PUT", path="/uploads/", reset=True, times=0)
    with pytest.raises(OtelembedError) as failure:
        shop.upload(1000)
    told = "".join(traceback.format_exception(failure.value))
    assert _SECRETS.search(told) is None
    assert shop.name in failure.value.message
