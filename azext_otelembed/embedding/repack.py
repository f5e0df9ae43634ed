"""Repacks a collector's binary into a layer of its own, in a temporary file."""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from azext_otelembed.embedding.upstream_image import MAX_BYTES, CollectorFiles, UpstreamImage
from azext_otelembed.errors import about
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.elf import check_static_program
from azext_otelembed.image.layer import binary_tar
from azext_otelembed.image.reference import Digest
from azext_otelembed.image.tar_reader import HEAD_BYTES, read_file
from azext_otelembed.progress import Progress, Report
from azext_otelembed.registry.transfer import BlobSource

_READ_SIZE = 1 << 20


@dataclass(frozen=True, slots=True)
class RepackedLayer:
    """A gzip layer in a file."""

    path: Path
    digest: Digest
    diff_id: Digest
    size: int

    @property
    def descriptor(self) -> Descriptor:
        """The layer's descriptor in an OCI manifest."""
        return Descriptor(Family.OCI.layer_type("gzip"), self.size, self.digest)

    @property
    def source(self) -> BlobSource:
        """The layer's bytes, for an upload."""
        return BlobSource(self.size, self._read)

    def _read(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while piece := file.read(_READ_SIZE):
                yield piece


@contextmanager
def repack(
    upstream: UpstreamImage, files: CollectorFiles, report: Report
) -> Iterator[RepackedLayer]:
    """A layer that contains only the binary of `files`; its file is deleted at exit.

    Raises `Refused` unless the binary is a static program for linux/amd64. The layer that contains
    it is checked against its digest first. Uses constant memory.
    """
    layer = files.layer
    stream = upstream.client.stream_blob(upstream.repository, layer.digest, layer.size)
    with tempfile.TemporaryDirectory(prefix="otelembed-") as folder:
        path = Path(folder) / "layer"
        with (
            closing(stream) as chunks,
            path.open("wb") as file,
            about(f"collector image {upstream.name}"),
        ):
            binary = _checked(read_file(chunks, files.binary.path, MAX_BYTES), files.path)
            size = files.binary.size
            repacked = _pack(path, file, binary_tar(size, binary), size, report)
        yield repacked


def _checked(pieces: Iterator[bytes], path: str) -> Iterator[bytes]:
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= HEAD_BYTES:
            break
    check_static_program(head, path)
    yield head
    yield from pieces


def _pack(
    path: Path, file: BinaryIO, tar: Iterable[bytes], binary_size: int, report: Report
) -> RepackedLayer:
    """Compress `tar` into `file`, which is open for writing at `path`."""
    compressed_hash, tar_hash = hashlib.sha256(), hashlib.sha256()
    compressor = zlib.compressobj(6, wbits=31)
    done = size = 0

    def write(data: bytes) -> None:
        nonlocal size
        file.write(data)
        compressed_hash.update(data)
        size += len(data)

    for piece in tar:
        tar_hash.update(piece)
        write(compressor.compress(piece))
        done += len(piece)
        total = max(binary_size, 1)
        report(Progress("repacking the collector's binary", min(done, total), total))
    write(compressor.flush())
    return RepackedLayer(
        path,
        Digest("sha256", compressed_hash.hexdigest()),
        Digest("sha256", tar_hash.hexdigest()),
        size,
    )
