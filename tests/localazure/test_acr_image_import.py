"""importImage, through ARM."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.localazure.arm_support import Arm
from tests.localazure.core_support import SECRET, Shop, aad_token

TAG = "1.0"


def registry_id(shop: Shop, name: str) -> str:
    group = f"/subscriptions/{shop.azure.subscription}/resourceGroups/shop-rg"
    return f"{group}/providers/Microsoft.ContainerRegistry/registries/{name}"


def import_image(
    shop: Shop,
    source: dict[str, Any],
    *tags: str,
    mode: str = "NoForce",
    token: str | None = None,
    **more: Any,
) -> httpx.Response:
    """Import into the repository and poll to the end; returns the last or the error response."""
    arm = Arm(shop.azure, shop.http, token or shop.azure.token())
    path = f"{registry_id(shop, 'shopregistry')}/importImage"
    targets = [f"{shop.name}:{tag}" for tag in tags]
    body = {"source": source, "targetTags": targets, "mode": mode, **more}
    return arm.finish(arm.call("POST", path, body, "2025-04-01"))


@pytest.mark.parametrize("uri", ["docker.io", "https://docker.io", "{hub}"])
def test_an_image_of_the_hub_is_imported_with_all_its_platforms(
    shop: Shop, layout: Path, uri: str
) -> None:
    digest = shop.azure.push("hub", "otel/thing", TAG, layout)
    hub = uri.format(**shop.azure.registries)
    source = {"registryUri": hub, "sourceImage": f"otel/thing:{TAG}"}
    assert import_image(shop, source, "2.0").status_code == 200
    answer = shop.call("GET", "/manifests/2.0", "pull")
    assert answer.headers["docker-content-digest"] == digest
    for child in answer.json()["manifests"]:
        manifest = shop.call("GET", f"/manifests/{child['digest']}", "pull").json()
        for blob in [manifest["config"], *manifest["layers"]]:
            assert shop.call("HEAD", f"/blobs/{blob['digest']}", "pull").status_code == 200


def test_the_hubs_official_images_are_below_library(shop: Shop, layout: Path) -> None:
    shop.azure.push("hub", "library/busybox", TAG, layout)
    source = {"registryUri": "docker.io", "sourceImage": f"busybox:{TAG}"}
    assert import_image(shop, source, "1").status_code == 200


def test_an_existing_tag_is_replaced_only_by_force(shop: Shop, layout: Path) -> None:
    digest = shop.azure.push("hub", "otel/thing", TAG, layout)
    shop.put("2.0", shop.image(b"older"))
    source = {"registryUri": "docker.io", "sourceImage": f"otel/thing@{digest}"}
    refused = import_image(shop, source, "2.0")
    assert refused.status_code == 409
    assert refused.json()["error"]["code"] == "Conflict"
    forced = import_image(shop, source, "2.0", mode="Force")
    assert forced.status_code == 200
    found = shop.call("HEAD", "/manifests/2.0", "pull")
    assert found.headers["docker-content-digest"] == digest


def test_a_manifest_can_be_imported_without_a_tag(shop: Shop, layout: Path) -> None:
    digest = shop.azure.push("hub", "otel/thing", TAG, layout)
    source = {"registryUri": "docker.io", "sourceImage": f"otel/thing:{TAG}"}
    done = import_image(shop, source, untaggedTargetRepositories=[shop.name])
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
    shop: Shop, layout: Path, source: dict[str, str], status: int
) -> None:
    shop.azure.push("hub", "otel/thing", TAG, layout)
    shop.azure.push("vault", "secret/thing", TAG, layout)
    filled = {key: value.format(**shop.azure.registries) for key, value in source.items()}
    answer = import_image(shop, filled, "1")
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_credentials_permit_an_import_from_a_private_source(shop: Shop, layout: Path) -> None:
    shop.azure.push("vault", "secret/thing", TAG, layout)
    source = {
        "registryUri": shop.azure.registries["vault"],
        "sourceImage": f"secret/thing:{TAG}",
        "credentials": {"username": "member", "password": SECRET},
    }
    assert import_image(shop, source, "1").status_code == 200


def test_an_import_from_another_registry_of_azure_requires_the_callers_right_to_pull(
    shop: Shop, layout: Path
) -> None:
    shop.azure.push("openregistry", "team/thing", TAG, layout)
    source = {"resourceId": registry_id(shop, "openregistry"), "sourceImage": f"team/thing:{TAG}"}
    assert import_image(shop, source, "1").status_code == 200
    pusher = aad_token(shop.azure, "pusher")
    assert import_image(shop, source, "2", token=pusher).status_code == 403


def test_an_import_from_a_registry_named_by_its_host_pulls_anonymously(
    shop: Shop, layout: Path
) -> None:
    shop.azure.push("openregistry", "team/thing", TAG, layout)
    host = shop.azure.registries["openregistry"]
    by_host = {"registryUri": host, "sourceImage": f"team/thing:{TAG}"}
    assert import_image(shop, by_host, "1").status_code == 200
    shop.azure.change_registry("openregistry", anonymous_pull=False)
    try:
        assert import_image(shop, by_host, "2").status_code == 403
    finally:
        shop.azure.change_registry("openregistry", anonymous_pull=True)
