"""Blobs: uploads in one request and in chunks, mounts, redirects to storage, ranges."""

from __future__ import annotations

import contextlib
import http.client
import ssl
import time
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest

from localazure.acr.sas import Signer
from localazure.client import LocalAzure
from tests.localazure.core_support import Shop, aad_token, sha256

DATA = bytes(range(256)) * 40


def test_an_upload_begins_with_a_relative_location_that_carries_its_state(shop: Shop) -> None:
    answer = shop.call("POST", "/blobs/uploads/")
    assert answer.status_code == 202
    identifier = answer.headers["docker-upload-uuid"]
    location = urlsplit(answer.headers["location"])
    assert location.netloc == ""
    assert location.path == f"/v2/{shop.name}/blobs/uploads/{identifier}"
    assert list(parse_qs(location.query)) == ["_nouploadcache", "_state"]
    assert answer.headers["range"] == "0-0"


def test_a_blob_uploaded_in_chunks_has_its_digest(shop: Shop) -> None:
    location = shop.call("POST", "/blobs/uploads/").headers["location"]
    for start in range(0, len(DATA), 4096):
        chunk = DATA[start : start + 4096]
        headers = {"content-range": f"{start}-{start + len(chunk) - 1}"}
        answer = shop.call("PATCH", location, content=chunk, headers=headers)
        assert answer.status_code == 202
        assert answer.headers["range"] == f"0-{start + len(chunk) - 1}"
        assert answer.headers["location"] != location
        location = answer.headers["location"]
    answer = shop.call("PUT", f"{location}&digest={sha256(DATA)}")
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v2/{shop.name}/blobs/{sha256(DATA)}"
    head = shop.call("HEAD", f"/blobs/{sha256(DATA)}", "pull")
    assert head.status_code == 200
    assert head.headers["content-length"] == str(len(DATA))
    assert head.headers["content-type"] == "application/octet-stream"
    assert head.headers["docker-content-digest"] == sha256(DATA)


@pytest.mark.parametrize("header", ["10-20", "5000-5999", "nonsense"])
def test_a_chunk_out_of_order_is_refused_with_the_expected_offset(shop: Shop, header: str) -> None:
    location = shop.call("POST", "/blobs/uploads/").headers["location"]
    location = shop.call("PATCH", location, content=DATA[:1000]).headers["location"]
    answer = shop.call("PATCH", location, content=b"x", headers={"content-range": header})
    assert answer.status_code == 416
    assert answer.headers["range"] == "0-999"
    location = answer.headers["location"]
    answer = shop.call("PUT", f"{location}&digest={sha256(DATA)}", content=DATA[1000:], headers={})
    assert answer.status_code == 201


def test_a_chunk_sent_to_an_old_location_is_refused(shop: Shop) -> None:
    old = shop.call("POST", "/blobs/uploads/").headers["location"]
    assert shop.call("PATCH", old, content=b"a").status_code == 202
    assert shop.call("PATCH", old, content=b"b").status_code == 416


def test_the_state_is_required_and_has_to_belong_to_the_upload(shop: Shop) -> None:
    first = shop.call("POST", "/blobs/uploads/").headers["location"]
    second = shop.call("POST", "/blobs/uploads/").headers["location"]
    path, state = first.split("?")[0], second.split("?")[1]
    for location in (path, f"{path}?{state}", f"{path}?_state=AAAA", f"{path}?_state=%21"):
        answer = shop.call("PATCH", location, content=b"x")
        assert answer.status_code == 404
        assert answer.json()["errors"][0]["code"] == "BLOB_UPLOAD_UNKNOWN"


def test_the_status_of_an_upload_has_the_received_size(shop: Shop) -> None:
    location = shop.call("POST", "/blobs/uploads/").headers["location"]
    shop.call("PATCH", location, content=DATA[:700])
    answer = shop.call("GET", location)
    assert answer.status_code == 204
    assert answer.headers["range"] == "0-699"
    rest = shop.call("PATCH", answer.headers["location"], content=DATA[700:])
    assert rest.headers["range"] == f"0-{len(DATA) - 1}"


