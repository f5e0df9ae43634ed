"""The shell that is brought along: found in a busybox image, and packed."""

from __future__ import annotations

import pytest

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.manifest import Manifest
from azext_otelembed.image.prepared_shell import (
    find_busybox,
    make_prepared_shell,
    make_shell_layer,
    parse_prepared_shell,
)
from azext_otelembed.image.reference import Reference
from azext_otelembed.image.tar_reader import Entry, scan
from tests.programs import LOADER, program
from tests.unit.image.image_support import busybox, shell


def file(path: str) -> Entry:
    return Entry(path, "file", 0o755, 10)


def link(path: str, target: str, kind: str = "symlink") -> Entry:
    return Entry(path, kind, target=target)


@pytest.mark.parametrize(
    ("entries", "found"),
    [
        # As docker.io/library/busybox: every applet is a hard link to the first in the alphabet.
        ([file("bin/["), link("bin/busybox", "bin/[", "hardlink")], ("bin/[",)),
        ([file("bin/busybox"), link("bin/sh", "/bin/busybox")], ("bin/busybox",)),
        ([file("bin/busybox"), link("bin/sh", "busybox")], ("bin/busybox",)),
        ([link("bin", "usr/bin"), file("usr/bin/busybox")], ("usr/bin/busybox",)),
        ([link("bin/sh", "../lib/bb/sh"), file("lib/bb/sh")], ("lib/bb/sh",)),
        # As Alpine with busybox-static: the second is the one that will do.
        ([file("bin/busybox"), file("bin/busybox.static")], ("bin/busybox", "bin/busybox.static")),
        ([link("bin/sh", "bash"), link("bin/bash", "sh")], ()),
        ([link("bin/sh", "/bin/dash")], ()),
        ([Entry("bin", "folder"), Entry("bin/sh", "folder")], ()),
        ([], ()),
    ],
)
def test_a_busybox_is_found_through_its_links(entries: list[Entry], found: tuple[str, ...]) -> None:
    assert find_busybox(entries) == found


def test_the_layer_holds_the_shell_and_a_link_for_sleep_in_our_own_folder() -> None:
    glue = make_shell_layer(busybox())
    assert glue == make_shell_layer(busybox())
    entries = list(scan(iter([glue.data]), want=frozenset({"otelembed/sh"})))
    assert [(entry.path, entry.kind, entry.mode, entry.target) for entry in entries] == [
        ("otelembed", "folder", 0o755, ""),
        ("otelembed/sh", "file", 0o755, ""),
        ("otelembed/sleep", "symlink", 0o777, "sh"),
    ]
    assert entries[1].data == busybox()


@pytest.mark.parametrize(
    ("binary", "message"),
    [
        (b"", "holds no busybox"),
        (program(), "holds no busybox"),
        (b"BusyBox v1.36.1, they said" * 9, "no program for linux/amd64"),
        (program(machine=183) + b"BusyBox v1.36.1", "no program for linux/amd64"),
        (program(loader=LOADER) + b"BusyBox v1.36.1", f"needs {LOADER}"),
    ],
)
def test_what_does_not_run_on_every_base_is_refused(binary: bytes, message: str) -> None:
    with pytest.raises(InvalidImage, match=message) as caught:
        make_shell_layer(binary)
    assert "busybox:1.36.1-musl" in str(caught.value.recommendation)


def test_a_prepared_shell_reads_back_from_its_document() -> None:
    prepared = shell()
    assert parse_prepared_shell(Manifest.read(Family.OCI, prepared.manifest.data)) == prepared
    assert prepared.diff_id == make_shell_layer(busybox()).diff_id


def test_a_shell_is_pinned_before_it_is_prepared_and_nothing_else_is_taken_for_one() -> None:
    with pytest.raises(InvalidImage, match="pinned"):
        make_prepared_shell(Reference.parse("busybox:1"), make_shell_layer(busybox()))
    document = {**shell().manifest.document, "artifactType": "application/other"}
    with pytest.raises(InvalidImage, match="not a prepared shell"):
        parse_prepared_shell(Manifest.of(Family.OCI, document))
