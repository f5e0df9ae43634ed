"""Manifests, tags, catalog, referrers and the attributes API."""

from __future__ import annotations

import hashlib
import json

import pytest

from localazure.client import LocalAzure
from tests.localazure.core_support import DOCKER, OCI, Shop, sha256

INDEX = "application/vnd.oci.image.index.v1+json"


def index(*children: bytes) -> bytes:
    manifests = [
        {"mediaType": DOCKER, "size": len(child), "digest": sha256(child)} for child in children
    ]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": manifests}).encode()


def test_a_manifest_is_returned_byte_for_byte_by_tag_and_by_digest(shop: Shop) -> None:
    manifest = shop.image(b"layer") + b"\n\n"
    put = shop.put("1.0", manifest)
    digest = sha256(manifest)
    assert put.status_code == 201
    assert put.content == b""
    assert put.headers["docker-content-digest"] == digest
    assert put.headers["location"] == f"/v2/{shop.name}/manifests/{digest}"
    for reference in ("1.0", digest):
        answer = shop.call("GET", f"/manifests/{reference}", "pull")
        assert answer.content == manifest
        assert answer.headers["content-type"] == DOCKER
        assert answer.headers["docker-content-digest"] == digest
        assert answer.headers["etag"] == f'"{digest}"'
        head = shop.call("HEAD", f"/manifests/{reference}", "pull")
        assert head.content == b""
        assert head.headers["content-length"] == str(len(manifest))


def test_responses_have_the_headers_of_recordings(shop: Shop) -> None:
    headers = {"x-ms-client-request-id": "abc"}
    answer = shop.call("GET", "/manifests/1.0", "pull", headers=headers)
    assert answer.headers["server"] == "openresty"
    assert answer.headers["docker-distribution-api-version"] == "registry/2.0"
    assert answer.headers["x-ms-client-request-id"] == "abc"
    assert len(answer.headers.get_list("access-control-expose-headers")) == 4
    assert len(answer.headers.get_list("strict-transport-security")) == 2
    assert "x-ms-correlation-request-id" in answer.headers
    assert answer.content.endswith(b"\n")


def test_an_unknown_tag_and_an_unknown_digest_are_404(shop: Shop) -> None:
    (error,) = shop.call("GET", "/manifests/wrong-tag", "pull").json()["errors"]
    assert error == {
        "code": "MANIFEST_UNKNOWN",
        "message": 'manifest tagged by "wrong-tag" is not found',
        "detail": {"Tag": "wrong-tag"},
    }
    assert shop.call("GET", f"/manifests/{sha256(b'')}", "pull").status_code == 404


def test_a_manifest_that_names_a_blob_of_another_repository_is_refused(shop: Shop) -> None:
    manifest = shop.image(b"layer")
    answer = shop.named(f"{shop.name}-other").put("1.0", manifest)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "MANIFEST_BLOB_UNKNOWN"


def test_an_index_needs_its_manifests(shop: Shop) -> None:
    first, second = shop.image(b"one"), shop.image(b"two")
    shop.put(sha256(first), first)
    answer = shop.put("1.0", index(first, second), INDEX)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == "MANIFEST_UNKNOWN"
    shop.put(sha256(second), second)
    assert shop.put("1.0", index(first, second), INDEX).status_code == 201


def test_a_put_by_digest_has_to_match(shop: Shop) -> None:
    manifest = shop.image(b"layer")
    answer = shop.put(sha256(b"other"), manifest)
    assert answer.json()["errors"][0]["code"] == "DIGEST_INVALID"
    assert shop.put(sha256(manifest), manifest).status_code == 201
    assert shop.call("GET", "/tags/list", "pull").json()["tags"] == []


@pytest.mark.parametrize(
    ("reference", "manifest", "code"),
    [
        ("1.0", b"{", "MANIFEST_INVALID"),
        ("1.0", b"[]", "MANIFEST_INVALID"),
        ("1.0", b'{"schemaVersion": 1}', "MANIFEST_INVALID"),
        ("1.0", b'{"schemaVersion": 2, "layers": []}', "MANIFEST_INVALID"),
        ("1.0", b'{"schemaVersion": 2, "mediaType": "text/plain"}', "MANIFEST_INVALID"),
        ("-bad", b"{}", "TAG_INVALID"),
    ],
)
def test_a_malformed_manifest_is_refused(
    shop: Shop, reference: str, manifest: bytes, code: str
) -> None:
    answer = shop.put(reference, manifest)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["code"] == code