def test_the_part_before_a_cut_is_kept(shop: Shop) -> None:
    location = shop.call("POST", "/blobs/uploads/").headers["location"]
    token = shop.token(f"repository:{shop.name}:pull,push")
    context = ssl.create_default_context(cafile=shop.azure.ca)
    connection = http.client.HTTPSConnection(shop.login, context=context)
    connection.putrequest("PATCH", location)
    connection.putheader("authorization", f"Bearer {token}")
    connection.putheader("content-length", str(len(DATA)))
    connection.endheaders(DATA[:5000])
    answer = shop.call("GET", location)
    while answer.headers["range"] != "0-4999":
        time.sleep(0.02)
        answer = shop.call("GET", location)
    connection.close()
    location = shop.call("GET", location).headers["location"]
    end = shop.call("PUT", f"{location}&digest={sha256(DATA)}", content=DATA[5000:])
    assert end.status_code == 201


def test_a_wrong_digest_is_refused_and_the_blob_is_not_stored(shop: Shop) -> None:
    location = shop.call("POST", "/blobs/uploads/").headers["location"]
    answer = shop.call("PUT", f"{location}&digest=sha256%3A00000000", content=DATA)
    assert answer.status_code == 400
    assert answer.json()["errors"][0] == {
        "code": "DIGEST_INVALID",
        "message": "provided digest did not match uploaded content",
        "detail": "digest parsing failed",
    }
    location = shop.call("POST", "/blobs/uploads/").headers["location"]
    wrong = sha256(b"something else")
    assert shop.call("PUT", f"{location}&digest={wrong}", content=DATA).status_code == 400
    assert shop.call("HEAD", f"/blobs/{wrong}", "pull").status_code == 404


def test_an_upload_can_be_cancelled(shop: Shop) -> None:
    location = shop.call("POST", "/blobs/uploads/").headers["location"]
    assert shop.call("DELETE", location).status_code == 204
    assert shop.call("GET", location).status_code == 404


def test_a_blob_is_mounted_from_a_repository_that_the_token_covers(shop: Shop) -> None:
    digest, other = shop.upload(DATA), shop.named(f"{shop.name}-copy")
    path = f"/blobs/uploads/?mount={digest}&from={shop.name}"
    assert other.call("POST", path).status_code == 202, "no right to the source"
    scopes = [f"repository:{shop.name}:pull"]
    answer = other.call("POST", path, scopes=scopes)
    assert answer.status_code == 201
    assert answer.headers["location"] == f"/v2/{other.name}/blobs/{digest}"
    assert answer.headers["docker-content-digest"] == digest
    assert other.call("HEAD", f"/blobs/{digest}", "pull").status_code == 200


def test_a_registry_without_mounts_starts_an_upload(azure: LocalAzure, shop: Shop) -> None:
    digest, other = shop.upload(DATA), shop.named(f"{shop.name}-copy")
    azure.change_registry("shopregistry", mounts=False)
    try:
        path = f"/blobs/uploads/?mount={digest}&from={shop.name}"
        answer = other.call("POST", path, scopes=[f"repository:{shop.name}:pull"])
    finally:
        azure.change_registry("shopregistry", mounts=True)
    assert answer.status_code == 202
    assert "docker-upload-uuid" in answer.headers
    assert other.call("HEAD", f"/blobs/{digest}", "pull").status_code == 404


def storage_address(shop: Shop) -> str:
    answer = shop.call("GET", f"/blobs/{shop.upload(DATA)}", "pull")
    assert answer.status_code == 307
    assert answer.headers["docker-content-digest"] == sha256(DATA)
    location: str = answer.headers["location"]
    assert location.startswith(f"{shop.azure.info['blobs']}/")
    return location


