"""The binaries on this machine: read once, checked at each use, bounded."""

from __future__ import annotations

import os
import stat
import time
from pathlib import Path

import pytest

from azext_otelembed.embedding.prepare_collector import prepare_collector
from azext_otelembed.errors import InvalidInput
from azext_otelembed.image.prepared_collector import PreparedCollector
from azext_otelembed.progress import discard
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.validation.binary_cache import BinaryCache
from tests.registry import images
from tests.registry.conftest import Registries


@pytest.fixture
def prepared(registries: Registries, client: RegistryClient, name: str) -> PreparedCollector:
    """A collector that is prepared in the ACR."""
    tag = f"8.{name.removeprefix('team/app')}.0"
    reference = images.upstream(registries, tag, None)
    return prepare_collector(client, reference, registries.anonymous())


def reads(registries: Registries, mark: int) -> int:
    return sum("/blobs/" in record["path"] for record in registries.since(mark))


def test_a_binary_is_read_once_and_again_when_its_file_is_damaged(
    registries: Registries, client: RegistryClient, prepared: PreparedCollector, tmp_path: Path
) -> None:
    cache = BinaryCache(tmp_path / "cache")
    mark = registries.azure.mark()
    first = cache.binary(client, prepared, discard)
    content = first.read_bytes()
    assert content.startswith(b"\x7fELF")
    assert stat.S_IMODE(first.stat().st_mode) == 0o500
    assert stat.S_IMODE(cache.folder.stat().st_mode) == 0o700
    before = reads(registries, mark)
    assert before
    assert cache.binary(client, prepared, discard) == first
    assert reads(registries, mark) == before
    first.chmod(0o700)
    first.write_bytes(content[:-1])
    assert cache.binary(client, prepared, discard).read_bytes() == content
    assert reads(registries, mark) > before
    assert [path.name for path in cache.folder.iterdir()] == [first.name]


def test_the_files_used_least_recently_and_old_parts_go(
    client: RegistryClient, prepared: PreparedCollector, tmp_path: Path
) -> None:
    folder = tmp_path / "cache"
    binary = BinaryCache(folder).binary(client, prepared, discard)
    size = binary.stat().st_size
    binary.unlink()
    old, newer, part, young = (folder / one for one in ("a-1", "b-2", "c.part", "d.part"))
    for age, path in ((500, old), (100, newer), (7200, part), (10, young)):
        path.write_bytes(bytes(1 << 20))
        os.utime(path, (time.time() - age, time.time() - age))
    kept = BinaryCache(folder, size + (1 << 20)).binary(client, prepared, discard)
    assert {path.name for path in folder.iterdir()} == {kept.name, newer.name, young.name}


def test_a_folder_that_can_not_be_made_is_named(
    client: RegistryClient, prepared: PreparedCollector, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InvalidInput, match=r"can't be kept in '.*file/x'") as caught:
        BinaryCache(tmp_path / "file" / "x").binary(client, prepared, discard)
    assert "--validate acr" in str(caught.value.recommendation)
