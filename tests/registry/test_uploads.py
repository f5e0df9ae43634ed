from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from azext_otelembed.errors import NotFound, RegistryFailed
from azext_otelembed.image.reference import Digest
from azext_otelembed.progress import Progress
from azext_otelembed.registry import transfer
from azext_otelembed.registry.auth import Basic
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.transfer import BlobSource
from tests.registry.conftest import HUB, Shop, blob

MIB = 1 << 20


def send(shop: Shop, data: bytes, client: RegistryClient | None = None, **options: Any) -> None:
    """Upload in chunks of 1 MiB."""

    def read() -> Iterator[bytes]:
        for start in range(0, len(data), 300_000):
            yield data[start : start + 300_000]

    source = BlobSource(len(data), read)
    transfer.upload_stream(
        client or shop.client, shop.name, Digest.of(data), source, chunk=MIB, **options
    )


def test_a_small_blob_takes_two_requests(shop: Shop) -> None:
    digest, data = shop.upload(3000)
    assert shop.methods() == ["POST 202", "PUT 201"]
    assert shop.client.get_blob(shop.name, digest) == data


def test_an_uploads_state_is_sent_back_as_it_came(shop: Shop) -> None:
    digest, _ = shop.upload(10)
    put = shop.registries.since(shop.mark)[-1]
    assert "_nouploadcache=false&_state=" in put["query"]
    assert f"digest=sha256%3A{digest.hex}" in put["query"]


def test_a_blob_is_mounted_without_being_sent(shop: Shop) -> None:
    digest, data = shop.upload(100_000)
    mark = shop.azure.mark()
    assert transfer.mount_or_open(shop.client, f"{shop.name}/other", digest, shop.name) is None
    assert sum(r["sent"] for r in shop.registries.since(mark) if r["service"] == "acr") < 4000
    assert shop.client.get_blob(f"{shop.name}/other", digest) == data


def test_a_registry_that_does_not_mount_gets_a_copy(shop: Shop) -> None:
    digest, data = shop.upload(100_000)
    with shop.registries.without_mounts():
        assert (
            transfer.mount_or_open(shop.client, f"{shop.name}/other", digest, shop.name) is not None
        )
        seen: list[Progress] = []
        transfer.mount_or_copy(
            shop.client, f"{shop.name}/third", digest, len(data), shop.name, seen.append
        )
    assert shop.client.get_blob(f"{shop.name}/third", digest) == data
    assert (seen[-1].done, seen[-1].total) == (100_000, 100_000)


def test_a_mount_that_is_refused_opens_the_upload(shop: Shop) -> None:
    digest, data = blob(100)
    shop.client.has_blob("not/there", digest)
    transfer.mount_or_open(shop.client, shop.name, digest, "not/there")
    mark = shop.azure.mark()
    transfer.upload(shop.client, shop.name, digest, data, mount_from="not/there")
    assert shop.methods(mark) == ["POST 202", "PUT 201"]
    mark = shop.azure.mark()
    transfer.upload(shop.client, "not/there", digest, data)
    transfer.upload(shop.client, f"{shop.name}/other", digest, data, mount_from="not/there")
    assert shop.methods(mark)[-1] == "POST 201"


@pytest.mark.parametrize("fault", [{"reset": True}, {"reset_after": True}, {"status": 502}])
def test_a_small_upload_survives_a_failure_in_its_midst(shop: Shop, fault: dict[str, Any]) -> None:
    shop.azure.fault(service="acr", method="PUT", path="/uploads/", **fault)
    digest, data = shop.upload(3000)
    assert shop.client.get_blob(shop.name, digest) == data


def test_an_upload_that_arrived_although_its_answer_did_not_is_not_sent_again(shop: Shop) -> None:
    shop.azure.fault(service="acr", method="PUT", path="/uploads/", reset_after=True)
    shop.upload(3000)
    # The log has no status for what was cut.
    assert shop.methods() == ["POST 202", "PUT None", "HEAD 200"]


def test_a_large_blob_goes_in_chunks_and_tells_how_far_it_is(shop: Shop) -> None:
    digest, data = blob(3 * MIB + 5)
    seen: list[Progress] = []
    send(shop, data, report=seen.append)
    assert shop.methods() == ["POST 202", *["PATCH 202"] * 4, "PUT 201"]
    assert [p.done for p in seen] == [0, MIB, 2 * MIB, 3 * MIB, 3 * MIB + 5]
    assert {p.total for p in seen} == {3 * MIB + 5}
    assert b"".join(shop.client.stream_blob(shop.name, digest)) == data


def test_a_cut_chunk_goes_on_from_what_arrived(shop: Shop) -> None:
    digest, data = blob(2 * MIB + 5)
    shop.azure.fault(service="acr", method="PATCH", nth=2, reset=True)
    send(shop, data)
    asked = shop.methods()
    sent = ["POST", "PATCH", "PATCH", "GET", "PATCH", "PATCH", "PUT"]
    assert [a.split()[0] for a in asked] == sent
    assert b"".join(shop.client.stream_blob(shop.name, digest)) == data