def test_a_wrong_size_and_a_contradicting_media_type_are_refused(shop: Shop) -> None:
    manifest = shop.image(b"layer")
    longer = manifest.replace(b'"size": 5', b'"size": 6')
    assert longer != manifest
    assert shop.put("1.0", longer).json()["errors"][0]["code"] == "MANIFEST_INVALID"
    assert shop.put("1.0", manifest, OCI).json()["errors"][0]["code"] == "MANIFEST_INVALID"


def test_upper_case_names_are_invalid(shop: Shop) -> None:
    token = {"authorization": f"Bearer {shop.token(f'repository:{shop.name}:pull')}"}
    answer = shop.http.get(f"https://{shop.login}/v2/Upper/manifests/1", headers=token)
    assert answer.json()["errors"][0]["code"] == "NAME_INVALID"


def test_a_tag_moves_and_the_old_manifest_stays(shop: Shop) -> None:
    old, new = shop.image(b"old"), shop.image(b"new")
    shop.put("1.0", old)
    shop.put("1.0", new)
    assert shop.call("GET", "/manifests/1.0", "pull").content == new
    assert shop.call("GET", f"/manifests/{sha256(old)}", "pull").content == old


def test_deleting_a_manifest_deletes_its_tags_and_deleting_a_tag_does_not(shop: Shop) -> None:
    first, second = shop.image(b"first"), shop.image(b"second")
    for tag, manifest in (("1.0", first), ("latest", first), ("2.0", second)):
        shop.put(tag, manifest)
    assert shop.call("DELETE", f"/manifests/{sha256(first)}", "delete").status_code == 202
    assert shop.call("GET", "/tags/list", "pull").json()["tags"] == ["2.0"]
    assert shop.call("DELETE", f"/acr/v1/{shop.name}/_tags/2.0", "delete").status_code == 202
    assert shop.call("GET", f"/manifests/{sha256(second)}", "pull").status_code == 200
    assert shop.call("DELETE", f"/acr/v1/{shop.name}/_tags/2.0", "delete").status_code == 404


def test_tags_are_paged_with_a_relative_link(shop: Shop) -> None:
    manifest = shop.image(b"layer")
    for tag in ("a", "b", "c"):
        shop.put(tag, manifest)
    first = shop.call("GET", "/tags/list?n=2", "pull")
    assert first.json() == {"name": shop.name, "tags": ["a", "b"]}
    link = f"/v2/{shop.name}/tags/list?last=b&n=2&orderby="
    assert first.headers["link"] == f'<{link}>; rel="next"'
    last = shop.call("GET", link, "pull")
    assert last.json()["tags"] == ["c"]
    assert "link" not in last.headers


def test_a_repository_that_does_not_exist_is_404(shop: Shop) -> None:
    (error,) = shop.call("GET", f"/acr/v1/{shop.name}/_tags", "metadata_read").json()["errors"]
    text = f'repository "{shop.name}" is not found'
    assert error == {"code": "NAME_UNKNOWN", "message": text}


def test_the_catalog_lists_repositories_that_hold_a_manifest(shop: Shop) -> None:
    empty = shop.named(f"{shop.name}-empty")
    empty.upload(b"no manifest")
    shop.put("1.0", shop.image(b"layer"))
    token = {"authorization": f"Bearer {shop.token('registry:catalog:*')}"}
    answer = shop.http.get(f"https://{shop.login}/v2/_catalog", headers=token)
    assert shop.name in answer.json()["repositories"]
    assert empty.name not in answer.json()["repositories"]
    page = shop.http.get(f"https://{shop.login}/acr/v1/_catalog?n=1", headers=token)
    assert len(page.json()["repositories"]) == 1


