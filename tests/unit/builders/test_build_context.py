"""Build contexts as streams."""

from __future__ import annotations

import gzip
import io
import os
import socket
import tarfile
import tracemalloc
from pathlib import Path

import pytest

from azext_otelembed.builders.build_context import PackStatistics, pack, read_context
from azext_otelembed.builders.source import Source
from azext_otelembed.errors import BuildFailed, InvalidInput

PIECE = 1 << 16


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


def packed(folder: Path, dockerfile: Path | None = None) -> tuple[tarfile.TarFile, str]:
    """What comes out, and the Dockerfile's name in it."""
    context = read_context(Source(folder, dockerfile or folder / "Dockerfile"))
    data = b"".join(pack(context, PIECE, PackStatistics()))
    return tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))), context.dockerfile


def names(folder: Path, dockerfile: Path | None = None) -> set[str]:
    tar, own = packed(folder, dockerfile)
    return set(tar.getnames()) - {own}


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_files_folders_and_links_come_as_they_are_and_belong_to_root(folder: Path) -> None:
    (folder / "bin").mkdir(mode=0o750)
    (folder / "bin" / "run").write_bytes(b"#!/bin/sh\n")
    (folder / "bin" / "run").chmod(0o755)
    (folder / "empty").touch()
    (folder / "link").symlink_to("bin/run")
    (folder / "dangling").symlink_to("/nowhere")
    os.utime(folder / "empty", (1_000_000_000.7, 1_000_000_000.7))
    tar, _ = packed(folder)
    run, link = tar.getmember("bin/run"), tar.getmember("link")
    assert (run.mode, run.uid, run.gid, run.uname) == (0o755, 0, 0, "")
    assert tar.extractfile(run).read() == b"#!/bin/sh\n"  # type: ignore[union-attr]
    assert (link.issym(), link.linkname) == (True, "bin/run")
    assert tar.getmember("dangling").linkname == "/nowhere"
    assert tar.getmember("empty").mtime == 1_000_000_000
    assert tar.getnames().index("bin") < tar.getnames().index("bin/run")
    assert tar.getmember("bin").isdir()


def test_names_of_any_length_and_script_survive(folder: Path) -> None:
    deep = folder / ("d" * 120) / ("e" * 150)
    deep.mkdir(parents=True)
    (deep / "größe").touch()
    (folder / os.fsdecode(b"raw\xff")).touch()
    found = names(folder)
    assert f"{'d' * 120}/{'e' * 150}/größe" in found
    assert os.fsdecode(b"raw\xff") in found


