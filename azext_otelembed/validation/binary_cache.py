"""The binaries of prepared collectors on this machine, in az's configuration folder.

A file is named by the digests of its layer and of its own content, which is checked at each use.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from azext_otelembed.errors import InvalidInput, about
from azext_otelembed.image.elf import check_static_program
from azext_otelembed.image.prepared_collector import REPOSITORY, PreparedCollector
from azext_otelembed.image.reference import Digest
from azext_otelembed.image.tar_reader import HEAD_BYTES, read_file
from azext_otelembed.progress import Progress, Report
from azext_otelembed.registry.client import RegistryClient

MAX_BYTES = 1 << 30
"""Bytes of all binaries; upstream's largest has 400 MB. The newest one is kept in any case."""
_LARGEST_BINARY = 2 << 30
_PIECE = 1 << 20
_PART = ".part"
_PART_SECONDS = 3600.0
"""After this time, a part is one that a command has left behind."""


@dataclass(frozen=True, slots=True)
class BinaryCache:
    """The cache in `folder`, which is made at the first use."""

    folder: Path
    max_bytes: int = MAX_BYTES

    def binary(self, client: RegistryClient, prepared: PreparedCollector, report: Report) -> Path:
        """The path of a collector's binary: a file that is intact, else read from the registry.

        Raises `InvalidInput` where the folder can't be written, InvalidImage for a layer without
        the binary, and the registry's errors.
        """
        (layer,) = (one.descriptor for one in prepared.layers if one.role == "binary")
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if path := self._kept(layer.digest):
                return path
            stream = client.stream_blob(REPOSITORY, layer.digest, layer.size)
            with closing(stream) as chunks, about(f"collector {prepared.upstream}"):
                counted = _counted(chunks, layer.size, f"reading {prepared.upstream}", report)
                pieces = read_file(counted, prepared.binary_path[1:], _LARGEST_BINARY)
                path = self._store(layer.digest.hex, pieces, prepared.binary_path)
            self._evict(path)
        except OSError as error:
            raise InvalidInput(
                f"The collector can't be kept in '{self.folder}': {error.strerror or error}.",
                "Set AZURE_CONFIG_DIR to a folder that can be written, or add `--validate acr`.",
            ) from None
        return path

    def find(self, layers: Iterable[Digest]) -> Path | None:
        """The binary of an image with these layers, if it is here; reads no registry."""
        with suppress(OSError):
            return next(filter(None, map(self._kept, layers)), None)
        return None

    def _kept(self, layer: Digest) -> Path | None:
        for path in self.folder.glob(f"{layer.hex}-*"):
            if _sha256(path) == path.name.rpartition("-")[2]:
                os.utime(path)
                return path
            path.unlink(missing_ok=True)
        return None

    def _store(self, layer: str, pieces: Iterator[bytes], binary: str) -> Path:
        """Write a file of a name of its own, and rename it once it is complete and checked."""
        digest, head = hashlib.sha256(), b""
        descriptor, name = tempfile.mkstemp(suffix=_PART, dir=self.folder)
        part = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for piece in pieces:
                    head += piece[: HEAD_BYTES - len(head)]
                    digest.update(piece)
                    file.write(piece)
                file.flush()
                os.fsync(file.fileno())
            check_static_program(head, binary)
            part.chmod(0o500)
            return part.replace(self.folder / f"{layer}-{digest.hexdigest()}")
        finally:
            part.unlink(missing_ok=True)

    def _evict(self, newest: Path) -> None:
        """Delete the files that were used least recently, beyond the bound, and old parts."""
        files = []
        for path in self.folder.iterdir():
            with suppress(OSError):
                state = path.stat()
                if path.suffix != _PART:
                    files.append((state.st_mtime, state.st_size, path))
                elif time.time() - state.st_mtime > _PART_SECONDS:
                    path.unlink()
        total = newest.stat().st_size
        for _, size, path in sorted(files, reverse=True):
            if path == newest:
                continue
            total += size
            if total > self.max_bytes:
                with suppress(OSError):
                    path.unlink()


def _counted(chunks: Iterator[bytes], total: int, text: str, report: Report) -> Iterator[bytes]:
    done = reported = 0
    for chunk in chunks:
        done += len(chunk)
        if done - reported >= 8 * _PIECE:
            reported = done
            report(Progress(text, done, total))
        yield chunk


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()
