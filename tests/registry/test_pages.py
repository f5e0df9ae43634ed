"""Lists that come in pages: all of them are read, and what isn't complete is an error."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from azext_otelembed.errors import NotFound, OtelembedError, RegistryFailed
from azext_otelembed.image.reference import Digest
from azext_otelembed.registry import acr_lists, endpoints, transfer
from azext_otelembed.registry import client as client_module
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.referrers import (
    list_referrers,
    put_referrer,
    read_referrers,
    unlist_referrers,
)
from localazure.client import LocalAzure
from tests.fuzz.shapes import reshaped
from tests.registry.conftest import QUICK, SHOP, Shop
from tests.registry.liar import lying

KIND = "application/vnd.oci.image.manifest.v1+json"
TYPE = "application/x-test"
SUBJECT = Digest.of(b"subject")
EMPTY = {"digest": str(Digest.of(b"{}")), "size": 2}


def artifact(number: int, artifact_type: str = TYPE, padding: str = "") -> dict[str, Any]:
    """A manifest that refers to the subject."""
    subject = {"mediaType": KIND, "digest": str(SUBJECT), "size": 7}
    document = {
        "schemaVersion": 2,
        "mediaType": KIND,
        "artifactType": artifact_type,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", **EMPTY},
        "layers": [],
        "subject": subject,
        "annotations": {"number": str(number), "padding": padding},
    }
    return {"data": json.dumps(document)}


@pytest.fixture(
    params=[False, pytest.param(True, marks=pytest.mark.thorough)],
    ids=["relative links", "absolute links"],
)
def paged(request: pytest.FixtureRequest, shop: Shop) -> Iterator[Shop]:
    """A registry whose pages have two entries, and a repository with five artifacts."""
    kinds = [TYPE, "other", "other", TYPE, TYPE]
    manifests = [artifact(number, kind) for number, kind in enumerate(kinds)]
    tagged = [{**one, "tag": f"t{number}"} for number, one in enumerate(manifests)]
    shop.azure.put_manifests(SHOP, shop.name, tagged)
    shop.azure.change_registry(SHOP, page_size=2, absolute_links=request.param)
    yield shop
    shop.azure.change_registry(SHOP, page_size=0, absolute_links=False)


def numbers(shop: Shop) -> list[str]:
    """The artifacts of the subject that are found."""
    found = list_referrers(shop.client, shop.name, SUBJECT, TYPE)
    return sorted(one["annotations"]["number"] for one in found)


READS: dict[str, tuple[str, Callable[[Shop], object]]] = {
    "referrers": ("/referrers/", numbers),
    "tags": ("/tags/list", lambda shop: shop.client.tags(shop.name)),
    "own tags": ("/_tags", lambda shop: acr_lists.tags(shop.client, shop.name)),
    "own manifests": ("/_manifests", lambda shop: acr_lists.manifests(shop.client, shop.name)),
    "catalog": ("/acr/v1/_catalog", lambda shop: acr_lists.repositories(shop.client)),
}


def test_all_pages_of_every_list_are_read(paged: Shop) -> None:
    assert numbers(paged) == ["0", "3", "4"]
    names = [f"t{number}" for number in range(5)]
    assert paged.client.tags(paged.name) == names
    assert list(acr_lists.tags(paged.client, paged.name)) == names
    found = acr_lists.manifests(paged.client, paged.name)
    assert sorted(tag for one in found for tag in one.tags) == names
    assert all(one.created.tzinfo and one.updated >= one.created for one in found)
    assert paged.name in acr_lists.repositories(paged.client)
    asked = [r["path"] for r in paged.registries.since(paged.mark) if r["status"] == 200]
    for path in ("/tags/list", "/_tags", "/_manifests", "/referrers/"):
        assert sum(path in each for each in asked) == 3, path


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize(
    "fault",
    [
        {"status": 404},
        {"status": 200, "body": ""},
        {"status": 200, "body": "{}"},
        {"status": 200, "body": '{"tags":[{}],"manifests":[{}],"repositories":[{}]}'},
        {"truncate": 10, "times": 0},
        {"status": 503, "times": 0},
    ],
    ids=["missing", "empty body", "no list", "no entries", "cut", "failing"],
)
def test_a_later_page_that_can_not_be_read_is_an_error(
    paged: Shop, read: str, fault: dict[str, Any]
) -> None:
    path, call = READS[read]
    acr_lists.repositories(paged.client)
    paged.azure.fault(service="acr", path=path, query="last=", **fault)
    with pytest.raises(RegistryFailed):
        call(paged)


WHOLE: dict[str, Any] = {
    "own tags": {"tags": [{"name": "a", "digest": str(SUBJECT)}]},
    "own manifests": {
        "imageName": "a",
        "manifests": [
            {
                "digest": str(SUBJECT),
                "createdTime": "2026-11-24T12:00:00Z",
                "lastUpdateTime": "2026-11-24T12:00:00.1234567Z",
                "tags": ["1"],
            }
        ],
    },
    "catalog": {"repositories": ["a"]},
}
"""A list with one entry."""


@pytest.mark.parametrize("read", WHOLE)
def test_a_list_of_another_shape_is_read_or_is_an_error_with_words(shop: Shop, read: str) -> None:
    path, call = READS[read]
    strange = []
    for answer in [WHOLE[read], *reshaped(WHOLE[read])]:
        shop.azure.fault(service="acr", path=path, status=200, body=json.dumps(answer))
        try:
            found = call(shop)
        except OtelembedError as error:
            if "unknown format" not in error.message:
                strange.append(error.message)
        except Exception as error:  # noqa: BLE001  # collected
            strange.append(f"{type(error).__name__}: {error} for {json.dumps(answer)[:200]}")
        else:
            assert found or answer != WHOLE[read]
    assert strange == []


@pytest.mark.parametrize("read", READS)
def test_a_page_that_comes_again_is_an_error(paged: Shop, read: str) -> None:
    path, call = READS[read]
    link = {"Link": f'<{path}?last=zzz>; rel="next"'}
    body = {
        "tags": ["a"] if read == "tags" else [{"name": "a", "digest": str(SUBJECT)}],
        "manifests": [
            {
                "digest": str(SUBJECT),
                "createdTime": "2026-01-01T00:00:00Z",
                "artifactType": TYPE,
                "annotations": {"number": "1"},
            }
        ],
        "repositories": ["a"],
    }
    paged.azure.fault(service="acr", path=path, status=200, body=body, headers=link, times=0)
    with pytest.raises(RegistryFailed, match=r"again|before"):
        call(paged)


@pytest.mark.parametrize("link", ["https://elsewhere.example/v2/x", "http://localhost/x", "//["])
def test_a_next_page_of_another_host_is_an_error(paged: Shop, link: str) -> None:
    answer = {"status": 200, "body": {"tags": ["a"]}, "headers": {"Link": f'<{link}>; rel="next"'}}
    paged.azure.fault(service="acr", path="/tags/list", **answer)
    with pytest.raises(RegistryFailed, match="isn't its own"):
        paged.client.tags(paged.name)


def test_pages_without_an_end_are_an_error(paged: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MAX_PAGES", 2)
    with pytest.raises(RegistryFailed, match="without an end"):
        paged.client.tags(paged.name)


def test_a_link_is_relative_to_its_page(paged: Shop) -> None:
    answer = {"status": 200, "body": {"tags": ["a"]}, "headers": {"Link": "<list?n=9>; rel=next"}}
    paged.azure.fault(service="acr", path="/tags/list", **answer)
    assert paged.client.tags(paged.name)[1:] == ["t0", "t1", "t2", "t3", "t4"]


def test_an_unknown_repository_is_not_found(paged: Shop) -> None:
    for call in (acr_lists.tags, acr_lists.manifests):
        with pytest.raises(NotFound):
            call(paged.client, "no/such")


def test_a_list_of_many_megabytes_on_one_page_is_read(shop: Shop) -> None:
    made = [artifact(number, padding="x" * 9000) for number in range(600)]
    shop.azure.put_manifests(SHOP, shop.name, made)
    found = read_referrers(
        shop.client, shop.name, SUBJECT, TYPE, lambda one: one["annotations"]["number"]
    )
    assert sorted(map(int, found)) == list(range(600))
    (asked,) = [r for r in shop.registries.since(shop.mark) if "/referrers/" in r["path"]]
    assert asked["received"] > endpoints.MANIFEST_LIMIT


def test_a_page_that_is_cut_once_is_read_again(shop: Shop) -> None:
    shop.azure.put_manifests(SHOP, shop.name, [artifact(number) for number in range(3)])
    shop.azure.fault(service="acr", path="/referrers/", truncate=400)
    assert numbers(shop) == ["0", "1", "2"]


def test_a_page_that_comes_too_slowly_is_an_error(name: str) -> None:
    def slow() -> Iterator[bytes]:
        yield b'{"manifests":['
        while True:
            yield b" " * 65536
            time.sleep(0.1)

    retry = replace(QUICK, attempts=1, max_total=1.0)
    with lying() as liar, RegistryClient(liar.host, scheme="http", retry=retry) as client:
        liar.serve(f"{SUBJECT}?artifactType=application%2Fx-test", slow)
        with pytest.raises(RegistryFailed, match="took longer than 1 seconds"):
            list_referrers(client, name, SUBJECT, TYPE)


@pytest.fixture
def old(shop: Shop) -> Iterator[Shop]:
    """A registry without the referrers API."""
    shop.azure.change_registry(SHOP, referrers=False)
    yield shop
    shop.azure.change_registry(SHOP, referrers=True)


def test_a_full_fall_back_index_is_an_error_that_names_prune(
    old: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoints, "MANIFEST_LIMIT", 3000)
    texts = [artifact(number, padding="x" * 900)["data"] for number in range(4)]
    transfer.upload(old.client, old.name, Digest.of(b"{}"), b"{}")
    for text in texts[:2]:
        put_referrer(old.client, old.name, SUBJECT, text.encode(), KIND)
    with pytest.raises(RegistryFailed, match="is full") as full:
        put_referrer(old.client, old.name, SUBJECT, texts[2].encode(), KIND)
    assert f"az otelembed prune --registry {old.registries.shop} --delete" in str(
        full.value.recommendation
    )
    assert numbers(old) == ["0", "1"]
    unlist_referrers(old.client, old.name, SUBJECT, {str(Digest.of(texts[0].encode()))})
    put_referrer(old.client, old.name, SUBJECT, texts[2].encode(), KIND)
    assert numbers(old) == ["1", "2"]


def test_arm_lists_in_pages_are_read_to_their_end(azure: LocalAzure) -> None:
    from azext_otelembed.azure.arm import Arm
    from azext_otelembed.azure.registries import all_registries
    from tests.release.support import session_of

    arm = Arm(session_of(azure))
    whole = {one.name for one in all_registries(arm, azure.subscription)}
    before = azure.mark()
    with azure.arm_pages(1):
        assert {one.name for one in all_registries(arm, azure.subscription)} == whole
    asked = [r for r in azure.requests(since=before) if r["service"] == "arm"]
    assert len(asked) == len(whole)
    assert len(whole) > 1
