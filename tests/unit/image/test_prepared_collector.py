"""The prepared collector's document."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.manifest import EMPTY, Manifest, parse_manifest
from azext_otelembed.image.prepared_collector import (
    CollectorLayer,
    binary_path,
    is_mountable_binary,
    make_prepared_collector,
    parse_prepared_collector,
    prepared_tag,
)
from azext_otelembed.image.reference import Digest
from azext_otelembed.image.tar_reader import Entry
from tests.unit.image.image_support import UPSTREAM, collector, digest


def test_a_prepared_collector_reads_back_from_its_document() -> None:
    made = collector()
    found = parse_manifest(made.manifest.data, made.manifest.media_type)
    assert isinstance(found, Manifest)
    assert parse_prepared_collector(found) == made
    assert made.upstream == UPSTREAM
    assert made.digest == UPSTREAM.digest
    assert (made.version, made.binary_path) == ("0.150.0", "/otelcol-contrib")
    assert [layer.role for layer in made.layers] == ["binary", "certificates"]
    assert not found.is_image
    assert (found.config.size, found.config.digest) == (len(EMPTY), Digest.of(EMPTY))


def test_its_tag_follows_from_the_digest_or_else_from_the_name() -> None:
    short = collector().digest.short
    assert prepared_tag(UPSTREAM) == f"0.150.0-{short}"
    assert prepared_tag(replace(UPSTREAM, tag=None)) == f"digest-{short}"
    by_name = Digest.of(f"{UPSTREAM.name}:0.150.0".encode())
    assert prepared_tag(replace(UPSTREAM, digest=None)) == f"0.150.0-of-{by_name.short}"


def test_docker_layers_are_retyped_for_the_document() -> None:
    layer = CollectorLayer(
        Descriptor(Family.DOCKER.layer_type("gzip"), 1, digest("b")), digest("t")
    )
    made = make_prepared_collector(UPSTREAM, "/otelcol", [layer])
    assert made.layers[0].descriptor.media_type == Family.OCI.layer_type("gzip")
    assert made.layers[0].diff_id == digest("t")


def test_upstream_has_to_be_pinned_and_the_binary_absolute() -> None:
    layers = collector().layers
    with pytest.raises(InvalidImage, match="pinned to a digest"):
        make_prepared_collector(replace(UPSTREAM, digest=None), "/otelcol", layers)
    with pytest.raises(InvalidImage, match="no usable binary"):
        make_prepared_collector(UPSTREAM, "otelcol", layers)


@pytest.mark.parametrize(
    "change",
    [
        {"artifactType": "application/x"},
        {"annotations": {}},
        {"annotations": None},
        {"layers": []},
        {"layers": [Descriptor("text/plain", 1, digest("x")).to_document()]},
        {"layers": [Descriptor(Family.OCI.layer_type("gzip"), 1, digest("x")).to_document()]},
    ],
)
def test_what_is_no_prepared_collector_is_refused(change: dict[str, Any]) -> None:
    document = {**collector().manifest.document, **change}
    with pytest.raises(InvalidImage, match="collector"):
        parse_prepared_collector(Manifest.of(Family.OCI, document))


def test_the_binary_is_what_the_image_starts() -> None:
    assert binary_path(ImageConfig.of({"config": {"Entrypoint": ["/otelcol", "x"]}})) == "/otelcol"
    assert binary_path(ImageConfig.of({"config": {"Cmd": ["/otelcol"]}})) == "/otelcol"


@pytest.mark.parametrize("words", [[], ["otelcol"], ["/"], ["/bin/sh", "-c", "x"]])
def test_an_image_that_starts_no_binary_is_refused(words: list[str]) -> None:
    with pytest.raises(InvalidImage, match="absolute path"):
        binary_path(ImageConfig.of({"config": {"Entrypoint": words}}))


BINARY = Entry("otelcol-contrib", "file", 0o755, 10)


@pytest.mark.parametrize(
    ("entry", "path", "expected"),
    [
        (BINARY, "/otelcol-contrib", True),
        (Entry("", "folder"), "/otelcol-contrib", False),
        (replace(BINARY, mode=0o700), "/otelcol-contrib", False),
        (replace(BINARY, mode=0o4755), "/otelcol-contrib", False),
        (replace(BINARY, kind="symlink"), "/otelcol-contrib", False),
        (replace(BINARY, path="usr/bin/otelcol"), "/usr/bin/otelcol", False),
        (BINARY, "/otelcol", False),
    ],
)
def test_a_binary_is_mountable_only_at_top_level_and_without_special_rights(
    entry: Entry, path: str, expected: bool
) -> None:
    assert is_mountable_binary(entry, path) is expected
