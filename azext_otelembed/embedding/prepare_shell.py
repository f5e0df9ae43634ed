"""Prepares a shell for bases without one: finds it in the registry, or copies it there once.

It is stored beside the collector, under tags that begin with `shell-`. A busybox image is small, so
it is read through this machine. If this machine can't reach the image's registry, the target
registry imports it.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial

from azext_otelembed.embedding import prepared_store
from azext_otelembed.embedding.base_images import read_manifest
from azext_otelembed.embedding.prepared_store import UPSTREAM_REPOSITORY, Importer
from azext_otelembed.errors import InvalidImage, OtelembedError, Refused, about
from azext_otelembed.image.descriptor import Descriptor
from azext_otelembed.image.layer import BuiltLayer
from azext_otelembed.image.manifest import EMPTY, Manifest
from azext_otelembed.image.prepared_collector import REPOSITORY, prepared_tag
from azext_otelembed.image.prepared_shell import (
    MAX_BUSYBOX_BYTES,
    SHELL_IMAGE_HINT,
    PreparedShell,
    find_busybox,
    make_prepared_shell,
    make_shell_layer,
    parse_prepared_shell,
)
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.image.tar_reader import Entry, ReadLimits, check_layer_count, scan
from azext_otelembed.progress import Progress, Report, discard
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient

MAX_IMAGE_BYTES = 64 << 20
"""Compressed bytes that a shell image may have; busybox images have 1 to 5 MB."""

_MAX_UNPACKED_BYTES = 1 << 30
_limits = partial(ReadLimits, 20_000, 4 << 20, _MAX_UNPACKED_BYTES)


@dataclass(frozen=True, slots=True)
class _ShellImage:
    """A shell image that can be read: in `repository` of `client`'s registry."""

    client: RegistryClient
    repository: str
    manifest: Manifest


def find_shell(client: RegistryClient, reference: Reference) -> PreparedShell | None:
    """The shell of the image that `reference` names, if it is prepared: one request."""
    return prepared_store.find(client, _tag(reference.or_latest()), parse_prepared_shell)


def prepare_shell(
    target: RegistryClient,
    reference: Reference,
    source: RegistryClient,
    importer: Importer | None = None,
    report: Report = discard,
) -> PreparedShell:
    """The shell of the image that `reference` names, prepared in `target`.

    Raises `NotFound`, `Unauthorized`, `RegistryFailed`, or `Refused` for an image without a
    statically linked busybox.
    """
    reference = reference.or_latest()
    found = find_shell(target, reference)
    if found is not None and prepared_store.is_immutable(reference):
        return found
    prepared_store.expect_access(target)
    try:
        image = _ShellImage(source, reference.repository, read_manifest(source, reference))
    except prepared_store.UNREACHABLE as unreachable:
        if found is not None:
            return found
        image = _import(target, reference, importer, report, unreachable)
    if found is not None and found.upstream.digest == image.manifest.digest:
        return found
    report(Progress(f"preparing the shell of {reference} in {target.host}"))
    pinned = reference.with_digest(image.manifest.digest)
    with about(f"shell image {reference}"):
        layer = _shell_layer(image, reference)
        prepared = make_prepared_shell(pinned, layer)
    transfer.upload(target, REPOSITORY, layer.digest, layer.data)
    transfer.upload(target, REPOSITORY, Digest.of(EMPTY), EMPTY)
    for tag in dict.fromkeys((_tag(pinned), _tag(reference))):
        prepared_store.put(target, prepared.manifest, tag)
    return prepared


def _tag(reference: Reference) -> str:
    return f"shell-{prepared_tag(reference)}"


def _import(
    target: RegistryClient,
    reference: Reference,
    importer: Importer | None,
    report: Report,
    unreachable: OtelembedError,
) -> _ShellImage:
    if importer is None:
        raise unreachable
    try:
        manifest = prepared_store.import_image(target, reference, _tag(reference), importer, report)
    except Refused:
        raise
    except OtelembedError as failed:
        kind = type(unreachable)
        raise prepared_store.import_failed(kind, target.host, unreachable, failed) from None
    return _ShellImage(target, UPSTREAM_REPOSITORY, manifest)


def _shell_layer(image: _ShellImage, reference: Reference) -> BuiltLayer:
    """The layer with the image's first static busybox. Raises InvalidImage if it has none."""
    if sum(layer.size for layer in image.manifest.layers) > MAX_IMAGE_BYTES:
        raise Refused(
            f"shell image {reference} is larger than {MAX_IMAGE_BYTES >> 20} MiB, so it is not a "
            "busybox image.",
            SHELL_IMAGE_HINT,
        )
    check_layer_count(len(image.manifest.layers))
    limits = _limits()
    layers = image.manifest.layers
    entries = [entry for layer in layers for entry in _read_layer(image, layer, limits)]
    problem = InvalidImage("It holds no busybox.", SHELL_IMAGE_HINT)
    for path in find_busybox(entries):
        binary = _read_file(image, path)
        try:
            return make_shell_layer(binary)
        except InvalidImage as unusable:
            problem = unusable
    raise problem


def _read_file(image: _ShellImage, path: str) -> bytes:
    """A file's bytes, from the uppermost layer that has it."""
    limits = _limits()
    for layer in reversed(image.manifest.layers):
        for entry in _read_layer(image, layer, limits, path):
            if entry.data is not None:
                return entry.data
    raise InvalidImage(f"/{path} can't be read.")


def _read_layer(
    image: _ShellImage, layer: Descriptor, limits: ReadLimits, path: str | None = None
) -> list[Entry]:
    """The entries of a layer, with the content of the file at `path`."""
    want = frozenset({path} if path else ())
    entries: list[Entry] = []
    with closing(image.client.stream_blob(image.repository, layer.digest, layer.size)) as chunks:
        for entry in scan(
            chunks, want=want, max_file_bytes=MAX_BUSYBOX_BYTES, max_bytes=_MAX_UNPACKED_BYTES
        ):
            limits.count(entry)
            entries.append(entry)
        for _ in chunks:  # The client checks the digest at the end of the stream.
            pass
    return entries
