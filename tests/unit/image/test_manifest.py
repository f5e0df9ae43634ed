"""Manifests, indexes and configurations as registries deliver them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import labels as names
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.image_config import ImageConfig, parse_config
from azext_otelembed.image.json_document import dump, load, renderings
from azext_otelembed.image.manifest import Index, Manifest, parse_manifest, platform_choices
from azext_otelembed.image.provenance import read_provenance, restore_base
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


def test_linux_amd64_is_chosen_from_an_index() -> None:
    (chosen,) = platform_choices(
        index(entry("linux", "arm64"), entry("linux", "amd64"), entry("windows", "amd64"))
    )
    assert chosen.digest == digest("linux/amd64")


def test_the_plain_variant_wins() -> None:
    (chosen,) = platform_choices(
        index(entry("linux", "amd64", "v3", variant="v3"), entry("linux", "amd64", "plain"))
    )
    assert chosen.digest == digest("plain")


def test_attestations_are_ignored() -> None:
    kind = {"vnd.docker.reference.type": "attestation-manifest"}
    attestation = {**entry("unknown", "unknown", "a"), "annotations": kind}
    (chosen,) = platform_choices(index(attestation, entry("linux", "amd64")))
    assert chosen.digest == digest("linux/amd64")
    with pytest.raises(InvalidImage, match="offers: nothing"):
        platform_choices(index(attestation))


def test_a_single_entry_without_a_platform_is_taken_at_its_word() -> None:
    bare = {key: value for key, value in entry("", "", "only").items() if key != "platform"}
    (chosen,) = platform_choices(index(bare))
    assert chosen.digest == digest("only")


def test_an_index_for_other_platforms_says_what_it_offers() -> None:
    with pytest.raises(InvalidImage, match=r"offers: linux/arm64, windows/amd64") as caught:
        platform_choices(index(entry("windows", "amd64"), entry("linux", "arm64")))
    assert caught.value.recommendation == "Build it with `--platform linux/amd64`."


@pytest.mark.parametrize("compression", ["none", "gzip", "zstd"])
def test_layers_are_retyped_between_the_families(compression: str) -> None:
    layer = Descriptor(Family.OCI.layer_type(compression), 1, digest("x"))
    if compression == "zstd":
        with pytest.raises(InvalidImage, match="zstd"):
            layer.retype(Family.DOCKER)
    else:
        docker = layer.retype(Family.DOCKER)
        assert docker.media_type == Family.DOCKER.layer_type(compression)
        assert docker.retype(Family.OCI) == layer


def test_what_is_no_layer_is_not_retyped() -> None:
    with pytest.raises(InvalidImage, match="is not a layer"):
        Descriptor("text/plain", 1, digest("x")).retype(Family.OCI)


def test_a_configuration_tells_how_the_image_runs() -> None:
    config = parse_config(
        dump(
            {
                "os": "linux",
                "architecture": "amd64",
                "config": {
                    "Entrypoint": "/one",
                    "Cmd": ["a", "b"],
                    "Env": ["A=1"],
                    "Labels": {"a": "b"},
                },
                "rootfs": {"type": "layers", "diff_ids": [str(digest("x"))]},
            }
        )
    )
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


_keys = st.sampled_from(
    [
        *("schemaVersion", "mediaType", "config", "layers", "manifests", "annotations", "platform"),
        *("rootfs", "diff_ids", "history", "Labels", "Entrypoint", "Cmd", "os", "architecture"),
        *("size", "digest", *names.PROVENANCE, names.RESTORE),
    ]
)
_leaf = (
    values
    | st.sampled_from(
        [2, 1, *(f.manifest_type for f in Family), *(f.index_type for f in Family), "layers"]
    )
    | st.builds(lambda n: str(digest(n)), st.integers(0, 2))
)
_documents = st.dictionaries(
    _keys,
    _leaf
    | st.recursive(
        _leaf, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(_keys, inner, max_size=4)
    ),
    max_size=6,
)


@settings(deadline=None)
@given(_documents, st.none() | st.sampled_from([f.manifest_type for f in Family] + ["", INDEX]))
def test_any_document_is_read_or_is_a_problem(
    document: dict[str, Any], media_type: str | None
) -> None:
    try:
        found = parse_manifest(dump(document), media_type)
        if isinstance(found, Index):
            platform_choices(found)
    except InvalidImage:
        pass
    try:
        config = parse_config(dump(document))
        assert config.history is not None
        if read_provenance(config) is not None:
            restore_base(base().manifest, config)
    except InvalidImage:
        pass


@given(st.binary(max_size=60))
def test_any_bytes_are_read_or_are_a_problem(data: bytes) -> None:
    for read in (lambda: parse_manifest(data, None), lambda: parse_config(data)):
        try:
            found: Manifest | Index | ImageConfig = read()
        except InvalidImage:
            continue
        assert found.data == data


@given(st.dictionaries(st.text(max_size=5), values, max_size=4))
def test_every_rendering_of_a_document_reads_back(document: dict[str, Any]) -> None:
    for data in renderings(document):
        assert load(data, "It") == document


def test_the_way_go_writes_json_is_among_the_renderings() -> None:
    assert b'{"a":"\\u003cb\\u003e \\u0026 \xc3\xa9"}' in renderings({"a": "<b> & é"})
