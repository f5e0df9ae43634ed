"""Manifests, indexes and configurations as registries deliver them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.image_config import parse_config
from azext_otelembed.image.json_document import dump, load, renderings
from azext_otelembed.image.manifest import Index, Manifest, parse_manifest, platform_choices
from azext_otelembed.image.reference import Digest
from tests.unit.image.image_support import base, digest, manifest_document, values

CONFIG = base().config.data
INDEX = Family.OCI.index_type


def manifest(family: Family = Family.DOCKER, **changes: Any) -> bytes:
    return json.dumps(manifest_document(family, CONFIG) | changes, indent=3).encode()


def entry(os: str, architecture: str, name: str = "", **platform: str) -> dict[str, Any]:
    descriptor = Descriptor(Family.OCI.manifest_type, 7, digest(name or f"{os}/{architecture}"))
    return {
        **descriptor.to_document(),
        "platform": {"os": os, "architecture": architecture, **platform},
    }


def index(*entries: dict[str, Any], **changes: Any) -> Index:
    document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(entries), **changes}
    found = parse_manifest(dump(document), INDEX)
    assert isinstance(found, Index)
    return found


@pytest.mark.parametrize("family", list(Family))
def test_a_manifest_keeps_its_exact_bytes(family: Family) -> None:
    data = manifest(family)
    found = parse_manifest(data, f"{family.manifest_type}; charset=utf-8")
    assert isinstance(found, Manifest)
    assert (found.family, found.data, found.digest) == (family, data, Digest.of(data))
    assert found.media_type == family.manifest_type
    assert len(found.layers) == 2
    assert found.is_image


@given(st.sampled_from(Family), st.dictionaries(st.text(max_size=5), values, max_size=3))
def test_unknown_fields_survive_a_round_trip(family: Family, extra: dict[str, Any]) -> None:
    document = {**extra, **manifest_document(family, CONFIG)}
    document.pop("manifests", None)
    made = Manifest.of(family, document)
    read = parse_manifest(made.data, family.manifest_type)
    assert read == made
    assert read.document == document


@given(st.dictionaries(st.text(max_size=5), values, max_size=3))
def test_a_descriptor_reads_back_with_what_else_it_holds(extra: dict[str, Any]) -> None:
    known = ("mediaType", "size", "digest")
    extra = {key: value for key, value in extra.items() if key not in known}
    descriptor = Descriptor("a/b", 3, digest("x"), extra)
    assert Descriptor.parse(descriptor.to_document(), "It") == descriptor


@pytest.mark.parametrize("told", [None, "", "application/json", "application/octet-stream"])
@pytest.mark.parametrize("family", list(Family))
def test_the_type_is_worked_out_where_the_registry_is_silent(
    family: Family, told: str | None
) -> None:
    document = manifest_document(family, CONFIG)
    assert parse_manifest(dump(document), told) == Manifest.of(family, document)
    del document["mediaType"]
    assert parse_manifest(dump(document), told) == Manifest.of(family, document)


def test_an_index_without_a_type_is_an_oci_index() -> None:
    data = dump({"schemaVersion": 2, "manifests": [entry("linux", "amd64")]})
    assert isinstance(parse_manifest(data, None), Index)


@pytest.mark.parametrize(
    ("data", "media_type", "message"),
    [
        (b"", None, "not valid JSON"),
        (b"{", None, "not valid JSON: .* at line 1"),
        (b"[]", None, "not a JSON object"),
        (b"\xff", None, "byte 0 is not UTF-8"),
        (b'{"schemaVersion":2,"a":NaN}', None, "NaN is not JSON"),
        (b'{"schemaVersion":2,"a":1e999}', None, "too large"),
        (b"[" * 100_000, None, "nested too deeply"),
        (b" " * (4 * 1024 * 1024 + 1), None, "at most 4194304"),
        (b"{}", None, "no schemaVersion 2"),
        (b'{"schemaVersion":1}', None, "schema 1"),
        (b"{}", "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"),
        (b'{"schemaVersion":2}', None, "unknown media type: none given"),
        (b'{"schemaVersion":2}', "text/html", "unknown media type: text/html"),
        (
            manifest(mediaType="application/vnd.example+json"),
            "application/vnd.example+json",
            "unknown media type: application/vnd.example",
        ),
        (manifest(), Family.OCI.manifest_type, "but the registry serves it as"),
        (manifest(manifests=[]), None, "an index and a manifest at once"),
        (manifest(layers={}), None, "no list of layers"),
        (manifest(layers=[3]), None, "Layer 1 .* is not a descriptor"),
        (manifest(layers=[{"mediaType": "x", "digest": "y"}]), None, "Layer 1 .* no valid size"),
        (
            manifest(layers=[{"mediaType": "x", "digest": "y", "size": 1}]),
            None,
            "'y' is not a digest",
        ),
        (
            manifest(layers=[{"mediaType": "x", "digest": "sha256:0", "size": True}]),
            None,
            "no valid size",
        ),
        (manifest(config=None), None, "The config of the image's manifest is not a descriptor"),
    ],
)
def test_what_is_wrong_with_a_manifest_is_said(
    data: bytes, media_type: str | None, message: str
) -> None:
    with pytest.raises(InvalidImage, match=message):
        parse_manifest(data, media_type)


AMD64, ARM64, WINDOWS = (
    entry(*platform.split("/")) for platform in ("linux/amd64", "linux/arm64", "windows/amd64")
)
VARIANTS = [entry("linux", "amd64", "v3", variant="v3"), entry("linux", "amd64", "plain")]
ATTESTATION = {
    **entry("unknown", "unknown", "a"),
    "annotations": {"vnd.docker.reference.type": "attestation-manifest"},
}
BARE = {key: value for key, value in entry("", "", "only").items() if key != "platform"}


@pytest.mark.parametrize(
    ("entries", "chosen"),
    [
        ([ARM64, AMD64, WINDOWS], "linux/amd64"),
        (VARIANTS, "plain"),
        ([ATTESTATION, AMD64], "linux/amd64"),
        ([BARE], "only"),
    ],
)
def test_linux_amd64_is_chosen_from_an_index(entries: list[dict[str, Any]], chosen: str) -> None:
    assert [found.digest for found in platform_choices(index(*entries))] == [digest(chosen)]


@pytest.mark.parametrize(
    ("entries", "offered"),
    [([WINDOWS, ARM64], "linux/arm64, windows/amd64"), ([ATTESTATION], "nothing")],
)
def test_an_index_for_other_platforms_says_what_it_offers(
    entries: list[dict[str, Any]], offered: str
) -> None:
    with pytest.raises(InvalidImage, match=f"offers: {offered}") as caught:
        platform_choices(index(*entries))
    assert caught.value.recommendation == "Build it with `--platform linux/amd64`."


@pytest.mark.parametrize("compression", ["none", "gzip"])
def test_layers_are_retyped_between_the_families(compression: str) -> None:
    layer = Descriptor(Family.OCI.layer_type(compression), 1, digest("x"))
    docker = layer.retype(Family.DOCKER)
    assert docker.media_type == Family.DOCKER.layer_type(compression)
    assert docker.retype(Family.OCI) == layer


@pytest.mark.parametrize(
    ("media_type", "message"),
    [(Family.OCI.layer_type("zstd"), "zstd"), ("text/plain", "is not a layer")],
)
def test_other_types_are_not_retyped(media_type: str, message: str) -> None:
    with pytest.raises(InvalidImage, match=message):
        Descriptor(media_type, 1, digest("x")).retype(Family.DOCKER)


def test_a_configuration_tells_how_the_image_runs() -> None:
    settings = {"Entrypoint": "/one", "Cmd": ["a", "b"], "Env": ["A=1"], "Labels": {"a": "b"}}
    rootfs = {"type": "layers", "diff_ids": [str(digest("x"))]}
    document = {"os": "linux", "architecture": "amd64", "config": settings, "rootfs": rootfs}
    config = parse_config(dump(document))
    assert (config.entrypoint, config.cmd) == (("/one",), ("a", "b"))
    assert config.labels == {"a": "b"}
    assert (config.os, config.architecture, config.diff_ids) == ("linux", "amd64", (digest("x"),))
    assert (config.history, config.created) == ((), None)


@pytest.mark.parametrize(
    "document",
    [
        {"config": []},
        {"config": {"Entrypoint": [1]}},
        {"config": {"Cmd": {}}},
        {"config": {"Labels": {"a": 1}}},
        {"config": {"Labels": ["a"]}},
        {"rootfs": {"diff_ids": "x"}},
        {"rootfs": {"diff_ids": ["sha256:1"]}},
        {"rootfs": 3},
        {"history": {}},
        {"history": [1]},
    ],
)
def test_a_malformed_configuration_is_a_problem(document: dict[str, Any]) -> None:
    with pytest.raises(InvalidImage):
        parse_config(dump(document))


@given(st.dictionaries(st.text(max_size=5), values, max_size=4))
def test_every_rendering_of_a_document_reads_back(document: dict[str, Any]) -> None:
    for data in renderings(document):
        assert load(data, "It") == document


def test_the_way_go_writes_json_is_among_the_renderings() -> None:
    assert b'{"a":"\\u003cb\\u003e \\u0026 \xc3\xa9"}' in renderings({"a": "<b> & é"})