def test_the_dockerfile_comes_under_a_name_of_its_own_wherever_it_lies(
    folder: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "app.Dockerfile"
    outside.write_text("FROM scratch AS app\n")
    tar, name = packed(folder, outside)
    assert name.endswith("_app.Dockerfile")
    assert len(name.partition("_")[0]) == 32
    assert tar.extractfile(name).read() == b"FROM scratch AS app\n"  # type: ignore[union-attr]
    assert "Dockerfile" in tar.getnames()


def test_the_same_source_gives_the_same_stream(folder: Path) -> None:
    touch(folder, "b", "a")
    context = read_context(Source(folder, folder / "Dockerfile"))
    first = list(pack(context, PIECE, PackStatistics()))
    assert first == list(pack(read_context(context.source), PIECE, PackStatistics()))


def test_what_a_dockerignore_leaves_out_stays_here(folder: Path) -> None:
    touch(folder, "src/a.py", "src/a.log", "node_modules/x/y", "docs/api/keep", "docs/drop")
    (folder / ".dockerignore").write_text("**/*.log\nnode_modules\ndocs\n!docs/api/keep\n")
    assert names(folder) == {
        *(".dockerignore", "Dockerfile", "src", "src/a.py"),
        *("docs", "docs/api", "docs/api/keep"),
    }


def test_folders_around_an_exception_come_once_and_only_if_it_is_there(folder: Path) -> None:
    touch(folder, "a/b/keep1", "a/b/keep2", "a/c/x", "z/y/x")
    (folder / ".dockerignore").write_text("*\n!**/keep*\n")
    tar, own = packed(folder)
    assert tar.getnames() == ["a", "a/b", "a/b/keep1", "a/b/keep2", own]


def test_a_dockerfiles_own_dockerignore_wins_and_the_other_stays_here(folder: Path) -> None:
    touch(folder, "a", "b")
    (folder / ".dockerignore").write_text("a\n")
    own = folder / "app.Dockerfile"
    own.write_text("FROM scratch\n")
    (folder / "app.Dockerfile.dockerignore").write_text("b\n")
    both = {"Dockerfile", "app.Dockerfile", "app.Dockerfile.dockerignore"}
    assert names(folder, own) == {"a", *both}
    assert names(folder) == {"b", ".dockerignore", *both}


def test_sockets_and_pipes_are_left_out_and_named(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(folder / "s"))
        tally = PackStatistics()
        context = read_context(Source(folder, folder / "Dockerfile"))
        assert b"".join(pack(context, PIECE, tally))
    assert tally.skipped == ["pipe", "s"]


def test_what_is_packed_is_counted(folder: Path) -> None:
    (folder / "zeros").write_bytes(bytes(1 << 20))
    tally = PackStatistics()
    pieces = list(pack(read_context(Source(folder, folder / "Dockerfile")), 512, tally))
    assert {len(piece) for piece in pieces[:-1]} == {512}
    assert tally.packed == sum(map(len, pieces))
    assert (tally.files, tally.bytes) == (3, (1 << 20) + 2 * len("FROM scratch\n"))


def test_a_file_that_shrinks_while_it_is_packed_is_an_error(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "log").write_bytes(os.urandom(1 << 20))
    context = read_context(Source(folder, folder / "Dockerfile"))
    pieces = pack(context, 1 << 10, PackStatistics())
    next(pieces)
    os.truncate(folder / "log", 1000)
    with pytest.raises(BuildFailed, match="log was truncated while it was packed"):
        list(pieces)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_cannot_be_read_is_named(folder: Path) -> None:
    (folder / "secret").touch(0)
    with pytest.raises(BuildFailed, match="secret can't be read"):
        names(folder)


def test_a_file_that_vanishes_is_named(folder: Path) -> None:
    context = read_context(Source(folder, folder / "Dockerfile"))
    (folder / "Dockerfile").unlink()
    with pytest.raises(BuildFailed, match="Dockerfile can't be read: No such file"):
        list(pack(context, PIECE, PackStatistics()))


def test_a_bad_line_of_a_dockerignore_is_named(folder: Path) -> None:
    (folder / ".dockerignore").write_text("a\n[b\n")
    with pytest.raises(InvalidInput, match=r"\.dockerignore, line 2: '\[b' has a '\['"):
        names(folder)


def test_a_dockerignore_in_utf_16_is_refused(folder: Path) -> None:
    (folder / ".dockerignore").write_text(".env\n", encoding="utf-16")
    with pytest.raises(InvalidInput, match=r"\.dockerignore is UTF-16"):
        names(folder)


def test_pieces_of_a_large_file_come_while_it_is_read(folder: Path) -> None:
    with (folder / "sparse").open("wb") as file:
        file.truncate(1 << 30)
    context = read_context(Source(folder, folder / "Dockerfile"))
    # Some 4 MiB of zeros a piece. A whole gigabyte is packed and sent in builders/test_acr_context.
    pieces = pack(context, 1 << 12, PackStatistics())
    tracemalloc.start()
    try:
        for _ in zip(range(8), pieces, strict=False):
            pass
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


def test_rules_that_are_too_long_are_refused_and_not_cut(folder: Path) -> None:
    (folder / ".dockerignore").write_text("# kept short\n" * 90_000 + "secret\n")
    with pytest.raises(InvalidInput, match="larger than 1048576 bytes"):
        read_context(Source(folder, folder / "Dockerfile"))
