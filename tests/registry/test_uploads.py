from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from azext_otelembed.errors import NotFound, RegistryFailed
from azext_otelembed.progress import Progress
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.transfer import BlobSource
from tests.registry.conftest import HUB, SHOP, Registries, blob

MIB = 1 << 20


def methods(registries: Registries, mark: int) -> list[str]:
    """What was asked of the registry, without tokens and blob storage."""
    return [
        f"{r['method']} {r['status']}"
        for r in registries.since(mark)
        if r["service"] == "acr" and r["path"].startswith("/v2/")
    ]


@pytest.fixture
def client(registries: Registries, name: str) -> RegistryClient:
    """An owner that holds its token already."""
    client = registries.owner()
    client.has_blob("warm/up", blob(1)[0])
    client.has_blob(name, blob(1)[0])
    return client


def test_a_small_blob_takes_two_requests(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = blob(3000)
    mark = registries.azure.mark()
    transfer.upload(client, name, digest, data)
    assert methods(registries, mark) == ["POST 202", "PUT 201"]
    assert client.get_blob(name, digest) == data


def test_an_uploads_state_is_sent_back_as_it_came(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = blob(10)
    mark = registries.azure.mark()
    transfer.upload(client, name, digest, data)
    put = registries.since(mark)[-1]
    assert "_nouploadcache=false&_state=" in put["query"]
    assert f"digest=sha256%3A{digest.hex}" in put["query"]


def test_a_blob_is_mounted_without_being_sent(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = blob(100_000)
    transfer.upload(client, name, digest, data)
    mark = registries.azure.mark()
    assert transfer.mount_or_open(client, f"{name}/other", digest, name) is None
    assert sum(r["sent"] for r in registries.since(mark) if r["service"] == "acr") < 4000
    assert client.get_blob(f"{name}/other", digest) == data


def test_a_registry_that_does_not_mount_gets_a_copy(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = blob(100_000)
    transfer.upload(client, name, digest, data)
    registries.azure.change_registry(SHOP, mounts=False)
    try:
        assert transfer.mount_or_open(client, f"{name}/other", digest, name) is not None
        seen: list[Progress] = []
        transfer.mount_or_copy(client, f"{name}/third", digest, len(data), name, seen.append)
    finally:
        registries.azure.change_registry(SHOP, mounts=True)
    assert client.get_blob(f"{name}/third", digest) == data
    assert (seen[-1].done, seen[-1].total) == (100_000, 100_000)


def test_a_mount_that_is_refused_opens_the_upload(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = blob(100)
    client.has_blob("not/there", digest)
    transfer.mount_or_open(client, name, digest, "not/there")
    mark = registries.azure.mark()
    transfer.upload(client, name, digest, data, mount_from="not/there")
    assert methods(registries, mark) == ["POST 202", "PUT 201"]
    mark = registries.azure.mark()
    transfer.upload(client, "not/there", digest, data)
    transfer.upload(client, f"{name}/other", digest, data, mount_from="not/there")
    assert methods(registries, mark)[-1] == "POST 201"


@pytest.mark.parametrize("fault", [{"reset": True}, {"reset_after": True}, {"status": 502}])
def test_a_small_upload_survives_a_failure_in_its_midst(
    registries: Registries, client: RegistryClient, name: str, fault: dict[str, Any]
) -> None:
    digest, data = blob(3000)
    registries.azure.fault(service="acr", method="PUT", path="/uploads/", **fault)
    transfer.upload(client, name, digest, data)
    assert client.get_blob(name, digest) == data


def test_an_upload_that_arrived_although_its_answer_did_not_is_not_sent_again(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = blob(3000)
    registries.azure.fault(service="acr", method="PUT", path="/uploads/", reset_after=True)
    mark = registries.azure.mark()
    transfer.upload(client, name, digest, data)
    # The log has no status for what was cut.
    assert methods(registries, mark) == ["POST 202", "PUT None", "HEAD 200"]


def test_a_large_blob_goes_in_chunks_and_tells_how_far_it_is(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = blob(3 * MIB + 5)
    seen: list[Progress] = []
    mark = registries.azure.mark()
    send(client, name, data, report=seen.append)
    assert methods(registries, mark) == ["POST 202", *["PATCH 202"] * 4, "PUT 201"]
    assert [p.done for p in seen] == [0, MIB, 2 * MIB, 3 * MIB, 3 * MIB + 5]
    assert {p.total for p in seen} == {3 * MIB + 5}
    assert b"".join(client.stream_blob(name, digest)) == data


def test_a_cut_chunk_goes_on_from_what_arrived(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = blob(2 * MIB + 5)
    registries.azure.fault(service="acr", method="PATCH", nth=2, reset=True)
    mark = registries.azure.mark()
    send(client, name, data)
    asked = methods(registries, mark)
    assert [a.split()[0] for a in asked] == [
        "POST",
        "PATCH",
        "PATCH",
        "GET",
        "PATCH",
        "PATCH",
        "PUT",
    ]
    assert b"".join(client.stream_blob(name, digest)) == data


def test_a_chunk_whose_answer_was_lost_is_not_sent_again(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = blob(2 * MIB)
    registries.azure.fault(service="acr", method="PATCH", nth=1, reset_after=True)
    mark = registries.azure.mark()
    send(client, name, data)
    sent = [r["sent"] for r in registries.since(mark) if r["method"] == "PATCH"]
    assert sum(sent) == 2 * MIB
    assert client.has_blob(name, digest)


@pytest.mark.parametrize("fault", [{}, {"reset": True}, {"reset_after": True}])
def test_one_byte_is_uploaded_although_its_range_looks_like_none(
    registries: Registries, client: RegistryClient, name: str, fault: dict[str, Any]
) -> None:
    digest, data = blob(1)
    if fault:
        registries.azure.fault(service="acr", method="PATCH", **fault)
    mark = registries.azure.mark()
    send(client, name, data)
    assert methods(registries, mark).count("POST 202") == 1
    assert client.get_blob(name, digest) == data


def test_an_upload_that_cannot_tell_its_state_starts_anew(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = blob(2 * MIB)
    registries.azure.fault(service="acr", method="PATCH", nth=2, reset=True)
    registries.azure.fault(service="acr", method="GET", path="/uploads/", status=405)
    mark = registries.azure.mark()
    send(client, name, data)
    assert methods(registries, mark).count("POST 202") == 2
    assert b"".join(client.stream_blob(name, digest)) == data


@pytest.mark.parametrize("status", [408, 429, 503])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
def test_what_is_throttled_is_sent_again_when_the_registry_says(
    registries: Registries, client: RegistryClient, name: str, method: str, status: int
) -> None:
    digest, data = blob(MIB)
    fault = {"service": "acr", "path": "/blobs/uploads/", "status": status, "retry_after": 1}
    registries.azure.fault(method=method, **fault)
    began = time.monotonic()
    send(client, name, data)
    assert time.monotonic() - began >= 1
    assert client.has_blob(name, digest)


@pytest.mark.parametrize("status", [408, 429, 503])
def test_a_small_blob_that_is_throttled_is_sent_again_when_the_registry_says(
    registries: Registries, client: RegistryClient, name: str, status: int
) -> None:
    digest, data = blob(100)
    fault = {"service": "acr", "path": "/blobs/uploads/", "status": status, "retry_after": 1}
    registries.azure.fault(method="PUT", **fault)
    began = time.monotonic()
    transfer.upload(client, name, digest, data)
    assert time.monotonic() - began >= 1
    assert client.has_blob(name, digest)


def test_a_registry_that_asks_for_an_hour_is_not_waited_for(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    _, data = blob(MIB)
    fault = {"service": "acr", "method": "PATCH", "status": 503, "retry_after": 3600}
    registries.azure.fault(**fault, times=0)
    with pytest.raises(RegistryFailed, match="accepts no upload for another 3600 s"):
        send(client, name, data)


def test_an_upload_that_always_breaks_gives_up(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    _, data = blob(MIB)
    registries.azure.fault(service="acr", method="PATCH", reset=True, times=0)
    with pytest.raises(RegistryFailed, match="was interrupted") as failure:
        send(client, name, data)
    assert registries.shop in failure.value.message
    assert name in failure.value.message


def test_other_bytes_than_the_digest_says_are_refused_by_the_registry(
    client: RegistryClient, name: str
) -> None:
    digest, data = blob(100)
    with pytest.raises(RegistryFailed, match="DIGEST_INVALID"):
        transfer.upload(client, name, digest, data + b"!")


def test_a_blob_is_copied_from_another_registry_through_cuts_on_both_sides(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = blob(9 * MIB)
    hub = registries.anonymous()
    registries.azure.change_registry(HUB, users={"maker": "made-up"})
    try:
        from azext_otelembed.registry.auth import Basic

        maker = registries.client(registries.hub, Basic("maker", "made-up"))
        send(maker, name, data)
    finally:
        registries.azure.change_registry(HUB, users={})
    registries.azure.fault(service="blob", truncate=5 * MIB)
    registries.azure.fault(service="acr", method="PATCH", nth=2, reset=True)
    seen: list[Progress] = []
    source = BlobSource(len(data), lambda: hub.stream_blob(name, digest, len(data)))
    transfer.upload_stream(client, name, digest, source, report=seen.append, what="copying")
    assert b"".join(client.stream_blob(name, digest)) == data
    assert seen[-1] == Progress("copying", len(data), len(data))


def test_a_copy_of_what_the_source_lacks_says_so(
    registries: Registries, client: RegistryClient, name: str
) -> None:
    digest, data = blob(10, seed=99)
    hub = registries.anonymous()
    source = BlobSource(len(data), lambda: hub.stream_blob(name, digest, len(data)))
    with pytest.raises(NotFound) as missing:
        transfer.upload_stream(client, name, digest, source)
    assert registries.hub in missing.value.message


def send(client: RegistryClient, name: str, data: bytes, **options: Any) -> None:
    from azext_otelembed.image.reference import Digest

    def read() -> Iterator[bytes]:
        for start in range(0, len(data), 300_000):
            yield data[start : start + 300_000]

    transfer.upload_stream(
        client, name, Digest.of(data), BlobSource(len(data), read), chunk=MIB, **options
    )
