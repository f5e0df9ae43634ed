"""Whether an image has `/bin/sh`, which the launcher needs.

Nearly every image tells so by itself: an entrypoint in shell form, a script, a RUN step in its
history. Only where nothing does are its layers read, lowest first (a distribution's root file
system comes first), no further than the shell, and 256 MiB at most. What that leaves open counts
as a shell: the container itself has the last word, and a site that doesn't come up says so.
A shell that an upper layer deletes again is not noticed.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Generator, Iterator, Sequence

from azext_otelembed.errors import InvalidImage, Refused
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.manifest import Descriptor
from azext_otelembed.image.read_limits import Bounds
from azext_otelembed.image.tar_reader import MOST_ENTRIES, Entry, scan
from azext_otelembed.progress import Progress, Report, silent
from azext_otelembed.registry.client import RegistryClient

LIMIT = 256 << 20
"""Compressed bytes that are read in search of a shell."""
_MOST_UNPACKED = 2 << 30
_MOST_ALTOGETHER = 8 << 30
_MOST_NAMES = 256 << 20
_MOST_SHELLS = 10_000

# `/bin/sh -c apt-get …` (docker build), `RUN |1 A=b /bin/sh -c …` (BuildKit); `#(nop)` ran nothing.
_RAN = re.compile(r"(?:^|\s)/bin/sh -c (?!#\(nop\))")
# A base's own CMD stays in the history of what is built on it.
_STARTS_SHELL = re.compile(r'\b(?:CMD|ENTRYPOINT) \["(?:/bin/)?sh"')


def tells_of_shell(words: Sequence[str], config: ImageConfig) -> bool:
    """Whether the configuration proves a shell. `words` are the image's own entrypoint and Cmd."""
    first = words[0] if words else ""
    if first in ("/bin/sh", "sh") or first.endswith(".sh"):
        return True
    steps = [str(entry.get("created_by") or "") for entry in config.history]
    return any(_RAN.search(step) or _STARTS_SHELL.search(step) for step in steps)


def find_shell(
    client: RegistryClient,
    repository: str,
    layers: Sequence[Descriptor],
    report: Report = silent,
) -> bool | None:
    """Look for `/bin/sh` in the layers, lowest first; None where it can't be told."""
    seen = _Seen()
    bounds = Bounds(MOST_ENTRIES, _MOST_NAMES, _MOST_ALTOGETHER)
    left = LIMIT
    unread = False
    for number, layer in enumerate(layers, 1):
        if layer.size > left:
            unread = True
            continue
        left -= layer.size
        report(Progress(f"looking for a shell in layer {number} of {len(layers)}"))
        chunks = client.stream_blob(repository, layer.digest, layer.size)
        try:
            for entry in scan(chunks, most=_MOST_UNPACKED):
                bounds.take(entry)
                if seen.shell_after(entry):
                    return True
        except InvalidImage:
            unread = True  # not a tar archive, or one that unpacks to no end
        finally:
            _close(chunks)
    return None if unread else False


def check_shell(
    client: RegistryClient,
    name: str,
    repository: str,
    words: Sequence[str],
    config: ImageConfig,
    layers: Sequence[Descriptor],
    report: Report = silent,
) -> None:
    """Raise `Refused` where the image `name` certainly has no shell."""
    if tells_of_shell(words, config):
        return
    if find_shell(client, repository, layers, report) is False:
        raise Refused(
            f"{name} has no /bin/sh, which starts the collector beside the app.",
            "Bring one along with `--shell-image docker.io/library/busybox:1.36.1-musl`, or build "
            "the app on a base with a shell, such as a `-slim` or `alpine` variant.",
        )


class _Seen:
    """What the layers read so far say about `/bin` and `sh`."""

    def __init__(self) -> None:
        self._bin = "bin"  # where /bin leads: itself, or usr/bin on a merged-/usr distribution
        self._shells: set[str] = set()

    def shell_after(self, entry: Entry) -> bool:
        """Take note of an entry; whether `/bin/sh` is there now."""
        if entry.path == "bin":
            self._bin = "bin"
            if entry.kind == "symlink":
                self._bin = posixpath.normpath(posixpath.join("/", entry.target)).lstrip("/")
        elif (
            entry.path.endswith("/sh")
            and entry.kind in ("file", "symlink", "hardlink")
            and len(self._shells) < _MOST_SHELLS
        ):
            self._shells.add(posixpath.dirname(entry.path))
        return self._bin in self._shells


def _close(chunks: Iterator[bytes]) -> None:
    if isinstance(chunks, Generator):
        chunks.close()
