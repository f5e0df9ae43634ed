"""A collector image as upstream publishes it: where its binary and its CA certificates are.

An image's layers are read from the top down as streams, no further down than it takes. A layer that
begins with the binary is taken to hold nothing else, and isn't read on here: whoever mounts it has
every byte of it verified first (`single_file_layer`).
"""

from __future__ import annotations

import posixpath
from collections.abc import Generator, Mapping
from dataclasses import dataclass

from azext_otelembed.errors import Refused, about
from azext_otelembed.image.elf import check_program
from azext_otelembed.image.image_config import ImageConfig, parse_config
from azext_otelembed.image.manifest import Descriptor, Manifest
from azext_otelembed.image.prepared_collector import CA_BUNDLE, CA_BUNDLES, binary_path, holds_only
from azext_otelembed.image.read_limits import Bounds, check_layers
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.image.tar_reader import Entry, clean, scan
from azext_otelembed.progress import Progress, Report
from azext_otelembed.registry.client import RegistryClient

MOST_BYTES = 2 << 30
"""Bytes that a collector image's layer may unpack to; upstream's largest has 400 MB."""

_MOST_ENTRIES = 100_000
_MOST_NAMES = 16 << 20
# As Linux has it: links on one path, and characters of a path.
_MOST_LINKS = 40
_LONGEST_PATH = 4095
_LAYOUT = "Use an image in the layout of docker.io/otel/opentelemetry-collector-contrib."


@dataclass(frozen=True, slots=True)
class Upstream:
    """A collector image in `repository` of `client`'s registry. `name` is what it is called."""

    client: RegistryClient
    repository: str
    name: Reference
    manifest: Manifest
    config: ImageConfig


@dataclass(frozen=True, slots=True)
class Parts:
    """What an embed needs of a collector image. `bundle` is PEM, `path` the binary's in `layer`.

    `diff_id` is set where the layer begins like one that can be mounted as it is; nothing is
    verified yet. Otherwise the layer holds other things, holds the binary in a folder, or has a
    compression that not every family of images has: then the binary is packed anew. `file` has
    the binary's size.
    """

    path: str
    layer: Descriptor
    diff_id: Digest | None
    bundle: bytes
    file: Entry


@dataclass(frozen=True, slots=True)
class _Found:
    """An entry of the image, and the number of the layer that has it.

    `alone`: the layer begins with it, and nobody has looked at what follows.
    """

    entry: Entry
    layer: int
    alone: bool = False


def read_upstream(
    client: RegistryClient, repository: str, name: Reference, manifest: Manifest
) -> Upstream:
    """With its configuration. Raises `Refused` where it is no linux/amd64 image."""
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
    return Upstream(client, repository, name, manifest, config)


def take_apart(upstream: Upstream, report: Report, *, whole: bool = False) -> Parts:
    """Find the binary's layer and the CA bundle. Raises `Refused` where they can't be used.

    With `whole`, layers are read to their ends, whatever they begin with.
    """
    what = f"collector image {upstream.name}"
    layers, diff_ids = upstream.manifest.layers, upstream.config.diff_ids
    with about(what):
        path = "/" + clean(binary_path(upstream.config))
        check_layers(len(layers))
    if len(layers) != len(diff_ids):
        raise Refused(f"{what} is inconsistent: its layers and their diff_ids differ in number.")
    for layer in layers:
        if layer.size > MOST_BYTES:
            raise Refused(f"{what} has a layer of {layer.size} bytes.", _LAYOUT)
    if sum(layer.size for layer in layers) > MOST_BYTES:
        raise Refused(f"{what} has layers of more than {MOST_BYTES >> 20} MiB altogether.", _LAYOUT)
    bounds = Bounds(_MOST_ENTRIES, _MOST_NAMES, MOST_BYTES)
    seen: dict[str, _Found] = {}
    binary: _Found | None = None
    bundle: bytes | None = None
    for number in range(len(layers) - 1, -1, -1):
        shown = f"reading layer {len(layers) - number} of {len(layers)} of {upstream.name}"
        report(Progress(shown))
        for name, found in _read(upstream, number, path, bounds, whole=whole).items():
            seen.setdefault(name, found)
        binary = binary or _file(seen.get(path[1:]))
        bundle = bundle or _bundle(seen)
        if binary and bundle:
            break
    binary = binary or _file(seen.get(_resolved(seen, path[1:])))
    if binary is None or bundle is None:
        missing = f"a CA bundle (/{CA_BUNDLE})" if binary else f"the binary that it starts ({path})"
        raise Refused(f"{what} lacks {missing} in its layers.", _LAYOUT)
    if binary.alone:
        with about(what):
            check_program(binary.entry.head, path)  # again when all of it is read: this is sooner
    return Parts(
        "/" + binary.entry.path,
        layers[binary.layer],
        diff_ids[binary.layer] if binary.alone else None,
        bundle,
        binary.entry,
    )


def _file(found: _Found | None) -> _Found | None:
    return found if found is not None and found.entry.kind == "file" else None


def _bundle(seen: Mapping[str, _Found]) -> bytes | None:
    for name in CA_BUNDLES:
        if name in seen and seen[name].entry.data:
            return seen[name].entry.data
    return None


def _resolved(seen: Mapping[str, _Found], path: str) -> str:
    """Where a path leads within the image, through symbolic and hard links; "" for nowhere."""
    done: list[str] = []
    todo = path.split("/")[::-1]
    links = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del done[-1:]
            continue
        here = "/".join([*done, part])
        if len(here) > _LONGEST_PATH:
            return ""
        entry = seen[here].entry if here in seen else None
        if entry is None or entry.kind not in ("symlink", "hardlink"):
            done.append(part)
            continue
        links += 1
        if links > _MOST_LINKS:
            return ""
        if entry.kind == "hardlink" or entry.target.startswith("/"):
            done = []
        todo += posixpath.normpath(entry.target).split("/")[::-1]
    return "/".join(done)


def _read(
    upstream: Upstream, number: int, path: str, bounds: Bounds, *, whole: bool
) -> dict[str, _Found]:
    """The entries of a layer by path; unless `whole`, the first alone where that is the binary."""
    what = f"collector image {upstream.name}"
    layer = upstream.manifest.layers[number]
    chunks = upstream.client.stream_blob(upstream.repository, layer.digest, layer.size)
    mountable = layer.compression in ("gzip", "none") and not whole
    entries: list[Entry] = []
    try:
        with about(what):
            wanted, begun = frozenset(CA_BUNDLES), frozenset({path[1:]})
            for entry in scan(chunks, want=wanted, peek=begun, most=MOST_BYTES):
                _check(entry, what)
                bounds.take(entry)
                entries.append(entry)
                if mountable and len(entries) == 1 and holds_only(entries, path):
                    return {entry.path: _Found(entry, number, alone=True)}
        for _ in chunks:  # to the end: only then is its digest checked
            pass
    finally:
        if isinstance(chunks, Generator):
            chunks.close()
    return {entry.path: _Found(entry, number) for entry in entries}


def _check(entry: Entry, what: str) -> None:
    """Raise `Refused` for what no builder of images makes: it is there to do harm."""
    if entry.odd or entry.kind == "device":
        told = "a path that leads out of it" if entry.odd else "a device"
        raise Refused(
            f"A layer of {what} holds {told} ('{entry.path[:100]}').",
            "Use an image from a source that you trust.",
        )
