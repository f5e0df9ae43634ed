"""A collector's binary packed into a layer of its own, by way of a temporary file."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from azext_otelembed.embedding.upstream_image import MOST_BYTES, Parts, Upstream
from azext_otelembed.errors import about
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.elf import check_program
from azext_otelembed.image.layer import program_tar
from azext_otelembed.image.reference import Digest
from azext_otelembed.image.tar_reader import HEAD, content
from azext_otelembed.progress import Progress, Report
from azext_otelembed.registry.transfer import Source

_PIECE = 1 << 20


@dataclass(frozen=True, slots=True)
class Packed:
    """A gzip layer in a file."""

    path: Path
    digest: Digest
    diff_id: Digest
    size: int

    @property
    def descriptor(self) -> Descriptor:
        """How a manifest points at it."""
        return Descriptor(Family.OCI.layer_type("gzip"), self.size, self.digest)

    @property
    def source(self) -> Source:
        """Its bytes, to be uploaded."""
        return Source(self.size, self._read)

    def _read(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while piece := file.read(_PIECE):
                yield piece


@contextmanager
def repacked(upstream: Upstream, parts: Parts, report: Report) -> Iterator[Packed]:
    """The binary of `parts` in a layer that holds nothing else; the file lasts as long as this.

    It is a program that runs anywhere, or `Refused`; the layer that it is taken from is checked
    against its digest before anything is given away. Takes constant memory.
    """
    what = f"collector image {upstream.name}"
    layer = parts.layer
    chunks = upstream.client.stream_blob(upstream.repository, layer.digest, layer.size)
    with tempfile.TemporaryDirectory(prefix="otelembed-") as folder:
        path = Path(folder) / "layer"
        try:
            with path.open("wb") as file, about(what):
                binary = _checked(content(chunks, parts.file.path, MOST_BYTES), parts.path)
                packed = _pack(path, file, program_tar(parts.file.size, binary), parts, report)
        finally:
            if isinstance(chunks, Generator):
                chunks.close()
        yield packed


def _checked(pieces: Iterator[bytes], path: str) -> Iterator[bytes]:
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= HEAD:
            break
    check_program(head, path)
    yield head
    yield from pieces


@dataclass(slots=True)
class _Sum:
    file: BinaryIO
    hash: hashlib._Hash = field(default_factory=hashlib.sha256)
    size: int = 0

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.hash.update(data)
        self.size += len(data)


def _pack(path: Path, file: BinaryIO, tar: Iterable[bytes], parts: Parts, report: Report) -> Packed:
    out = _Sum(file)
    plain = hashlib.sha256()
    done = 0
    packer = zlib.compressobj(6, wbits=31)
    for piece in tar:
        plain.update(piece)
        out.write(packer.compress(piece))
        done += len(piece)
        total = max(parts.file.size, 1)
        report(Progress("packing the collector's binary anew", min(done, total), total))
    out.write(packer.flush())
    return Packed(
        path,
        Digest("sha256", out.hash.hexdigest()),
        Digest("sha256", plain.hexdigest()),
        out.size,
    )
