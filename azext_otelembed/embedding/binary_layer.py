"""Stores the layer with a collector's binary, from which embeds mount it: unchanged, or repacked.

The layer is read to its last byte once for each collector version, even if the registry imported
it server side: only then is it verified what an embedded image will contain (`single_file_layer`).
"""

from __future__ import annotations

import hashlib
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from azext_otelembed.embedding.upstream_image import (
    MAX_BYTES,
    CollectorFiles,
    UpstreamImage,
    find_collector_files,
)
from azext_otelembed.errors import about
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.elf import check_static_program
from azext_otelembed.image.layer import REPACKED_BINARY, binary_tar
from azext_otelembed.image.prepared_collector import REPOSITORY, CollectorLayer
from azext_otelembed.image.reference import Digest
from azext_otelembed.image.single_file_layer import NotSingleFile, verified_single_file
from azext_otelembed.image.tar_reader import HEAD_BYTES, read_file
from azext_otelembed.parallel import read_ahead
from azext_otelembed.progress import CombinedProgress, Progress, Report
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.transfer import BlobSource

# Chunks of at most 64 KiB that are read ahead while one chunk of an upload is sent.
_READ_AHEAD = transfer.CHUNK >> 16
_READ_SIZE = 1 << 20


def store_binary_layer(
    target: RegistryClient,
    upstream: UpstreamImage,
    files: CollectorFiles,
    report: Report,
    total: CombinedProgress,
) -> tuple[CollectorLayer, str]:
    """Store the layer that contains only the binary; returns it and the binary's path in it.

    `report` gets the steps, `total` the bytes that are copied. Raises `Refused` for an image that
    can't be used, and the registries' errors.
    """
    if files.diff_id is not None:
        try:
            return _store_unchanged(target, upstream, files, files.diff_id, total), files.path
        except NotSingleFile:
            files = find_collector_files(upstream, report, read_fully=True)
    return _store_repacked(target, upstream, files, report, total), REPACKED_BINARY


def _store_unchanged(
    target: RegistryClient,
    upstream: UpstreamImage,
    files: CollectorFiles,
    diff_id: Digest,
    total: CombinedProgress,
) -> CollectorLayer:
    """Mount the layer, or stream it between registries; verify it. Raises `NotSingleFile`."""
    layer = files.layer
    upload = None
    if upstream.client is target:
        upload = transfer.mount_or_open(target, REPOSITORY, layer.digest, upstream.repository)
        stored = upload is None
    else:
        stored = target.has_blob(REPOSITORY, layer.digest)
    client, repository = (target, REPOSITORY) if stored else (upstream.client, upstream.repository)

    def verified_chunks() -> Iterator[bytes]:
        stream = client.stream_blob(repository, layer.digest, layer.size)
        with closing(stream) as chunks, about(f"collector image {upstream.name}"):
            yield from verified_single_file(
                chunks, files.path, layer.compression or "", diff_id, MAX_BYTES
            )

    report = total.add(layer.size)
    if stored:
        done = reported = 0
        for chunk in verified_chunks():
            done += len(chunk)
            if done - reported >= transfer.CHUNK or done == layer.size:
                reported = done
                report(Progress("", done, layer.size))
    else:
        blob = BlobSource(layer.size, lambda: read_ahead(verified_chunks(), _READ_AHEAD))
        transfer.upload_stream(target, REPOSITORY, layer.digest, blob, opened=upload, report=report)
    return CollectorLayer(layer, diff_id)


def _store_repacked(
    target: RegistryClient,
    upstream: UpstreamImage,
    files: CollectorFiles,
    report: Report,
    total: CombinedProgress,
) -> CollectorLayer:
    """Store a new layer that contains only the binary, packed in a temporary file.

    The layer that contains the binary is checked against its digest. Uses constant memory. Raises
    `Refused` unless the binary is a static program for linux/amd64.
    """
    layer = files.layer
    stream = upstream.client.stream_blob(upstream.repository, layer.digest, layer.size)
    with tempfile.TemporaryDirectory(prefix="otelembed-") as folder:
        path = Path(folder) / "layer"
        with closing(stream) as chunks, about(f"collector image {upstream.name}"):
            binary = _checked(read_file(chunks, files.binary.path, MAX_BYTES), files.path)
            packed, diff_id = _pack(path, binary, files.binary.size, report)
        part = total.add(packed.size)
        if not target.has_blob(REPOSITORY, packed.digest):
            blob = BlobSource(packed.size, lambda: _read(path))
            transfer.upload_stream(target, REPOSITORY, packed.digest, blob, report=part)
    return CollectorLayer(packed, diff_id)


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
    path: Path, binary: Iterator[bytes], size: int, report: Report
) -> tuple[Descriptor, Digest]:
    """Pack a binary of `size` bytes as a gzip layer in the file `path`; returns its diff_id too."""
    compressed_hash, tar_hash = hashlib.sha256(), hashlib.sha256()
    compressor = zlib.compressobj(6, wbits=31)
    done, total = 0, max(size, 1)
    with path.open("wb") as file:
        for piece in binary_tar(size, binary):
            tar_hash.update(piece)
            compressed = compressor.compress(piece)
            compressed_hash.update(compressed)
            file.write(compressed)
            done += len(piece)
            report(Progress("repacking the collector's binary", min(done, total), total))
        compressed = compressor.flush()
        compressed_hash.update(compressed)
        file.write(compressed)
    digest = Digest("sha256", compressed_hash.hexdigest())
    descriptor = Descriptor(Family.OCI.layer_type("gzip"), path.stat().st_size, digest)
    return descriptor, Digest("sha256", tar_hash.hexdigest())


def _read(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_READ_SIZE):
            yield piece
