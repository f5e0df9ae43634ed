"""The prepared collector's document."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.manifest import Manifest, parse_manifest
from azext_otelembed.image.prepared_collector import (
    EMPTY,
    CollectorLayer,
    binary_path,
    holds_only,
    make_prepared,
    parse_prepared,
    prepared_tag,
)
from azext_otelembed.image.reference import Digest
from azext_otelembed.image.tar_reader import Entry
from tests.unit.image.image_support import UPSTREAM, collector, digest


def test_a_prepared_collector_reads_back_from_its_document() -> None:
    made = collector()
    found = parse_manifest(made.manifest.to_bytes(), made.manifest.media_type)
    assert isinstance(found, Manifest)
    assert parse_prepared(found) == made
    assert made.upstream == UPSTREAM
    assert made.digest == UPSTREAM.digest
    assert (made.version, made.binary_path) == ("0.150.0", "/otelcol-contrib")
    assert [layer.role for layer in made.layers] == ["binary", "certificates"]
    assert not found.is_image


def test_it_is_found_by_version_and_upstream_digest() -> None:
    made = collector()
    assert made.tag == f"0.150.0-{made.digest.short}"
    assert prepared_tag("+build 1", made.digest) == f"build-1-{made.digest.short}"
    assert prepared_tag("..", made.digest) == f"latest-{made.digest.short}"


def test_its_config_is_the_specs_empty_one() -> None:
    pointer = collector().manifest.config
    assert (pointer.size, pointer.digest) == (len(EMPTY), Digest.of(EMPTY))


def test_docker_layers_are_retyped_for_the_document() -> None:
    layer = CollectorLayer(
        Descriptor(Family.DOCKER.layer_type("gzip"), 1, digest("b")), digest("t")
    )
    made = make_prepared(UPSTREAM, "1", "/otelcol", [layer])
    assert made.layers[0].descriptor.media_type == Family.OCI.layer_type("gzip")
    assert made.layers[0].diff_id == digest("t")


def test_upstream_has_to_be_pinned() -> None:
    with pytest.raises(InvalidImage, match="pinned to a digest"):
        make_prepared(replace(UPSTREAM, digest=None), "1", "/otelcol", collector().layers)


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
        parse_prepared(Manifest.of(Family.OCI, document))


def test_a_relative_binary_is_refused() -> None:
    with pytest.raises(InvalidImage, match="no usable binary"):
        make_prepared(UPSTREAM, "1", "otelcol", collector().layers)


def test_the_binary_is_what_the_image_starts() -> None:
    assert binary_path(ImageConfig.of({"config": {"Entrypoint": ["/otelcol", "x"]}})) == "/otelcol"
    assert binary_path(ImageConfig.of({"config": {"Cmd": ["/otelcol"]}})) == "/otelcol"


@pytest.mark.parametrize("words", [[], ["otelcol"], ["/"], ["/bin/sh", "-c", "x"]])
def test_an_image_that_starts_no_binary_is_refused(words: list[str]) -> None:
    with pytest.raises(InvalidImage, match="absolute path"):
        binary_path(ImageConfig.of({"config": {"Entrypoint": words}}))


BINARY = Entry("otelcol-contrib", "file", 0o755, 10)


@pytest.mark.parametrize(
    ("entries", "path", "expected"),
    [
        ([BINARY], "/otelcol-contrib", True),
        ([BINARY, Entry("README", "file")], "/otelcol-contrib", False),
        ([Entry("", "folder"), BINARY], "/otelcol-contrib", False),
        ([replace(BINARY, mode=0o700)], "/otelcol-contrib", False),
        ([replace(BINARY, kind="symlink")], "/otelcol-contrib", False),
        ([replace(BINARY, path="usr/bin/otelcol")], "/usr/bin/otelcol", False),
        ([BINARY], "/otelcol", False),
        ([], "/otelcol", False),
    ],
)
def test_a_layer_is_mounted_only_if_it_holds_the_binary_alone_at_top_level(
    entries: list[Entry], path: str, expected: bool
) -> None:
    assert holds_only(entries, path) is expected
