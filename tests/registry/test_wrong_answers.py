"""Answers that are well-formed, and nothing that could be meant."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from azext_otelembed.errors import OtelembedError, RegistryFailed
from azext_otelembed.image.reference import Digest
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.referrers import list_referrers
from tests.registry.conftest import Registries, blob
from tests.registry.liar import lying

DIGEST, DATA = blob(10)
CALLS: dict[str, tuple[str, Callable[[RegistryClient, str], object]]] = {
    "tags": ("/tags/list", lambda client, name: client.tags(name)),
    "referrers": (
        "/referrers/",
        lambda client, name: list_referrers(client, name, Digest.of(b""), "a/b"),
    ),
    "token": ("/oauth2/token", lambda client, name: client.head_manifest(name, "1")),
    "exchange": ("/oauth2/exchange", lambda client, name: client.head_manifest(name, "1")),
}
"""Which path is asked for JSON, and by what."""
SHAPES = (
    *("null", "5", '"words"', "[]", "[1]", "{}", "[" * 100_000),
    *('{"tags":5}', '{"tags":{"a":1}}', '{"tags":[null]}', '{"tags":[["a"]]}', '{"tags":"abc"}'),
    *('{"manifests":5}', '{"manifests":{"a":1}}', '{"manifests":"abc"}', '{"manifests":[5]}'),
    *("", '{"tags":["a"],"tags":[]}', '{"tags":["\\ud800"]}', '{"manifests":[],"a":NaN}'),
    *('{"access_token":"a","access_token":"b"}', '{"refresh_token":"a","refresh_token":"b"}'),
    *('{"access_token":5}', '{"access_token":["a"]}', '{"access_token":{"a":1}}'),
    *('{"refresh_token":5}', '{"refresh_token":["a"]}'),
)
NOWHERE = ("https://[", "https://localhost:port/", "https://a..b/", "https://*/", "//", "https://")
"""What can't be an address, or leads to nobody."""


@pytest.mark.parametrize("call", CALLS)
def test_json_of_another_shape_is_an_error_that_names_the_registry(
    registries: Registries, name: str, call: str
) -> None:
    path, ask = CALLS[call]
    client = registries.owner()
    client.has_blob(name, DIGEST)
    unnamed = []
    for shape in SHAPES:
        fault = {"service": "acr", "path": path, "status": 200, "body": shape}
        registries.azure.fault(**fault)
        with pytest.raises(OtelembedError) as failure:
            ask(registries.owner() if path.startswith("/oauth2") else client, name)
        if registries.shop not in failure.value.message:
            unnamed.append((shape, failure.value.message))
    assert unnamed == []


def test_an_empty_list_may_be_null(registries: Registries, name: str) -> None:
    client = registries.owner()
    for field, path in (("tags", "/tags/list"), ("manifests", "/referrers/")):
        body = json.dumps({field: None})
        registries.azure.fault(service="acr", path=path, status=200, body=body)
        assert CALLS["tags" if field == "tags" else "referrers"][1](client, name) == []


def test_more_bytes_than_announced_are_an_error_that_names_the_registry() -> None:
    """The announced part is a whole document: a list without the tags that follow."""
    body = b'{"tags":["a"]}'
    with lying() as liar, RegistryClient(liar.host, scheme="http") as client:
        liar.serve("list", body + b'{"tags":["b"]}', "application/json", len(body))
        with pytest.raises(RegistryFailed, match=f"'{liar.host}' sends more bytes"):
            client.tags("shop")
        liar.serve("list", body, "application/json")
        assert list(client.tags("shop")) == ["a"]


@pytest.mark.parametrize("place", ["redirect", "upload", "next page", "token server"])
def test_an_address_that_is_none_is_an_error_that_names_the_registry(
    registries: Registries, name: str, place: str
) -> None:
    calls: dict[str, tuple[dict[str, Any], Callable[[RegistryClient], object]]] = {
        "redirect": (
            {"method": "GET", "path": "/blobs/", "status": 307},
            lambda client: client.get_blob(name, DIGEST),
        ),
        "upload": (
            {"method": "POST", "path": "/uploads/", "status": 202},
            lambda client: transfer.upload(client, name, DIGEST, DATA),
        ),
        "next page": (
            {"path": "/tags/list", "status": 200, "body": '{"tags":[]}'},
            lambda client: client.tags(name),
        ),
        "token server": (
            {"path": "/manifests/", "status": 401},
            lambda client: client.head_manifest(name, "1"),
        ),
    }
    fault, ask = calls[place]
    for address in NOWHERE:
        headers = {
            "Location": address,
            "Link": f'<{address}>; rel="next"',
            "WWW-Authenticate": f'Bearer realm="{address}"',
        }
        registries.azure.clear_faults()
        registries.azure.fault(service="acr", **fault, headers=headers, times=0)
        anonymous = place == "token server"
        client = registries.client(registries.shop) if anonymous else registries.owner()
        with pytest.raises(OtelembedError, match=registries.shop):
            ask(client)
