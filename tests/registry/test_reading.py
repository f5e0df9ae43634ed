from __future__ import annotations

import json
import time
from typing import Any

import pytest

from azext_otelembed.errors import NotFound, RegistryFailed
from azext_otelembed.image.reference import Digest
from azext_otelembed.registry import transfer
from tests.registry.conftest import Shop, blob

OCI = "application/vnd.oci.image.manifest.v1+json"
MANIFEST: dict[str, Any] = {"service": "acr", "method": "GET", "path": "/manifests/"}
OTHER_MANIFEST = MANIFEST | {"status": 200, "body": "{}"}


def put(shop: Shop, tag: str, note: str = "") -> tuple[Digest, bytes]:
    """An artifact that holds nothing."""
    empty = Digest.of(b"{}")
    transfer.upload(shop.client, shop.name, empty, b"{}")
    descriptor = {"mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": str(empty)}
    document: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": OCI,
        "artifactType": "application/x-test",
        "config": descriptor,
        "layers": [descriptor],
        "annotations": {"note": note},
    }
    data = json.dumps(document).encode()
    shop.client.put_manifest(shop.name, tag, data, OCI)
    return Digest.of(data), data


def test_a_manifest_is_read_by_tag_and_by_digest(shop: Shop) -> None:
    digest, data = put(shop, "1.0")
    for ref in ("1.0", digest):
        stored = shop.client.get_manifest(shop.name, ref)
        assert (stored.digest, stored.media_type, stored.data) == (digest, OCI, data)
        head = shop.client.head_manifest(shop.name, ref)
        assert head is not None
        assert (head.digest, head.media_type, head.data) == (digest, OCI, b"")


def test_a_manifest_that_is_not_there(shop: Shop) -> None:
    assert shop.client.head_manifest(shop.name, "1.0") is None
    with pytest.raises(NotFound) as missing:
        shop.client.get_manifest(shop.name, "1.0")
    assert missing.value.exit_status == 3
    assert shop.registries.shop in missing.value.message
    assert f"{shop.name}:1.0" in missing.value.message


def test_tags_are_listed_over_all_pages(shop: Shop) -> None:
    for number in range(3):
        put(shop, f"v{number}", str(number))
    assert shop.client.tags(shop.name) == ["v0", "v1", "v2"]
    with pytest.raises(NotFound):
        shop.client.tags("no/such")


def test_content_that_does_not_match_its_digest_is_asked_for_again(shop: Shop) -> None:
    digest, data = put(shop, "1.0")
    shop.azure.fault(**OTHER_MANIFEST, times=2)
    assert shop.client.get_manifest(shop.name, digest).data == data


def test_content_that_never_matches_is_an_error(shop: Shop) -> None:
    digest, _ = put(shop, "1.0")
    shop.azure.fault(**OTHER_MANIFEST, times=0)
    with pytest.raises(RegistryFailed, match="doesn't match its digest") as failure:
        shop.client.get_manifest(shop.name, digest)
    assert str(digest) in failure.value.message


def test_a_tag_is_checked_against_the_digest_that_the_registry_tells(shop: Shop) -> None:
    digest, data = put(shop, "1.0")
    shop.azure.fault(**OTHER_MANIFEST, headers={"Docker-Content-Digest": str(digest)})
    assert shop.client.get_manifest(shop.name, "1.0").data == data


def test_a_blob_comes_from_storage_without_our_token(shop: Shop) -> None:
    digest, data = shop.upload(5000)
    mark = shop.azure.mark()
    assert shop.client.get_blob(shop.name, digest) == data
    records = shop.registries.since(mark)
    asked = [(r["service"], r["status"], r["authorization"]) for r in records]
    assert asked == [("acr", 307, True), ("blob", 200, False)]


def test_a_server_that_leaves_ranges_aside_is_read_past(shop: Shop) -> None:
    text = "".join(f"line {number}\n" for number in range(800))
    digest = Digest.of(text.encode())
    transfer.upload(shop.client, shop.name, digest, text.encode())
    shop.azure.fault(service="blob", truncate=3000)
    # The rest is asked for, and everything comes.
    shop.azure.fault(service="acr", method="GET", path="/blobs/", nth=2, status=200, body=text)
    assert b"".join(shop.client.stream_blob(shop.name, digest)) == text.encode()


@pytest.mark.parametrize("fault", [{"truncate": 3000}, {"reset": True}, {"status": 503}])
def test_a_blob_that_breaks_off_is_read_again(shop: Shop, fault: dict[str, Any]) -> None:
    digest, data = shop.upload(100_000)
    shop.azure.fault(service="blob", times=2, **fault)
    assert shop.client.get_blob(shop.name, digest) == data


def test_a_stream_goes_on_where_it_was_cut(shop: Shop) -> None:
    digest, data = shop.upload(3_000_000)
    shop.azure.fault(service="blob", truncate=1_000_000, times=2)
    mark = shop.azure.mark()
    assert b"".join(shop.client.stream_blob(shop.name, digest)) == data
    received = [r["received"] for r in shop.registries.since(mark) if r["service"] == "blob"]
    assert received == [1_000_000, 1_000_000, 1_000_000]


def test_a_stream_that_is_read_late_goes_on_where_it_was_cut(shop: Shop) -> None:
    digest, data = shop.upload(12_000_000)
    shop.azure.fault(service="blob", truncate=10_000_000)
    mark = shop.azure.mark()
    stream = iter(shop.client.stream_blob(shop.name, digest))
    first = next(stream)
    time.sleep(0.5)
    assert first + b"".join(stream) == data
    received = [r["received"] for r in shop.registries.since(mark) if r["service"] == "blob"]
    assert received == [10_000_000, 2_000_000]


def test_a_stream_of_other_content_ends_in_an_error(shop: Shop) -> None:
    digest, _ = shop.upload(5000)
    shop.azure.fault(service="blob", status=200, body="something else")
    with pytest.raises(RegistryFailed, match="doesn't match its digest"):
        list(shop.client.stream_blob(shop.name, digest))


def test_a_stream_that_is_always_cut_gives_up(shop: Shop) -> None:
    digest, _ = shop.upload(5000)
    shop.azure.fault(service="blob", truncate=0, times=0)
    with pytest.raises(RegistryFailed, match="can't be reached for blob") as failure:
        list(shop.client.stream_blob(shop.name, digest))
    assert shop.name in failure.value.message


def test_more_than_the_limit_is_not_read(shop: Shop) -> None:
    digest, _ = shop.upload(50_000)
    with pytest.raises(RegistryFailed, match="more than 1000 bytes"):
        shop.client.get_blob(shop.name, digest, 1000)


def test_a_blob_that_is_not_there(shop: Shop) -> None:
    digest, _ = blob(10, seed=7)
    assert not shop.client.has_blob(shop.name, digest)
    with pytest.raises(NotFound, match=digest.hex):
        shop.client.get_blob(shop.name, digest)
    with pytest.raises(NotFound, match=digest.hex):
        list(shop.client.stream_blob(shop.name, digest))
