"""Checks that an image has `/bin/sh`, which the launcher needs.

Most configurations show it: an entrypoint in shell form, a script, a RUN step in the history. If
none does, the layers are read, lowest first (a distribution's root file system is the lowest), up
to the shell and at most 256 MiB. If that is inconclusive, the image is accepted: without a shell
the container fails to start, and the release reports it. A shell that an upper layer deletes is not
detected.
"""

from __future__ import annotations

import posixpath
import re
from contextlib import closing

from azext_otelembed.errors import InvalidImage, Refused
from azext_otelembed.image.embed import Base
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.tar_reader import MAX_ENTRIES, Entry, ReadLimits, scan
from azext_otelembed.progress import Progress, Report
from azext_otelembed.registry.client import RegistryClient

MAX_READ_BYTES = 256 << 20
"""Compressed bytes that are read to find a shell."""
_MAX_LAYER_BYTES = 2 << 30
_MAX_UNPACKED_BYTES = 8 << 30
_MAX_NAME_CHARACTERS = 256 << 20
_MAX_SHELLS = 10_000

# `/bin/sh -c apt-get …` (docker build), `RUN |1 A=b /bin/sh -c …` (BuildKit); `#(nop)` ran nothing.
_RUN_STEP = re.compile(r"(?:^|\s)/bin/sh -c (?!#\(nop\))")
# The CMD of an image's own base stays in the history.
_STARTS_SHELL = re.compile(r'\b(?:CMD|ENTRYPOINT) \["(?:/bin/)?sh"')


def config_shows_shell(config: ImageConfig) -> bool:
    """Whether an image's configuration shows a shell."""
    first = next(iter([*config.entrypoint, *config.cmd]), "")
    if first in ("/bin/sh", "sh") or first.endswith(".sh"):
        return True
    steps = [str(entry.get("created_by") or "") for entry in config.history]
    return any(_RUN_STEP.search(step) or _STARTS_SHELL.search(step) for step in steps)


def check_shell(client: RegistryClient, base: Base, report: Report) -> None:
    """Raise `Refused` if the image certainly has no shell."""
    if config_shows_shell(base.config):
        return
    if _layers_have_shell(client, base, report) is False:
        raise Refused(
            f"{base.reference} has no /bin/sh, which starts the collector beside the app.",
            "Embed a shell with `--shell-image docker.io/library/busybox:1.36.1-musl`, or build "
            "the app on a base with a shell, such as a `-slim` or `alpine` variant.",
        )


def _layers_have_shell(client: RegistryClient, base: Base, report: Report) -> bool | None:
    """Whether the layers contain `/bin/sh`; None if not all of them can be read."""
    paths = _ShellPaths()
    limits = ReadLimits(MAX_ENTRIES, _MAX_NAME_CHARACTERS, _MAX_UNPACKED_BYTES)
    remaining = MAX_READ_BYTES
    skipped = False
    repository, layers = base.reference.repository, base.manifest.layers
    for number, layer in enumerate(layers, 1):
        if layer.size > remaining:
            skipped = True
            continue
        remaining -= layer.size
        report(Progress(f"looking for a shell in layer {number} of {len(layers)}"))
        with closing(client.stream_blob(repository, layer.digest, layer.size)) as chunks:
            try:
                for entry in scan(chunks, max_bytes=_MAX_LAYER_BYTES):
                    limits.count(entry)
                    if paths.add(entry):
                        return True
            except InvalidImage:
                skipped = True  # not a tar archive, or larger than the limits
    return None if skipped else False


class _ShellPaths:
    """Where `/bin` leads to and which folders have an `sh`, in the layers read so far."""

    def __init__(self) -> None:
        self._bin = "bin"  # `usr/bin` in distributions with a merged /usr
        self._folders: set[str] = set()

    def add(self, entry: Entry) -> bool:
        """Record an entry; returns whether `/bin/sh` exists now."""
        if entry.path == "bin":
            self._bin = "bin"
            if entry.kind == "symlink":
                self._bin = posixpath.normpath(posixpath.join("/", entry.target)).lstrip("/")
        elif (
            entry.path.endswith("/sh")
            and entry.kind in ("file", "symlink", "hardlink")
            and len(self._folders) < _MAX_SHELLS
        ):
            self._folders.add(posixpath.dirname(entry.path))
        return self._bin in self._folders
