"""The shell for a base without one: found prepared in the registry, or brought there once.

It lies beside the collector, in `otelembed/collector`, under tags of the same making that begin
with `shell-`. A busybox image is small, so it is read through this machine; where that can't reach
the image's registry, ours is asked to import it.
"""

from __future__ import annotations

import re
from collections.abc import Generator
from dataclasses import dataclass, replace

from azext_otelembed.embedding.base_images import read_manifest
from azext_otelembed.embedding.prepare_collector import IMPORTED, Importer, alias
from azext_otelembed.errors import (
    InvalidImage,
    NotFound,
    OtelembedError,
    Refused,
    RegistryFailed,
    Unauthorized,
    about,
)
from azext_otelembed.image.manifest import Manifest, parse_manifest
from azext_otelembed.image.prepared_collector import EMPTY, REPOSITORY
from azext_otelembed.image.prepared_shell import (
    ADVICE,
    LARGEST,
    PreparedShell,
    find_busybox,
    make_prepared_shell,
    make_shell_layer,
    parse_prepared_shell,
)
from azext_otelembed.image.read_limits import Bounds, check_layers
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.image.tar_reader import Entry, scan
from azext_otelembed.progress import Progress, Report, silent
from azext_otelembed.registry import transfer
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.scope import pull, push

LIMIT = 64 << 20
"""Compressed bytes that a shell image may have; busybox's have 1 to 5 MB."""

_MOST_ENTRIES = 20_000
_MOST_NAMES = 4 << 20
_MOST_UNPACKED = 1 << 30
_FULL_VERSION = re.compile(r"\d+\.\d+")


@dataclass(frozen=True, slots=True)
class _Image:
    """A shell image as it can be read: in `repository` of `client`'s registry."""

    client: RegistryClient
    repository: str
    manifest: Manifest


def find_shell(client: RegistryClient, reference: Reference) -> PreparedShell | None:
    """The shell of the image that `reference` names, if it is prepared in the registry."""
    try:
        stored = client.get_manifest(REPOSITORY, _tag(reference.or_latest()))
        manifest = parse_manifest(stored.data, stored.media_type)
        return parse_prepared_shell(manifest) if isinstance(manifest, Manifest) else None
    except NotFound:
        return None
    except InvalidImage:
        return None  # what is prepared next replaces it


def bring_in_shell(
    target: RegistryClient,
    reference: Reference,
    source: RegistryClient,
    importer: Importer | None = None,
    report: Report = silent,
) -> PreparedShell:
    """The shell of the image that `reference` names, prepared in `target`.

    A tag with a version is taken to stay what it is; others are looked up each time. Raises
    `NotFound`, `Unauthorized`, `RegistryFailed`, or `Refused` for an image without a busybox that
    runs on any base.
    """
    reference = reference.or_latest()
    found = find_shell(target, reference)
    if found is not None and (reference.digest or _FULL_VERSION.search(reference.tag or "")):
        return found
    target.expect(push(REPOSITORY), pull(IMPORTED))
    try:
        image = _Image(source, reference.repository, read_manifest(source, reference))
    except (RegistryFailed, Unauthorized) as unreachable:
        if found is not None:
            return found
        image = _imported(target, reference, importer, report, unreachable)
    if found is not None and found.upstream.digest == image.manifest.digest:
        return found
    report(Progress(f"preparing the shell of {reference} in {target.host}"))
    with about(f"shell image {reference}"):
        glue = make_shell_layer(_busybox(image, reference))
        pinned = replace(reference, digest=image.manifest.digest)
        prepared = make_prepared_shell(pinned, glue)
    transfer.upload(target, REPOSITORY, glue.digest, glue.data)
    transfer.upload(target, REPOSITORY, Digest.of(EMPTY), EMPTY)
    for tag in {_tag(pinned): None, _tag(reference): None}:
        target.put_manifest(REPOSITORY, tag, prepared.manifest.data, prepared.manifest.media_type)
    return prepared


def _tag(reference: Reference) -> str:
    return f"shell-{alias(reference)}"


def _imported(
    target: RegistryClient,
    reference: Reference,
    importer: Importer | None,
    report: Report,
    unreachable: OtelembedError,
) -> _Image:
    if importer is None:
        raise unreachable
    report(Progress(f"importing {reference} into {target.host}"))
    try:
        importer(reference, f"{IMPORTED}:{_tag(reference)}")
    except OtelembedError as failed:
        raise type(unreachable)(
            f"{unreachable.message} Registry '{target.host}' couldn't import it either: "
            f"{failed.message}",
            unreachable.recommendation or failed.recommendation,
        ) from None
    manifest = read_manifest(target, Reference(target.host, IMPORTED, _tag(reference)))
    return _Image(target, IMPORTED, manifest)


def _busybox(image: _Image, reference: Reference) -> bytes:
    """The first file that is a busybox for any base. Raises InvalidImage where none is."""
    if sum(layer.size for layer in image.manifest.layers) > LIMIT:
        raise Refused(
            f"shell image {reference} has more than {LIMIT >> 20} MB: it is no busybox image.",
            ADVICE,
        )
    check_layers(len(image.manifest.layers))
    bounds = _bounds()
    entries = [
        entry
        for number in range(len(image.manifest.layers))
        for entry in _read(image, number, bounds)
    ]
    problem = InvalidImage("It holds no busybox.", ADVICE)
    for path in find_busybox(entries):
        binary = _content(image, path)
        try:
            make_shell_layer(binary)
        except InvalidImage as unfit:
            problem = unfit
        else:
            return binary
    raise problem


def _content(image: _Image, path: str) -> bytes:
    """A file's bytes, as the uppermost layer has it."""
    bounds = _bounds()
    for number in range(len(image.manifest.layers) - 1, -1, -1):
        for entry in _read(image, number, bounds, path):
            if entry.data is not None:
                return entry.data
    raise InvalidImage(f"/{path} can't be read.")


def _bounds() -> Bounds:
    return Bounds(_MOST_ENTRIES, _MOST_NAMES, _MOST_UNPACKED)


def _read(image: _Image, number: int, bounds: Bounds, path: str | None = None) -> list[Entry]:
    """The entries of a layer, with the content of the file at `path`."""
    layer = image.manifest.layers[number]
    chunks = image.client.stream_blob(image.repository, layer.digest, layer.size)
    want = frozenset({path} if path else ())
    entries: list[Entry] = []
    try:
        for entry in scan(chunks, want=want, limit=LARGEST, most=_MOST_UNPACKED):
            bounds.take(entry)
            entries.append(entry)
    finally:
        if isinstance(chunks, Generator):
            chunks.close()
    return entries
