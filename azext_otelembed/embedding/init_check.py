"""Checks whether the `/init` that an image starts is that of s6-overlay 3, which needs PID 1.

The configuration shows it in most images (`init_program`). If it doesn't, and the launcher is
`drain`, the layers are read, highest first, up to the file and at most 256 MiB. If that is
inconclusive, the image is accepted: the release reports a container that fails to start.
"""

from __future__ import annotations

from contextlib import closing

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.embed import Base
from azext_otelembed.image.existing_collector import StartCommand
from azext_otelembed.image.init_program import (
    S6_INIT,
    refusal,
    shows_s6_overlay,
    starts_s6_init,
)
from azext_otelembed.image.tar_reader import MAX_ENTRIES, ReadLimits, scan
from azext_otelembed.progress import Progress, Report
from azext_otelembed.registry.client import RegistryClient

MAX_READ_BYTES = 256 << 20
"""Compressed bytes that are read to find the file."""
_MAX_NAME_CHARACTERS = 256 << 20
_MAX_UNPACKED_BYTES = 8 << 30
_MARK = b"s6-overlay-suexec"
"""`/init` of s6-overlay 3 runs this program (layout/rootfs-overlay/init in its repository)."""


def check_s6_init(client: RegistryClient, base: Base, kind: str, report: Report) -> None:
    """Raise InvalidImage if the launcher's kind is "drain" and the image starts s6-overlay 3."""
    start = StartCommand(base.config.entrypoint, base.config.cmd)
    if kind != "drain" or not starts_s6_init(start):
        return
    if shows_s6_overlay(base.config) is None and _MARK in _init_of(client, base, report):
        raise refusal(str(base.reference), f"{S6_INIT} of s6-overlay")


def _init_of(client: RegistryClient, base: Base, report: Report) -> bytes:
    """The content of `/init`; empty if it isn't found."""
    path = S6_INIT.lstrip("/")
    limits = ReadLimits(MAX_ENTRIES, _MAX_NAME_CHARACTERS, _MAX_UNPACKED_BYTES)
    remaining = MAX_READ_BYTES
    layers = base.manifest.layers
    for number, layer in reversed(list(enumerate(layers, 1))):
        if layer.size > remaining:
            return b""
        remaining -= layer.size
        report(Progress(f"looking for {S6_INIT} in layer {number} of {len(layers)}"))
        repository = base.reference.repository
        with closing(client.stream_blob(repository, layer.digest, layer.size)) as chunks:
            try:
                for entry in scan(chunks, want=frozenset({path}), max_file_bytes=1 << 20):
                    limits.count(entry)
                    if entry.path == path:
                        return entry.data or b""
            except InvalidImage:
                return b""  # not a tar archive, or larger than the limits
    return b""
