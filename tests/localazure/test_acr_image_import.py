"""importImage, through ARM."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from localazure.client import LocalAzure
from localazure.images.assemble import Entry, Image, layer, write_layout
from tests.localazure.core_support import SECRET, Shop, aad_token

TAG = "1.0"


@pytest.fixture
def layout(tmp_path: Path) -> Path:
    """An index of two platforms."""
    first = Image([layer([Entry("hello", b"hello")])], {"Cmd": ["/hello"]}, "docker")
    second = Image(first.layers, {"Cmd": ["/hello"]}, "docker", ("linux", "arm64"))
    write_layout(tmp_path / "layout", [first, second], TAG)
    return tmp_path / "layout"


def registry_id(azure: LocalAzure, name: str) -> str:
    return (
        f"/subscriptions/{azure.subscription}/resourceGroups/shop-rg"
        f"/providers/Microsoft.ContainerRegistry/registries/{name}"
    )


def import_image(
    azure: LocalAzure,
    http: httpx.Client,
    source: dict[str, Any],
    *targets: str,
    mode: str = "NoForce",
    token: str | None = None,
    **more: Any,
) -> httpx.Response:
    """Request an import and poll it; returns the last response, or the error response."""
    headers = {"authorization": f"Bearer {token or azure.token()}"}
    path = f"{registry_id(azure, 'shopregistry')}/importImage?api-version=2025-04-01"
    body = {"source": source, "targetTags": list(targets), "mode": mode, **more}
    answer = http.post(f"{azure.management}{path}", json=body, headers=headers)
    while answer.status_code == 202:
        time.sleep(0.1)
        answer = http.get(answer.headers["location"], headers=headers)
    return answer


@pytest.mark.parametrize("uri", ["docker.io", "https://docker.io", "{hub}"])
def test_an_image_of_the_hub_is_imported_with_all_its_platforms(
    azure: LocalAzure, http: httpx.Client, shop: Shop, layout: Path, uri: str
) -> None:
    digest = azure.push("hub", "otel/thing", TAG, layout)
    source = {"registryUri": uri.format(**azure.registries), "sourceImage": f"otel/thing:{TAG}"}
    assert import_image(azure, http, source, f"{shop.name}:2.0").status_code == 200
    answer = shop.call("GET", "/manifests/2.0", "pull")
    assert answer.headers["docker-content-digest"] == digest
    for child in answer.json()["manifests"]:
        manifest = shop.call("GET", f"/manifests/{child['digest']}", "pull").json()
        for blob in [manifest["config"], *manifest["layers"]]:
            assert shop.call("HEAD", f"/blobs/{blob['digest']}", "pull").status_code == 200


def test_the_hubs_official_images_are_below_library(
    azure: LocalAzure, http: httpx.Client, shop: Shop, layout: Path
) -> None:
    azure.push("hub", "library/busybox", TAG, layout)
    source = {"registryUri": "docker.io", "sourceImage": f"busybox:{TAG}"}
    assert import_image(azure, http, source, f"{shop.name}:1").status_code == 200


def test_an_existing_tag_is_replaced_only_by_force(
    azure: LocalAzure, http: httpx.Client, shop: Shop, layout: Path
) -> None:
    digest = azure.push("hub", "otel/thing", TAG, layout)
    shop.put("2.0", shop.image(b"older"))
    source = {"registryUri": "docker.io", "sourceImage": f"otel/thing@{digest}"}
    refused = import_image(azure, http, source, f"{shop.name}:2.0")
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "Conflict"
    forced = import_image(azure, http, source, f"{shop.name}:2.0", mode="Force")
    assert forced.status_code == 200
    found = shop.call("HEAD", "/manifests/2.0", "pull")
    assert found.headers["docker-content-digest"] == digest


def test_a_manifest_can_be_imported_without_a_tag(
    azure: LocalAzure, http: httpx.Client, shop: Shop, layout: Path
) -> None:
    digest = azure.push("hub", "otel/thing", TAG, layout)
    source = {"registryUri": "docker.io", "sourceImage": f"otel/thing:{TAG}"}
    done = import_image(azure, http, source, untaggedTargetRepositories=[shop.name])
    assert done.status_code == 200
    assert shop.call("HEAD", f"/manifests/{digest}", "pull").status_code == 200
    assert shop.call("GET", "/tags/list", "pull").json()["tags"] == []


@pytest.mark.parametrize(
    ("source", "status"),
    [
        ({"registryUri": "docker.io", "sourceImage": "otel/nothing:1"}, 404),
        ({"registryUri": "docker.io", "sourceImage": "otel/thing:9.9"}, 404),
        ({"registryUri": "registry.nowhere.example", "sourceImage": "a:1"}, 400),
        ({"registryUri": "docker.io"}, 400),
        ({"registryUri": "{vault}", "sourceImage": "secret/thing:1.0"}, 403),
        ({"registryUri": "docker.io", "sourceImage": f"otel/thing:1.0@sha256:{'1' * 64}"}, 400),
    ],
)
def test_invalid_imports_are_refused(
    azure: LocalAzure,
    http: httpx.Client,
    shop: Shop,
    layout: Path,
    source: dict[str, str],
    status: int,
) -> None:
    azure.push("hub", "otel/thing", TAG, layout)
    azure.push("vault", "secret/thing", TAG, layout)
    filled = {key: value.format(**azure.registries) for key, value in source.items()}
    answer = import_image(azure, http, filled, f"{shop.name}:1")
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_credentials_permit_an_import_from_a_private_source(
    azure: LocalAzure, http: httpx.Client, shop: Shop, layout: Path
) -> None:
    azure.push("vault", "secret/thing", TAG, layout)
    source = {
        "registryUri": azure.registries["vault"],
        "sourceImage": f"secret/thing:{TAG}",
        "credentials": {"username": "member", "password": SECRET},
    }
    assert import_image(azure, http, source, f"{shop.name}:1").status_code == 200


def test_an_import_from_another_registry_of_azure_requires_the_callers_right_to_pull(
    azure: LocalAzure, http: httpx.Client, shop: Shop, layout: Path
) -> None:
    azure.push("openregistry", "team/thing", TAG, layout)
    source = {
        "resourceId": registry_id(azure, "openregistry"),
        "sourceImage": f"team/thing:{TAG}",
    }
    assert import_image(azure, http, source, f"{shop.name}:1").status_code == 200
    pusher = aad_token(azure, http, "pusher")
    assert import_image(azure, http, source, f"{shop.name}:2", token=pusher).status_code == 403


def test_an_import_from_a_registry_named_by_its_host_pulls_anonymously(
    azure: LocalAzure, http: httpx.Client, shop: Shop, layout: Path
) -> None:
    azure.push("openregistry", "team/thing", TAG, layout)
    by_host = {
        "registryUri": azure.registries["openregistry"],
        "sourceImage": f"team/thing:{TAG}",
    }
    assert import_image(azure, http, by_host, f"{shop.name}:1").status_code == 200
    azure.change_registry("openregistry", anonymous_pull=False)
    try:
        assert import_image(azure, http, by_host, f"{shop.name}:2").status_code == 403
    finally:
        azure.change_registry("openregistry", anonymous_pull=True)