def test_referrers_lists_the_manifests_that_name_a_subject(shop: Shop) -> None:
    base = shop.image(b"base")
    shop.put("1.0", base)
    subject = {"mediaType": DOCKER, "size": len(base), "digest": sha256(base)}
    kind, notes = "application/vnd.example.record", {"when": "now"}
    artifact = shop.image(
        b"record", media_type=OCI, subject=subject, artifactType=kind, annotations=notes
    )
    put = shop.put(sha256(artifact), artifact, OCI)
    assert put.headers["oci-subject"] == sha256(base)
    answer = shop.call("GET", f"/referrers/{sha256(base)}", "pull")
    assert answer.headers["content-type"] == INDEX
    assert answer.json()["manifests"] == [
        {
            "mediaType": OCI,
            "digest": sha256(artifact),
            "size": len(artifact),
            "artifactType": kind,
            "annotations": notes,
        }
    ]
    filtered = shop.call("GET", f"/referrers/{sha256(base)}?artifactType=a/b", "pull")
    assert filtered.headers["oci-filters-applied"] == "artifactType"
    assert filtered.json()["manifests"] == []


def test_a_registry_without_referrers_returns_404_and_no_subject(
    azure: LocalAzure, shop: Shop
) -> None:
    base = shop.image(b"base")
    subject = {"mediaType": DOCKER, "size": len(base), "digest": sha256(base)}
    artifact = shop.image(b"record", media_type=OCI, subject=subject)
    azure.change_registry("shopregistry", referrers=False)
    try:
        put = shop.put(sha256(artifact), artifact, OCI)
        answer = shop.call("GET", f"/referrers/{sha256(base)}", "pull")
    finally:
        azure.change_registry("shopregistry", referrers=True)
    assert "oci-subject" not in put.headers
    assert answer.status_code == 404


def test_the_attributes_api_lists_repositories_tags_and_manifests(shop: Shop) -> None:
    manifest = shop.image(b"layer")
    shop.put("1.0", manifest)
    shop.put("latest", manifest)
    everything = dict.fromkeys(
        ("deleteEnabled", "writeEnabled", "readEnabled", "listEnabled"), True
    )
    path = f"/acr/v1/{shop.name}"
    repository = shop.call("GET", path, "metadata_read").json()
    assert (repository["manifestCount"], repository["tagCount"]) == (1, 2)
    assert repository["changeableAttributes"] == everything
    tag = shop.call("GET", f"{path}/_tags/1.0", "metadata_read").json()
    assert tag["registry"] == shop.login
    assert tag["imageName"] == shop.name
    assert tag["tag"]["digest"] == sha256(manifest)
    assert tag["tag"]["createdTime"].endswith("0Z")
    tags = shop.call("GET", f"{path}/_tags?orderby=timedesc", "metadata_read").json()["tags"]
    assert [tag["name"] for tag in tags] == ["latest", "1.0"]
    (listed,) = shop.call("GET", f"{path}/_manifests", "metadata_read").json()["manifests"]
    one = shop.call("GET", f"{path}/_manifests/{sha256(manifest)}", "metadata_read").json()
    assert one["manifest"] == listed
    assert listed["tags"] == ["1.0", "latest"]
    assert (listed["architecture"], listed["os"]) == ("amd64", "linux")
    assert listed["imageSize"] == 5 + len(b'{"architecture": "amd64", "os": "linux"}')


def test_a_repository_is_deleted_with_its_content(shop: Shop) -> None:
    manifest = shop.image(b"layer")
    shop.put("1.0", manifest)
    answer = shop.call("DELETE", f"/acr/v1/{shop.name}", "delete")
    assert answer.status_code == 202
    assert answer.json() == {"manifestsDeleted": [sha256(manifest)], "tagsDeleted": ["1.0"]}
    assert shop.call("GET", "/manifests/1.0", "pull").status_code == 404


def test_an_unknown_operation_is_404(shop: Shop) -> None:
    digest = hashlib.sha256().hexdigest()
    path = f"https://{shop.login}/acr/v1/x/_streaming/sha256:{digest}"
    (error,) = shop.http.get(path).json()["errors"]
    text = "The specified operation does not exist"
    assert error == {"code": "OPERATION_UNKNOWN", "message": text}
