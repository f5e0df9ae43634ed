"""Reads a collector image as its publisher made it: where its binary and CA certificates are.

Layers are read as streams from the top down, and only as many as needed. If a layer begins with the
binary, the rest of it isn't read here: `binary_layer` verifies every byte before the layer is used.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass

from azext_otelembed.errors import Refused, about
from azext_otelembed.image.descriptor import Descriptor
from azext_otelembed.image.elf import check_static_program
from azext_otelembed.image.image_config import ImageConfig, parse_config
from azext_otelembed.image.manifest import Manifest
from azext_otelembed.image.prepared_collector import (
    CA_BUNDLE,
    CA_BUNDLES,
    binary_path,
    is_mountable_binary,
)
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.image.tar_reader import (
    Entry,
    ReadLimits,
    check_layer_count,
    normal_path,
    resolve_links,
    scan,
)
from azext_otelembed.progress import Progress, Report
from azext_otelembed.registry.client import RegistryClient

MAX_BYTES = 2 << 30
"""Bytes that a collector image's layer may unpack to; upstream's largest has 400 MB."""

_MAX_ENTRIES = 100_000
_MAX_NAME_CHARACTERS = 16 << 20
_LAYOUT_HINT = "Use an image in the layout of docker.io/otel/opentelemetry-collector-contrib."


@dataclass(frozen=True, slots=True)
class UpstreamImage:
    """A collector image in `repository` of `client`'s registry. `name` is the name for messages."""

    client: RegistryClient
    repository: str
    name: Reference
    manifest: Manifest
    config: ImageConfig


@dataclass(frozen=True, slots=True)
class CollectorFiles:
    """The files of a collector image that an embed needs.

    `path` is the binary's absolute path in `layer`, `binary` its entry there, with its size.
    `ca_bundle` is PEM. `diff_id` is set if the layer may be mounted unchanged, because it begins
    with the binary; the rest of the layer is not verified yet. It is None if the layer has other
    files, has the binary in a folder, or has a compression that only one media type family
    supports: then the binary is repacked.
    """

    path: str
    layer: Descriptor
    diff_id: Digest | None
    ca_bundle: bytes
    binary: Entry


@dataclass(frozen=True, slots=True)
class _LayerEntry:
    """An entry, and the number of its layer. `first_only`: the layer's others were not read."""

    entry: Entry
    layer: int
    first_only: bool = False


def read_upstream(
    client: RegistryClient, repository: str, name: Reference, manifest: Manifest
) -> UpstreamImage:
    """Read the image's configuration. Raises `Refused` unless it is a linux/amd64 image."""
    data = client.get_blob(repository, manifest.config.digest)
    what = f"collector image {name}"
    with about(what):
        config = parse_config(data)
    if (config.os, config.architecture) != ("linux", "amd64"):
        raise Refused(
            f"{what} is built for {config.os or '?'}/{config.architecture or '?'}. App Service "
            "runs linux/amd64 only.",
            "Use an image that has a linux/amd64 variant, such as "
            "docker.io/otel/opentelemetry-collector-contrib.",
        )
    return UpstreamImage(client, repository, name, manifest, config)


def find_collector_files(
    upstream: UpstreamImage, report: Report, *, read_fully: bool = False
) -> CollectorFiles:
    """Find the binary's layer and the CA bundle. Raises `Refused` if they can't be used.

    With `read_fully`, no layer is treated as mountable: each one is read to its end.
    """
    what = f"collector image {upstream.name}"
    layers, diff_ids = upstream.manifest.layers, upstream.config.diff_ids
    with about(what):
        path = "/" + normal_path(binary_path(upstream.config))
        check_layer_count(len(layers))
    if len(layers) != len(diff_ids):
        raise Refused(f"{what} is inconsistent: its layers and their diff_ids differ in number.")
    for layer in layers:
        if layer.size > MAX_BYTES:
            raise Refused(f"{what} has a layer of {layer.size} bytes.", _LAYOUT_HINT)
    if sum(layer.size for layer in layers) > MAX_BYTES:
        raise Refused(
            f"{what} has layers of more than {MAX_BYTES >> 20} MiB altogether.", _LAYOUT_HINT
        )
    limits = ReadLimits(_MAX_ENTRIES, _MAX_NAME_CHARACTERS, MAX_BYTES)
    entries: dict[str, _LayerEntry] = {}
    binary: _LayerEntry | None = None
    ca_bundle: bytes | None = None
    for number in range(len(layers) - 1, -1, -1):
        step = f"reading layer {len(layers) - number} of {len(layers)} of {upstream.name}"
        report(Progress(step))
        for name, found in _read_layer(upstream, number, path, limits, read_fully).items():
            entries.setdefault(name, found)
        binary = binary or _file(entries.get(path[1:]))
        bundles = (entries[each].entry.data for each in CA_BUNDLES if each in entries)
        ca_bundle = ca_bundle or next(filter(None, bundles), None)
        if binary and ca_bundle:
            break
    if binary is None:
        linked = resolve_links({name: found.entry for name, found in entries.items()}, path[1:])
        binary = _file(entries.get(linked))
    if binary is None or ca_bundle is None:
        missing = f"a CA bundle (/{CA_BUNDLE})" if binary else f"the binary that it starts ({path})"
        raise Refused(f"{what} lacks {missing} in its layers.", _LAYOUT_HINT)
    if binary.first_only:
        with about(what):  # Checked again with the whole layer; this check fails earlier.
            check_static_program(binary.entry.head, path)
    return CollectorFiles(
        "/" + binary.entry.path,
        layers[binary.layer],
        diff_ids[binary.layer] if binary.first_only else None,
        ca_bundle,
        binary.entry,
    )


def _file(found: _LayerEntry | None) -> _LayerEntry | None:
    return found if found is not None and found.entry.kind == "file" else None


def _read_layer(
    upstream: UpstreamImage, number: int, path: str, limits: ReadLimits, read_fully: bool
) -> dict[str, _LayerEntry]:
    """The entries of a layer by path; only the first if it is a mountable binary at `path`."""
    what = f"collector image {upstream.name}"
    layer = upstream.manifest.layers[number]
    may_mount = layer.compression in ("gzip", "none") and not read_fully
    want, peek = frozenset(CA_BUNDLES), frozenset({path[1:]})
    entries: list[Entry] = []
    stream = upstream.client.stream_blob(upstream.repository, layer.digest, layer.size)
    with closing(stream) as chunks, about(what):
        for entry in scan(chunks, want=want, peek=peek, max_bytes=MAX_BYTES):
            # No image builder makes such an entry, so it must be an attack.
            if entry.unsafe_path or entry.kind == "device":
                bad = "a path that leads out of it" if entry.unsafe_path else "a device"
                raise Refused(
                    f"A layer of {what} contains {bad} ('{entry.path[:100]}').",
                    "Use an image from a source that you trust.",
                )
            limits.count(entry)
            entries.append(entry)
            if may_mount and len(entries) == 1 and is_mountable_binary(entry, path):
                return {entry.path: _LayerEntry(entry, number, first_only=True)}
        for _ in chunks:  # The client checks the digest at the end of the stream.
            pass
    return {entry.path: _LayerEntry(entry, number) for entry in entries}
