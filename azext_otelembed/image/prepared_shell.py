"""The shell for a base that has none: a static busybox, as `/otelembed/sh`.

It is taken out of a busybox image once, put into a layer of its own and described by one small
document beside the prepared collector, so that an embed mounts it. busybox does what the name says
by which it is called, so `/otelembed/sleep` is a link to it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.elf import loader
from azext_otelembed.image.layer import FOLDER, File, Folder, Glue, Link, make_layer
from azext_otelembed.image.manifest import Manifest
from azext_otelembed.image.prepared_collector import EMPTY
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.image.tar_reader import Entry

OWN_SHELL = f"{FOLDER}/sh"
ARTIFACT_TYPE = "application/vnd.otelembed.shell.v1+json"
LARGEST = 8 << 20
"""Bytes that a busybox may have; the ordinary ones have 1 to 2 MiB."""

_UPSTREAM = "dev.otelembed.shell.upstream"
_DIFF_ID = "dev.otelembed.shell.diff-id"
ADVICE = "Give an image such as docker.io/library/busybox:1.36.1-musl."
# Where images have it, the best name first. A hard link or symlink leads to the file itself.
_PLACES = ("bin/busybox", "bin/busybox.static", "bin/sh", "usr/bin/busybox", "usr/bin/sh")
_MOST_LINKS = 8


@dataclass(frozen=True, slots=True)
class PreparedShell:
    """A shell that is ready to be mounted. `upstream` is the image it came from, with digest."""

    manifest: Manifest
    upstream: Reference
    layer: Descriptor
    diff_id: Digest


def find_busybox(entries: Iterable[Entry]) -> tuple[str, ...]:
    """The paths, without the leading slash, of files that may be busybox, best first.

    `entries` are those of all layers, the lowest first.
    """
    known = {entry.path: entry for entry in entries}
    found: dict[str, None] = {}
    for place in _PLACES:
        path = place
        for _ in range(_MOST_LINKS):
            entry = known.get(path) or _through_folder(known, path)
            if entry is None or entry.kind not in ("file", "hardlink", "symlink"):
                break
            if entry.kind == "file":
                found[entry.path] = None
                break
            folder = "/" if entry.kind == "hardlink" else posixpath.dirname(f"/{entry.path}")
            path = posixpath.normpath(posixpath.join("/", folder, entry.target)).lstrip("/")
    return tuple(found)


def _through_folder(known: dict[str, Entry], path: str) -> Entry | None:
    """The entry where a folder on the way is a link: /bin → usr/bin."""
    folder, _, name = path.rpartition("/")
    link = known.get(folder)
    if link is None or link.kind != "symlink":
        return None
    target = posixpath.normpath(posixpath.join("/", posixpath.dirname(folder), link.target))
    return known.get(f"{target.lstrip('/')}/{name}")


def make_shell_layer(binary: bytes) -> Glue:
    """The layer with busybox. Raises InvalidImage unless it is one that runs on any base."""
    _check(binary)
    return make_layer(
        [Folder(FOLDER), File(OWN_SHELL, binary, 0o755), Link(f"{FOLDER}/sleep", "sh")]
    )


def _check(binary: bytes) -> None:
    if b"BusyBox v" not in binary:
        raise InvalidImage("It holds no busybox.", ADVICE)
    # elf(5): 64 bits, little-endian; machine 62 is x86-64.
    if len(binary) < 64 or binary[:6] != b"\x7fELF\x02\x01" or binary[18:20] != b"\x3e\0":
        raise InvalidImage("Its busybox is no program for linux/amd64.", ADVICE)
    needed = loader(binary)
    if needed is not None:
        raise InvalidImage(
            f"Its busybox is dynamically linked (it needs {needed}): it would run only on bases "
            "that have the same libraries.",
            ADVICE,
        )


def make_prepared_shell(upstream: Reference, glue: Glue) -> PreparedShell:
    """The document about a shell. `upstream` must carry its digest. Raises InvalidImage."""
    if upstream.digest is None:
        raise InvalidImage(f"{upstream} has to be pinned to a digest before it is prepared.")
    empty = Descriptor("application/vnd.oci.empty.v1+json", len(EMPTY), Digest.of(EMPTY))
    document = {
        "schemaVersion": 2,
        "mediaType": Family.OCI.manifest_type,
        "artifactType": ARTIFACT_TYPE,
        "config": empty.to_document(),
        "layers": [glue.descriptor(Family.OCI).to_document()],
        "annotations": {_UPSTREAM: str(upstream), _DIFF_ID: str(glue.diff_id)},
    }
    return parse_prepared_shell(Manifest.of(Family.OCI, document))


def parse_prepared_shell(manifest: Manifest) -> PreparedShell:
    """Read the document. Raises InvalidImage when it isn't one."""
    annotations = manifest.annotations
    if (
        manifest.document.get("artifactType") != ARTIFACT_TYPE
        or not {_UPSTREAM, _DIFF_ID} <= annotations.keys()
        or len(manifest.layers) != 1
    ):
        raise InvalidImage("What the registry holds under that name is not a prepared shell.")
    return PreparedShell(
        manifest,
        Reference.parse(annotations[_UPSTREAM]),
        manifest.layers[0],
        Digest.parse(annotations[_DIFF_ID]),
    )
