"""Builds layers: small gzip tar archives with the same bytes on every machine."""

from __future__ import annotations

import struct
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.reference import Digest

# The only top-level folder that an embed adds. A layer must not name a path in a folder that the
# base may have: on overlay2 an implied parent folder replaces a symlink of a lower layer.
FOLDER = "/otelembed"
BINARY = f"{FOLDER}/otelcol"
CONFIG = f"{FOLDER}/config.yml"
CERTIFICATES = f"{FOLDER}/certs"
REPACKED_BINARY = f"{FOLDER}/collector"
"""The binary's path in a layer that `repack` made; `BINARY` is a link to it."""

_BLOCK = 512
# RFC 1952: magic, deflate, no flags, no time, no extra flags, unknown operating system.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass(frozen=True, slots=True)
class File:
    """A regular file; readable by all users by default."""

    path: str
    data: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder; accessible to all users by default."""

    path: str
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class BuiltLayer:
    """A gzip layer. `diff_id` is the digest of its uncompressed tar."""

    data: bytes
    digest: Digest
    diff_id: Digest

    def descriptor(self, family: Family) -> Descriptor:
        """The layer's descriptor in a manifest of `family`."""
        return Descriptor(family.layer_type("gzip"), len(self.data), self.digest)


def make_layer(entries: Iterable[File | Folder | Link]) -> BuiltLayer:
    """Pack entries, sorted by path, owned by 0:0 and dated 1970.

    Raises InvalidImage for a path that is not absolute or appears twice.
    """
    ordered = sorted(entries, key=lambda entry: entry.path)
    paths = [entry.path for entry in ordered]
    if len(set(paths)) != len(paths):
        raise InvalidImage("A layer can't contain the same path twice.")
    tar = b"".join(_member(entry) for entry in ordered) + bytes(2 * _BLOCK)
    data = stored_gzip(tar)
    return BuiltLayer(data, Digest.of(data), Digest.of(tar))


def make_config_layer(config: bytes, binary: str) -> BuiltLayer:
    """The layer with the collector's configuration and a link to its binary at the path `binary`.

    The folder has an entry of its own, so that its mode and owner don't depend on the engine.
    Raises InvalidImage for a path that can't be linked to.
    """
    if not binary.startswith("/") or binary == BINARY:
        raise InvalidImage(f"'{binary}' can't be the path of the collector's binary.")
    return make_layer([Folder(FOLDER), File(CONFIG, config), Link(BINARY, binary)])


def make_ca_layer(bundle: bytes) -> BuiltLayer:
    """The layer with the collector image's CA certificates (PEM)."""
    return make_layer(
        [Folder(FOLDER), Folder(CERTIFICATES), File(f"{CERTIFICATES}/ca-certificates.crt", bundle)]
    )


def binary_tar(size: int, content: Iterable[bytes]) -> Iterator[bytes]:
    """The tar of a layer that contains only the collector's binary, in pieces.

    `content` is the binary in pieces, `size` bytes of it.
    """
    info = tarfile.TarInfo(REPACKED_BINARY[1:])
    info.mode, info.size = 0o755, size
    yield _member(Folder(FOLDER)) + info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    yield from content
    yield bytes(-size % _BLOCK + 2 * _BLOCK)


def stored_gzip(data: bytes) -> bytes:
    """A gzip stream that holds `data` uncompressed.

    The output of deflate differs between zlib and zlib-ng, which some Pythons are built with;
    stored blocks (RFC 1951, 3.2.4) are the same everywhere. These layers are small: a few KB, or
    the 1 to 2 MB of a shell.
    """
    limit = 0xFFFF
    parts = [_GZIP_HEADER]
    for start in range(0, max(len(data), 1), limit):
        block = data[start : start + limit]
        last = start + limit >= len(data)
        size = len(block)
        parts += [struct.pack("<?HH", last, size, size ^ limit), block]
    return b"".join([*parts, struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)])


def _member(entry: File | Folder | Link) -> bytes:
    if not entry.path.startswith("/"):
        raise InvalidImage(f"'{entry.path}' must be an absolute path.")
    info = tarfile.TarInfo(entry.path[1:])
    data = b""
    if isinstance(entry, Folder):
        info.type, info.mode = tarfile.DIRTYPE, entry.mode
    elif isinstance(entry, Link):
        info.type, info.mode, info.linkname = tarfile.SYMTYPE, 0o777, entry.target
    else:
        info.mode, info.size, data = entry.mode, len(entry.data), entry.data
    header = info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    return header + data + bytes(-len(data) % _BLOCK)
