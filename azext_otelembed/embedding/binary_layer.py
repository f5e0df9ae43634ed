"""A collector's binary brought to where embeds mount it from: in its own layer, or packed anew.

Its layer is read to the last byte, once for each version of a collector, even where the registry
imports it by itself: nothing less proves what an app image is going to get (`image.alone`).
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from azext_otelembed.embedding.repack import repacked
from azext_otelembed.embedding.upstream_image import MOST_BYTES, Parts, Upstream, take_apart
from azext_otelembed.errors import about
from azext_otelembed.image.layer import PROGRAM
from azext_otelembed.image.prepared_collector import REPOSITORY, CollectorLayer
from azext_otelembed.image.reference import Digest
from azext_otelembed.image.single_file_layer import NotSingleFile, verified_single_file
from azext_otelembed.parallel import ahead
from azext_otelembed.progress import Progress, Report, Sum
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.transfer import Source

# Chunks of 64 KiB at most: what is read while a chunk of an upload is on its way.
_AHEAD = transfer.CHUNK >> 16


def bring_binary(
    target: RegistryClient, upstream: Upstream, parts: Parts, report: Report, total: Sum
) -> tuple[CollectorLayer, str]:
    """The layer that holds the binary and nothing else, in `target`, and the binary's path there.

    `report` is told what is done, `total` the bytes that are copied. Raises `Refused` for an image
    that can't be used, and the registries' errors.
    """
    if parts.diff_id is not None:
        try:
            return _as_it_is(target, upstream, parts, parts.diff_id, total), parts.path
        except NotSingleFile:
            parts = take_apart(upstream, report, whole=True)
    return _packed_anew(target, upstream, parts, report, total), PROGRAM


def _as_it_is(
    target: RegistryClient, upstream: Upstream, parts: Parts, diff_id: Digest, total: Sum
) -> CollectorLayer:
    """Mounted within a registry, or streamed between two, and verified. Raises `NotSingleFile`."""
    layer = parts.layer
    begun = None
    if upstream.client is target:
        begun = transfer.mount_or_open(target, REPOSITORY, layer.digest, upstream.repository)
        there = begun is None
    else:
        there = target.has_blob(REPOSITORY, layer.digest)
    client, repository = (target, REPOSITORY) if there else (upstream.client, upstream.repository)

    def read() -> Iterator[bytes]:
        chunks = client.stream_blob(repository, layer.digest, layer.size)
        compression = layer.compression or ""
        try:
            with about(f"collector image {upstream.name}"):
                yield from verified_single_file(
                    chunks, parts.path, compression, diff_id, MOST_BYTES
                )
        finally:
            if isinstance(chunks, Generator):
                chunks.close()

    report = total.part(layer.size)
    if there:
        _read_through(read(), layer.size, report)
    else:
        blob = Source(layer.size, lambda: ahead(read(), _AHEAD))
        transfer.upload_stream(target, REPOSITORY, layer.digest, blob, begun=begun, report=report)
    return CollectorLayer(layer, diff_id, "binary")


def _read_through(chunks: Iterator[bytes], size: int, report: Report) -> None:
    done = told = 0
    for chunk in chunks:
        done += len(chunk)
        if done - told >= transfer.CHUNK or done == size:
            told = done
            report(Progress("", done, size))


def _packed_anew(
    target: RegistryClient, upstream: Upstream, parts: Parts, report: Report, total: Sum
) -> CollectorLayer:
    """The binary in a layer that holds nothing else."""
    with repacked(upstream, parts, report) as packed:
        part = total.part(packed.size)
        if not target.has_blob(REPOSITORY, packed.digest):
            transfer.upload_stream(target, REPOSITORY, packed.digest, packed.source, report=part)
    return CollectorLayer(packed.descriptor, packed.diff_id, "binary")
