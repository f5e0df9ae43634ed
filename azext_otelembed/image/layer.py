"""Layers of our own making: small tar archives that come out the same on every machine."""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.reference import Digest

# The one top-level folder that holds everything we add. A layer must not name a path in a folder
# that the base may own: on overlay2 an implied parent replaces a symlink of a lower layer.
FOLDER = "/otelembed"
BINARY = f"{FOLDER}/otelcol"
CONFIG = f"{FOLDER}/config.yml"
CERTIFICATES = f"{FOLDER}/certs"
PROGRAM = f"{FOLDER}/collector"
"""Where the binary itself lies when it had to be packed into a layer of its own."""

_BLOCK = 512
# RFC 1952: magic, deflate, no flags, no time, no extra flags, unknown operating system.
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


@dataclass(frozen=True, slots=True)
class File:
    """A regular file, readable by all."""

    path: str
    data: bytes
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder, to be entered and listed by all."""

    path: str
    mode: int = 0o755


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link."""

    path: str
    target: str


@dataclass(frozen=True, slots=True)
class Glue:
    """A gzip layer: its bytes, their digest, and the digest of what they unpack to."""

    data: bytes
    digest: Digest
    diff_id: Digest

    def descriptor(self, family: Family) -> Descriptor:
        """How a manifest of `family` points at it."""
        return Descriptor(family.layer_type("gzip"), len(self.data), self.digest)


def make_layer(entries: Iterable[File | Folder | Link]) -> Glue:
    """Pack entries, sorted by path, all owned by 0:0 and dated 1970.

    Raises InvalidImage for a path that is not absolute or appears twice.
    """
    ordered = sorted(entries, key=lambda entry: entry.path)
    paths = [entry.path for entry in ordered]
    if len(set(paths)) != len(paths):
        raise InvalidImage("A layer can't hold the same path twice.")
    tar = b"".join(_member(entry) for entry in ordered) + bytes(2 * _BLOCK)
    data = stored_gzip(tar)
    return Glue(data, Digest.of(data), Digest.of(tar))


def make_glue(config: bytes, binary: str) -> Glue:
    """The layer with the collector's configuration and a link to its binary at the path `binary`.

    The folder is spelt out as an entry, so that its mode and owner don't depend on the engine.
    """
    if not binary.startswith("/") or binary == BINARY:
        raise InvalidImage(f"'{binary}' can't be the path of the collector's binary.")
    return make_layer([Folder(FOLDER), File(CONFIG, config), Link(BINARY, binary)])


def make_ca_layer(bundle: bytes) -> Glue:
    """The layer with the collector image's CA certificates (PEM), in a folder of our own."""
    return make_layer(
        [
            Folder(FOLDER),
            Folder(CERTIFICATES),
            File(f"{CERTIFICATES}/ca-certificates.crt", bundle),
        ]
    )


def program_tar(size: int, content: Iterable[bytes]) -> Iterator[bytes]:
    """The tar of a layer that holds the collector's binary alone, as `PROGRAM`, in pieces.

    `content` is the binary in pieces, `size` bytes of it.
    """
    info = tarfile.TarInfo(PROGRAM[1:])
    info.mode, info.size = 0o755, size
    yield _member(Folder(FOLDER)) + info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
    yield from content
    yield bytes(-size % _BLOCK + 2 * _BLOCK)


def stored_gzip(data: bytes) -> bytes:
    """A gzip stream that holds `data` uncompressed.

    What deflate makes of the same bytes differs between zlib and zlib-ng, which some Pythons are
    built with; stored blocks (RFC 1951, 3.2.4) leave nothing to choose. Our layers are small: a few
    KB, or a shell's 1 to 2 MB.
    """
    limit = 0xFFFF
    parts = [_GZIP_HEADER]
    for start in range(0, max(len(data), 1), limit):
        block = data[start : start + limit]
        last = start + limit >= len(data)
        size = len(block)
        parts += [bytes([last]), size.to_bytes(2, "little"), (size ^ limit).to_bytes(2, "little")]
        parts.append(block)
    parts.append(zlib.crc32(data).to_bytes(4, "little"))
    parts.append((len(data) & 0xFFFFFFFF).to_bytes(4, "little"))
    return b"".join(parts)


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