def test_a_blob_is_read_from_storage_at_another_origin(shop: Shop) -> None:
    address = storage_address(shop)
    answer = shop.http.get(address)
    assert (answer.status_code, answer.content) == (200, DATA)
    assert answer.headers["accept-ranges"] == "bytes"
    head = shop.http.head(address)
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(DATA)))


@pytest.mark.parametrize(
    ("asked", "start", "end"),
    [("bytes=0-9", 0, 10), ("bytes=100-", 100, len(DATA)), ("bytes=10200-99999", 10200, 10240)],
)
def test_storage_supports_ranges(shop: Shop, asked: str, start: int, end: int) -> None:
    address = storage_address(shop)
    for header in ("range", "x-ms-range"):
        answer = shop.http.get(address, headers={header: asked})
        assert (answer.status_code, answer.content) == (206, DATA[start:end])
        assert answer.headers["content-range"] == f"bytes {start}-{end - 1}/{len(DATA)}"


def test_a_range_beyond_the_end_is_416(shop: Shop) -> None:
    answer = shop.http.get(storage_address(shop), headers={"range": "bytes=99999-"})
    assert answer.status_code == 416
    assert "InvalidRange" in answer.text


def test_storage_refuses_requests_without_a_valid_signature(
    azure: LocalAzure, http: httpx.Client, shop: Shop
) -> None:
    address = storage_address(shop)
    plain = address.split("?")[0]
    assert http.get(plain).status_code == 403
    assert http.get(address.replace("sig=", "sig=A")).status_code == 403
    late = address.replace("se=20", "se=21")
    assert http.get(late).status_code == 403
    token = aad_token(azure, "pusher")
    leaked = http.get(address, headers={"authorization": f"Bearer {token}"})
    assert leaked.status_code == 400
    assert "InvalidAuthenticationInfo" in leaked.text
    assert http.get(f"{azure.info['blobs']}/x").status_code == 404


def test_a_signature_expires() -> None:
    signer = Signer()
    signer.lifetime = -1
    query = {k: v[0] for k, v in parse_qs(signer.query("/a", "rid")).items()}
    assert not signer.valid("/a", query["se"], query["sig"])
    signer.lifetime = 60
    query = {k: v[0] for k, v in parse_qs(signer.query("/a", "rid")).items()}
    assert signer.valid("/a", query["se"], query["sig"])
    assert not signer.valid("/b", query["se"], query["sig"])


def test_the_log_hides_the_signature(azure: LocalAzure, shop: Shop) -> None:
    mark = azure.mark()
    shop.http.get(storage_address(shop))
    (record,) = azure.requests(since=mark, service="blob")
    assert "sig=***" in record["query"]
    assert record["received"] == len(DATA)


def test_a_deleted_blob_is_removed_from_its_repository_only(shop: Shop) -> None:
    digest, other = shop.upload(DATA), shop.named(f"{shop.name}-other")
    other.upload(DATA)
    assert shop.call("DELETE", f"/blobs/{digest}", "delete").status_code == 202
    assert shop.call("GET", f"/blobs/{digest}", "pull").status_code == 404
    assert other.call("GET", f"/blobs/{digest}", "pull").status_code == 307


def test_a_large_blob_passes_through_in_both_directions(shop: Shop) -> None:
    piece, count = bytes(1 << 20), 96
    location = shop.call("POST", "/blobs/uploads/").headers["location"]
    sent = shop.call("PATCH", location, content=(piece for _ in range(count)))
    assert sent.headers["range"] == f"0-{len(piece) * count - 1}"
    digest = sha256(piece * count)
    done = shop.call("PUT", f"{sent.headers['location']}&digest={digest}")
    assert done.status_code == 201
    address = shop.call("GET", f"/blobs/{digest}", "pull").headers["location"]
    with contextlib.ExitStack() as stack:
        answer = stack.enter_context(shop.http.stream("GET", address))
        assert sum(len(chunk) for chunk in answer.iter_raw()) == len(piece) * count
