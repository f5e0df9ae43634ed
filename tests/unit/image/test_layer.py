"""The layers that an embed adds, and the recipe."""

from __future__ import annotations

import gzip
import io
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.layer import (
    File,
    Folder,
    Link,
    make_ca_layer,
    make_config_layer,
    make_layer,
    stored_gzip,
)
from azext_otelembed.image.recipe import Recipe, is_recipe_tag, recipe_tag
from azext_otelembed.image.reference import Digest, Reference
from tests.unit.image.image_support import digest


def members(data: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        return tar.getmembers()


def contents(data: bytes) -> dict[str, bytes]:
    """The regular files of a layer, in their order."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:gz") as tar:
        streams = {entry.name: tar.extractfile(entry) for entry in tar if entry.isreg()}
        return {name: stream.read() for name, stream in streams.items() if stream}


def test_the_configuration_layer_holds_the_configuration_and_a_link_to_the_binary() -> None:
    layer = make_config_layer(b"receivers: {}\n", "/otelcol-contrib")
    assert [(entry.name, entry.type, entry.mode) for entry in members(layer.data)] == [
        ("otelembed", tarfile.DIRTYPE, 0o755),
        ("otelembed/config.yml", tarfile.REGTYPE, 0o644),
        ("otelembed/otelcol", tarfile.SYMTYPE, 0o777),
    ]
    assert members(layer.data)[2].linkname == "/otelcol-contrib"
    assert contents(layer.data)["otelembed/config.yml"] == b"receivers: {}\n"


def test_the_certificates_lie_in_our_own_folder_alone() -> None:
    layer = make_ca_layer(b"PEM")
    assert [entry.name for entry in members(layer.data)] == [
        "otelembed",
        "otelembed/certs",
        "otelembed/certs/ca-certificates.crt",
    ]
    assert contents(layer.data)["otelembed/certs/ca-certificates.crt"] == b"PEM"


def test_entries_are_dated_1970_and_owned_by_root() -> None:
    for entry in members(make_config_layer(b"x", "/otelcol").data):
        assert (entry.mtime, entry.uid, entry.gid, entry.uname, entry.gname) == (0, 0, 0, "", "")


def test_the_configuration_layer_is_the_same_byte_for_byte_everywhere() -> None:
    # What these bytes are must never change silently: a recipe's digest stands for them.
    assert str(make_config_layer(b"receivers: {}\n", "/otelcol-contrib").digest) == (
        "sha256:557ebe0f8bd9a4b7b2df2854b9b40f8d577c0212c67efe31e02bc8ffa740d2c7"
    )
    assert str(make_ca_layer(b"PEM\n").digest) == (
        "sha256:66e91091e36b19749bd4c4f9789ee4af0a039896afd6c31f1b3c528dd82dce4d"
    )


def test_order_of_entries_makes_no_difference() -> None:
    entries: list[File | Folder | Link] = [File("/a/b", b"1"), Folder("/a"), Link("/c", "a/b")]
    assert make_layer(entries) == make_layer(reversed(entries))


def test_a_binary_that_cannot_be_linked_to_and_a_path_twice_are_problems() -> None:
    for binary in ("otelcol", "", "/otelembed/otelcol"):
        with pytest.raises(InvalidImage, match="can't be the path of the collector's binary"):
            make_config_layer(b"", binary)
    with pytest.raises(InvalidImage, match="the same path twice"):
        make_layer([File("/a", b""), File("/a", b"")])


@given(
    st.dictionaries(
        st.text("abcé/", min_size=1, max_size=150).map(
            lambda text: f"/x{text}y".replace("//", "/")
        ),
        st.binary(max_size=1200),
        max_size=4,
    )
)
def test_tarfile_reads_every_layer_back(files: dict[str, bytes]) -> None:
    layer = make_layer(File(path, data) for path, data in files.items())
    assert Digest.of(gzip.decompress(layer.data)) == layer.diff_id
    assert Digest.of(layer.data) == layer.digest
    found = {f"/{name}": content for name, content in contents(layer.data).items()}
    assert found == files
    assert list(found) == sorted(files)


@given(st.integers(0, 200_000), st.binary(min_size=1, max_size=5))
def test_gzip_reads_stored_streams_of_any_length(length: int, pattern: bytes) -> None:
    data = (pattern * (length // len(pattern) + 1))[:length]
    packed = stored_gzip(data)
    assert gzip.decompress(packed) == data
    assert packed[:10] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


def test_a_layers_descriptor_has_the_type_of_its_family() -> None:
    layer = make_config_layer(b"x", "/otelcol")
    descriptor = layer.descriptor(Family.OCI)
    assert descriptor.media_type == "application/vnd.oci.image.layer.v1.tar+gzip"
    assert (descriptor.size, descriptor.digest) == (len(layer.data), layer.digest)


RECIPE = Recipe(digest("base"), digest("collector"), digest("config"), "exec/1")


def test_a_tag_is_made_of_the_bases_or_of_its_digest_and_of_the_recipe() -> None:
    assert recipe_tag("1.0", RECIPE) == f"1.0-otelembed-{RECIPE.digest.short}"
    assert recipe_tag(None, RECIPE) == f"sha-{digest('base').short}-otelembed-{RECIPE.digest.short}"


@given(st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}", fullmatch=True))
def test_the_tag_always_is_one(base_tag: str) -> None:
    made = recipe_tag(base_tag, RECIPE)
    assert Reference("localhost", "shop", made).tag == made
    assert is_recipe_tag(made)
    assert made.endswith(f"-otelembed-{RECIPE.digest.short}")
    assert made.startswith(base_tag[:105])


def test_the_recipes_digest_is_the_same_everywhere() -> None:
    assert (
        str(RECIPE.digest)
        == "sha256:fd94ee139de0f9f7c4b45e56115ad470c830de22c65e53d8cbf08754b0293af7"
    )
