"""Layers and layouts made from bytes."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
import zlib
from pathlib import Path

import pytest
import zstandard

from localazure.images.assemble import Entry, Image, layer, write_layout

ENTRIES = [
    Entry("bin/sh", b"#!", 0o755),
    Entry("/srv", kind="dir", mode=0o1777),
    Entry("lib", kind="symlink", target="usr/lib"),
    Entry("etc/shadow", kind="whiteout"),
    Entry("var/cache", kind="opaque"),
]


def read(layout: Path, digest: str) -> bytes:
    data = (layout / "blobs" / digest.replace(":", "/")).read_bytes()
    assert "sha256:" + hashlib.sha256(data).hexdigest() == digest
    return data


def test_the_same_entries_give_the_same_bytes_on_every_machine() -> None:
    made = layer(ENTRIES)
    assert made == layer(ENTRIES)
    # The tar, not the gzip, since that depends on the machine's zlib.
    assert made.diff_id == "sha256:921dfca0e5a39f4629c103a3e63cd258b32604a3648a79af1c547a74910dd856"
    assert made.data[4:8] == b"\0\0\0\0"


def test_a_layer_holds_its_entries_in_order_with_whiteouts_and_modes() -> None:
    with tarfile.open(fileobj=io.BytesIO(layer(ENTRIES).data)) as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == [
        "bin/sh",
        "srv",
        "lib",
        "etc/.wh.shadow",
        "var/cache/.wh..wh..opq",
    ]
    assert [m.mode for m in members] == [0o755, 0o1777, 0o777, 0, 0]
    assert {m.mtime for m in members} == {0}
    assert members[2].linkname == "usr/lib"


def test_every_compression_has_the_same_diff_id() -> None:
    gzip, zstd, none = (layer(ENTRIES, c) for c in ("gzip", "zstd", "none"))
    assert gzip.diff_id == zstd.diff_id == none.diff_id == none.digest
    assert zlib.decompress(gzip.data, 31) == none.data
    assert zstandard.ZstdDecompressor().decompress(zstd.data) == none.data


def test_docker_manifests_have_no_zstd_layers() -> None:
    with pytest.raises(ValueError, match="docker manifests have no zstd layers"):
        _ = Image([layer(ENTRIES, "zstd")]).manifest_bytes


def test_a_layout_contains_every_blob_of_its_index(tmp_path: Path) -> None:
    image = Image([layer(ENTRIES)], {"Cmd": ["/bin/sh"]}, family="oci", annotations={"a": "b"})
    digest = write_layout(tmp_path, image, "1.0")
    (entry,) = json.loads((tmp_path / "index.json").read_bytes())["manifests"]
    assert entry["digest"] == digest == image.digest
    assert entry["annotations"] == {"org.opencontainers.image.ref.name": "1.0"}
    manifest = json.loads(read(tmp_path, digest))
    assert manifest["annotations"] == {"a": "b"}
    config = json.loads(read(tmp_path, manifest["config"]["digest"]))
    assert config["config"] == {"Cmd": ["/bin/sh"]}
    assert len(config["history"]) == len(config["rootfs"]["diff_ids"]) == 1
    read(tmp_path, manifest["layers"][0]["digest"])


def test_several_platforms_make_an_index_and_tags_are_kept(tmp_path: Path) -> None:
    both = [
        Image([layer(ENTRIES)]),
        Image([layer([Entry("a")])], platform=("linux", "arm64", "v8")),
    ]
    write_layout(tmp_path, Image([]), "old")
    write_layout(tmp_path, Image([]), "1.0")
    digest = write_layout(tmp_path, both, "1.0")
    entries = json.loads((tmp_path / "index.json").read_bytes())["manifests"]
    tags = [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries]
    assert tags == ["old", "1.0"]
    index = json.loads(read(tmp_path, digest))
    assert index["mediaType"] == "application/vnd.docker.distribution.manifest.list.v2+json"
    assert [each["platform"] for each in index["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
    ]
    for each in index["manifests"]:
        read(tmp_path, each["digest"])
