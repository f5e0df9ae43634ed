"""The prepared shell: a static busybox as `/otelembed/sh`, for a base without a shell.

Its layer is made once from a busybox image, and described by an artifact beside the prepared
collector, so that an embed mounts it. busybox selects its applet by the name it is called by, so
`/otelembed/sleep` is a link to it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.elf import dynamic_loader
from azext_otelembed.image.layer import FOLDER, BuiltLayer, File, Folder, Link, make_layer
from azext_otelembed.image.manifest import Manifest, artifact_document
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.image.tar_reader import Entry, resolve_links

EMBEDDED_SHELL = f"{FOLDER}/sh"
ARTIFACT_TYPE = "application/vnd.otelembed.shell.v1+json"
MAX_BUSYBOX_BYTES = 8 << 20
"""Size limit of a busybox; the usual ones have 1 to 2 MiB."""

_UPSTREAM = "dev.otelembed.shell.upstream"
_DIFF_ID = "dev.otelembed.shell.diff-id"
SHELL_IMAGE_HINT = "Name an image such as docker.io/library/busybox:1.36.1-musl with --shell-image."
# The paths of busybox in images, the preferred first; some are hard links or symlinks to the file.
_PATHS = ("bin/busybox", "bin/busybox.static", "bin/sh", "usr/bin/busybox", "usr/bin/sh")


@dataclass(frozen=True, slots=True)
class PreparedShell:
    """A shell that can be mounted. `upstream` is the image that it comes from, with digest."""

    manifest: Manifest
    upstream: Reference
    layer: Descriptor
    diff_id: Digest


def find_busybox(entries: Iterable[Entry]) -> tuple[str, ...]:
    """The paths, without the leading slash, of files that may be busybox, the preferred first.

    `entries` are those of all layers, the lowest first.
    """
    known = {entry.path: entry for entry in entries}
    found: dict[str, None] = {}
    for path in _PATHS:
        entry = known.get(resolve_links(known, path)) or known.get(path)
        if entry is not None and entry.kind == "file":
            found[entry.path] = None
    return tuple(found)


def make_shell_layer(binary: bytes) -> BuiltLayer:
    """The layer with busybox. Raises InvalidImage unless the binary runs on any base."""
    if b"BusyBox v" not in binary:
        raise InvalidImage("It holds no busybox.", SHELL_IMAGE_HINT)
    # elf(5): 64 bits, little-endian; machine 62 is x86-64.
    if len(binary) < 64 or binary[:6] != b"\x7fELF\x02\x01" or binary[18:20] != b"\x3e\0":
        raise InvalidImage("Its busybox is not a program for linux/amd64.", SHELL_IMAGE_HINT)
    needed = dynamic_loader(binary)
    if needed is not None:
        raise InvalidImage(
            f"Its busybox is dynamically linked (it needs {needed}): it runs only on bases with "
            "the same libraries.",
            SHELL_IMAGE_HINT,
        )
    return make_layer(
        [Folder(FOLDER), File(EMBEDDED_SHELL, binary, 0o755), Link(f"{FOLDER}/sleep", "sh")]
    )


def make_prepared_shell(upstream: Reference, layer: BuiltLayer) -> PreparedShell:
    """The artifact of a shell. `upstream` must include the digest. Raises InvalidImage."""
    if upstream.digest is None:
        raise InvalidImage(f"{upstream} must be pinned to a digest before it is prepared.")
    document = artifact_document(
        ARTIFACT_TYPE,
        [layer.descriptor(Family.OCI)],
        annotations={_UPSTREAM: str(upstream), _DIFF_ID: str(layer.diff_id)},
    )
    return parse_prepared_shell(Manifest.of(Family.OCI, document))


def parse_prepared_shell(manifest: Manifest) -> PreparedShell:
    """Read the artifact. Raises InvalidImage if it isn't a prepared shell."""
    annotations = manifest.annotations
    if (
        manifest.document.get("artifactType") != ARTIFACT_TYPE
        or not {_UPSTREAM, _DIFF_ID} <= annotations.keys()
        or len(manifest.layers) != 1
    ):
        raise InvalidImage("The manifest in the registry is not a prepared shell.")
    return PreparedShell(
        manifest,
        Reference.parse(annotations[_UPSTREAM]),
        manifest.layers[0],
        Digest.parse(annotations[_DIFF_ID]),
    )
