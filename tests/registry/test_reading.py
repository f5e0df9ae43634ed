from __future__ import annotations

import json
from typing import Any

import pytest

from azext_otelembed.errors import NotFound, RegistryFailed
from azext_otelembed.image.reference import Digest
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient
from tests.registry.conftest import Registries, blob

OCI = "application/vnd.oci.image.manifest.v1+json"


def uploaded(client: RegistryClient, name: str, size: int) -> tuple[Digest, bytes]:
    digest, data = blob(size)
    transfer.upload(client, name, digest, data)
    return digest, data


def put(client: RegistryClient, name: str, tag: str, note: str = "") -> tuple[Digest, bytes]:
    """An artifact that holds nothing."""
    empty = Digest.of(b"{}")
    transfer.upload(client, name, empty, b"{}")
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
    client.put_manifest(name, tag, data, OCI)
    return Digest.of(data), data


def test_a_manifest_is_read_by_tag_and_by_digest(client: RegistryClient, name: str) -> None:
    digest, data = put(client, name, "1.0")
    for ref in ("1.0", digest):
        stored = client.get_manifest(name, ref)
        assert (stored.digest, stored.media_type, stored.data) == (digest, OCI, data)
        head = client.head_manifest(name, ref)
        assert head is not None
        assert (head.digest, head.media_type, head.data) == (digest, OCI, b"")


def test_a_manifest_that_is_not_there(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    assert client.head_manifest(name, "1.0") is None
    with pytest.raises(NotFound) as missing:
        client.get_manifest(name, "1.0")
    assert missing.value.exit_status == 3
    assert registries.shop in missing.value.message
    assert f"{name}:1.0" in missing.value.message


def test_tags_are_listed_over_all_pages(client: RegistryClient, name: str) -> None:
    for number in range(3):
        put(client, name, f"v{number}", str(number))
    assert client.tags(name) == ["v0", "v1", "v2"]
    with pytest.raises(NotFound):
        client.tags("no/such")


def test_content_that_does_not_match_its_digest_is_asked_for_again(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = put(client, name, "1.0")
    registries.azure.fault(
        service="acr", method="GET", path="/manifests/", status=200, body="{}", times=2
    )
    assert client.get_manifest(name, digest).data == data


def test_content_that_never_matches_is_an_error(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, _ = put(client, name, "1.0")
    registries.azure.fault(
        service="acr", method="GET", path="/manifests/", status=200, body="{}", times=0
    )
    with pytest.raises(RegistryFailed, match="doesn't match its digest") as failure:
        client.get_manifest(name, digest)
    assert str(digest) in failure.value.message


def test_a_tag_is_checked_against_the_digest_that_the_registry_tells(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = put(client, name, "1.0")
    registries.azure.fault(
        service="acr",
        method="GET",
        path="/manifests/",
        status=200,
        body="{}",
        headers={"Docker-Content-Digest": str(digest)},
    )
    assert client.get_manifest(name, "1.0").data == data


def test_a_blob_comes_from_storage_without_our_token(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = uploaded(client, name, 5000)
    mark = registries.azure.mark()
    assert client.get_blob(name, digest) == data
    registry, storage = registries.since(mark)
    assert (registry["service"], registry["status"], registry["authorization"]) == (
        "acr",
        307,
        True,
    )
    assert (storage["service"], storage["status"], storage["authorization"]) == ("blob", 200, False)


def test_a_server_that_leaves_ranges_aside_is_read_past(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    text = "".join(f"line {number}\n" for number in range(800))
    digest = Digest.of(text.encode())
    transfer.upload(client, name, digest, text.encode())
    registries.azure.fault(service="blob", truncate=3000)
    # The rest is asked for, and everything comes.
    registries.azure.fault(
        service="acr", method="GET", path="/blobs/", nth=2, status=200, body=text
    )
    assert b"".join(client.stream_blob(name, digest)) == text.encode()


@pytest.mark.parametrize("fault", [{"truncate": 3000}, {"reset": True}, {"status": 503}])
def test_a_blob_that_breaks_off_is_read_again(
    registries: Registries, client: RegistryClient, name: str, fault: dict[str, Any]
) -> None:
    digest, data = uploaded(client, name, 100_000)
    registries.azure.fault(service="blob", times=2, **fault)
    assert client.get_blob(name, digest) == data


def test_a_stream_goes_on_where_it_was_cut(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = uploaded(client, name, 3_000_000)
    registries.azure.fault(service="blob", truncate=1_000_000, times=2)
    mark = registries.azure.mark()
    assert b"".join(client.stream_blob(name, digest)) == data
    received = [r["received"] for r in registries.since(mark) if r["service"] == "blob"]
    assert received == [1_000_000, 1_000_000, 1_000_000]


def test_a_stream_of_other_content_ends_in_an_error(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, _ = uploaded(client, name, 5000)
    registries.azure.fault(service="blob", status=200, body="something else")
    with pytest.raises(RegistryFailed, match="doesn't match its digest"):
        list(client.stream_blob(name, digest))


def test_a_stream_that_is_always_cut_gives_up(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, _ = uploaded(client, name, 5000)
    registries.azure.fault(service="blob", truncate=0, times=0)
    with pytest.raises(RegistryFailed, match="can't be reached for blob") as failure:
        list(client.stream_blob(name, digest))
    assert name in failure.value.message


def test_more_than_the_limit_is_not_read(client: RegistryClient, name: str) -> None:
    digest, _ = uploaded(client, name, 50_000)
    with pytest.raises(RegistryFailed, match="more than 1000 bytes"):
        client.get_blob(name, digest, 1000)


def test_a_blob_that_is_not_there(client: RegistryClient, name: str) -> None:
    digest, _ = blob(10, seed=7)
    assert not client.has_blob(name, digest)
    with pytest.raises(NotFound, match=digest.hex):
        client.get_blob(name, digest)
    with pytest.raises(NotFound, match=digest.hex):
        list(client.stream_blob(name, digest))
