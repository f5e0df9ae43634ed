"""What embedding changes in an image, and what it leaves."""

from __future__ import annotations

import os
import stat
import tarfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, cast

import pytest
import zstandard

from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.errors import Refused
from azext_otelembed.image import labels as names
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.embed import Base, original
from localazure.runtime import layers
from tests.corpus.bases import Case, image
from tests.corpus.conftest import Corpus

OURS = {"Entrypoint", "Labels"}


@pytest.fixture
def base(case: Case, corpus: Corpus) -> Base:
    """The case as it was before; embedded by now."""
    corpus.embedded(case)
    reference = corpus.embedded(case).reference
    return load_base(corpus.client, replace(reference, tag="1", digest=None))


def test_every_field_of_the_documents_survives(case: Case, corpus: Corpus, base: Base) -> None:
    embedded = corpus.embedded(case)
    before, after = base.config.document, embedded.config.document
    kept = {"config", "rootfs", "history"}
    assert {k: v for k, v in after.items() if k not in kept} == {
        k: v for k, v in before.items() if k not in kept
    }
    changed = OURS | ({"Cmd"} if case.unwrap else set())
    assert {k: v for k, v in after["config"].items() if k not in changed} == {
        k: v for k, v in before["config"].items() if k not in changed
    }
    ours = {k: v for k, v in embedded.config.labels.items() if k not in base.config.labels}
    assert all(
        name.startswith(("dev.otelembed.", "org.opencontainers.image.base.")) for name in ours
    )
    count = len(base.manifest.layers)
    manifest = embedded.manifest
    assert manifest.layers[:count] == base.manifest.layers
    assert len(manifest.layers) == count + 3
    assert len(after.get("history") or ()) - len(before.get("history") or ()) in (0, 3)


def test_the_family_is_kept(case: Case, corpus: Corpus, base: Base) -> None:
    embedded = corpus.embedded(case)
    assert embedded.manifest.media_type == base.manifest.media_type
    manifest = embedded.manifest
    mark = "vnd.oci." if base.manifest.family is Family.OCI else "vnd.docker."
    assert all(mark in layer.media_type for layer in manifest.layers)


def test_nothing_of_the_base_changes_on_overlay2(
    case: Case, corpus: Corpus, base: Base, tmp_path: Path
) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can unpack what other users own")
    embedded = corpus.embedded(case)
    manifest = embedded.manifest
    count = len(base.manifest.layers)
    root = tmp_path / "root"
    root.mkdir()
    unpack(corpus, embedded.reference.repository, manifest.layers[:count], root, tmp_path)
    before = listing(root)
    unpack(corpus, embedded.reference.repository, manifest.layers[count:], root, tmp_path)
    after = listing(root)
    added = {path for path in after if path not in before}
    assert added == {
        "otelcol-contrib",
        *("otelembed", "otelembed/config.yml", "otelembed/otelcol", "otelembed/certs"),
        "otelembed/certs/ca-certificates.crt",
    }
    assert {path: after[path] for path in before} == before


def unpack(
    corpus: Corpus, repository: str, wanted: Sequence[Descriptor], root: Path, scratch: Path
) -> None:
    for layer in wanted:
        data = b"".join(corpus.client.stream_blob(repository, layer.digest, layer.size))
        packed = scratch / "layer"
        packed.write_bytes(data)
        if layer.compression == "zstd":
            with packed.open("rb") as source, (scratch / "plain").open("wb") as target:
                zstandard.ZstdDecompressor().copy_stream(source, cast("IO[bytes]", target))
            packed = scratch / "plain"
        with tarfile.open(packed) as tar:
            layers.apply(root, tar)


def listing(root: Path) -> dict[str, tuple[object, ...]]:
    """Type, mode, owner, size and target of everything, by path."""
    found: dict[str, tuple[object, ...]] = {}
    for path in [root, *root.rglob("*")]:
        status = path.lstat()
        size = status.st_size if stat.S_ISREG(status.st_mode) else 0
        target = str(path.readlink()) if path.is_symlink() else ""
        name = str(path.relative_to(root))
        found[name] = status.st_mode, status.st_uid, status.st_gid, size, target
    return found


def test_embedding_again_starts_from_the_recorded_base(case: Case, corpus: Corpus) -> None:
    embedded = corpus.embedded(case)
    base = original(load_base(corpus.client, embedded.reference))
    again = corpus.embed(embedded.reference, unwrap=case.unwrap)
    assert base.digest != embedded.digest
    assert again.recipe == embedded.recipe
    assert again.manifest == embedded.manifest


def test_what_cannot_be_embedded_in_is_refused_with_a_reason(refused: Case, corpus: Corpus) -> None:
    with pytest.raises(Refused, match=refused.refused) as problem:
        corpus.embed(corpus.base(refused))
    assert f"corpus/{refused.id}" in problem.value.message


def later_format() -> dict[str, str]:
    """The labels of an image that a later version embedded."""
    labels = dict.fromkeys((*names.PROVENANCE, names.RESTORE), "sha256:" + "0" * 64)
    return {**labels, names.VERSION: "7"}


def test_an_image_of_a_later_format_asks_for_an_update(corpus: Corpus) -> None:
    later = corpus.push("corpus/later", "1", image(Labels=later_format()))
    with pytest.raises(Refused, match="later version of otelembed") as refusal:
        corpus.embed(later)
    assert "az extension update" in (refusal.value.recommendation or "")