def test_a_chunk_whose_answer_was_lost_is_not_sent_again(shop: Shop) -> None:
    digest, data = blob(2 * MIB)
    shop.azure.fault(service="acr", method="PATCH", nth=1, reset_after=True)
    send(shop, data)
    sent = [r["sent"] for r in shop.registries.since(shop.mark) if r["method"] == "PATCH"]
    assert sum(sent) == 2 * MIB
    assert shop.client.has_blob(shop.name, digest)


@pytest.mark.parametrize("fault", [{}, {"reset": True}, {"reset_after": True}])
def test_one_byte_is_uploaded_although_its_range_looks_like_none(
    shop: Shop, fault: dict[str, Any]
) -> None:
    digest, data = blob(1)
    if fault:
        shop.azure.fault(service="acr", method="PATCH", **fault)
    send(shop, data)
    assert shop.methods().count("POST 202") == 1
    assert shop.client.get_blob(shop.name, digest) == data


def test_an_upload_that_cannot_tell_its_state_starts_anew(shop: Shop) -> None:
    digest, data = blob(2 * MIB)
    shop.azure.fault(service="acr", method="PATCH", nth=2, reset=True)
    shop.azure.fault(service="acr", method="GET", path="/uploads/", status=405)
    send(shop, data)
    assert shop.methods().count("POST 202") == 2
    assert b"".join(shop.client.stream_blob(shop.name, digest)) == data


@pytest.mark.parametrize("status", [408, 429, 503])
@pytest.mark.parametrize(("method", "size"), [("PATCH", MIB), ("PUT", MIB), ("PUT", 100)])
def test_what_is_throttled_is_sent_again_when_the_registry_says(
    shop: Shop, method: str, size: int, status: int
) -> None:
    fault = {"service": "acr", "path": "/blobs/uploads/", "status": status, "retry_after": 1}
    shop.azure.fault(method=method, **fault)
    digest, data = blob(size)
    began = time.monotonic()
    if size == MIB:
        send(shop, data)
    else:
        shop.upload(size)
    assert time.monotonic() - began >= 1
    assert shop.client.has_blob(shop.name, digest)


def test_a_registry_that_asks_for_an_hour_is_not_waited_for(shop: Shop) -> None:
    _, data = blob(MIB)
    fault = {"service": "acr", "method": "PATCH", "status": 503, "retry_after": 3600}
    shop.azure.fault(**fault, times=0)
    with pytest.raises(RegistryFailed, match="accepts no upload for another 3600 s"):
        send(shop, data)


def test_an_upload_that_always_breaks_gives_up(shop: Shop) -> None:
    _, data = blob(MIB)
    shop.azure.fault(service="acr", method="PATCH", reset=True, times=0)
    with pytest.raises(RegistryFailed, match="was interrupted") as failure:
        send(shop, data)
    assert shop.registries.shop in failure.value.message
    assert shop.name in failure.value.message


def test_other_bytes_than_the_digest_says_are_refused_by_the_registry(shop: Shop) -> None:
    digest, data = blob(100)
    with pytest.raises(RegistryFailed, match="DIGEST_INVALID"):
        transfer.upload(shop.client, shop.name, digest, data + b"!")


def test_a_blob_is_copied_from_another_registry_through_cuts_on_both_sides(shop: Shop) -> None:
    digest, data = blob(9 * MIB)
    hub = shop.registries.anonymous()
    shop.azure.change_registry(HUB, users={"maker": "made-up"})
    try:
        maker = shop.registries.client(shop.registries.hub, Basic("maker", "made-up"))
        send(shop, data, maker)
    finally:
        shop.azure.change_registry(HUB, users={})
    shop.azure.fault(service="blob", truncate=5 * MIB)
    shop.azure.fault(service="acr", method="PATCH", nth=2, reset=True)
    seen: list[Progress] = []
    source = BlobSource(len(data), lambda: hub.stream_blob(shop.name, digest, len(data)))
    transfer.upload_stream(
        shop.client, shop.name, digest, source, report=seen.append, what="copying"
    )
    assert b"".join(shop.client.stream_blob(shop.name, digest)) == data
    assert seen[-1] == Progress("copying", len(data), len(data))


def test_a_copy_of_what_the_source_lacks_says_so(shop: Shop) -> None:
    digest, data = blob(10, seed=99)
    hub = shop.registries.anonymous()
    source = BlobSource(len(data), lambda: hub.stream_blob(shop.name, digest, len(data)))
    with pytest.raises(NotFound) as missing:
        transfer.upload_stream(shop.client, shop.name, digest, source)
    assert shop.registries.hub in missing.value.message
