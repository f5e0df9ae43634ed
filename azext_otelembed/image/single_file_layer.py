"""Verifies while streaming that a layer contains exactly one file: a static program.

Only the last byte completes the check. A gzip file may have further members after the one whose
length its last four bytes give (RFC 1952, 2.2), and an archive further entries after the first:
reading ranges of the layer shows neither.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.decompress import decompressed, detect_compression
from azext_otelembed.image.elf import check_static_program
from azext_otelembed.image.prepared_collector import is_mountable_binary
from azext_otelembed.image.reference import Digest
from azext_otelembed.image.tar_reader import BLOCK, HEAD_BYTES, first_plain_file

_MAGIC_LENGTH = 4
# Compressed bytes without any output are held back; ordinary streams have no such run.
_MAX_HELD_BYTES = 4 << 20


class NotSingleFile(Exception):
    """The layer contains more than the program, or the program is not a plain file."""


def verified_single_file(
    chunks: Iterator[bytes], path: str, compression: str, diff_id: Digest, max_bytes: int
) -> Iterator[bytes]:
    """The layer's own chunks, unchanged. Uses constant memory.

    The chunks must not be used irrevocably before the iterator has ended: only then is it verified
    that the layer has this `compression`, unpacks to `diff_id`, and contains the static program at
    `path` and nothing else. Raises `NotSingleFile` if it contains more, InvalidImage if it can't be
    used at all, and the errors that `chunks` raises.
    """
    held: deque[bytes] = deque()
    held_bytes = 0
    magic = b""

    def recorded() -> Iterator[bytes]:
        nonlocal magic, held_bytes
        for chunk in chunks:
            magic += chunk[: _MAGIC_LENGTH - len(magic)]
            held.append(chunk)
            held_bytes += len(chunk)
            if held_bytes > _MAX_HELD_BYTES:
                raise InvalidImage("The layer's compression has a header without end.")
            yield chunk

    archive = _SingleFileArchive(path)
    for piece in decompressed(recorded(), max_bytes):
        archive.feed(piece)
        held_bytes = 0
        while held:
            yield held.popleft()
    if detect_compression(magic) != compression:
        raise NotSingleFile
    archive.finish(diff_id)
    yield from held


class _SingleFileArchive:
    """Checks a tar archive in pieces: one plain header, the program, zeros."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self._start: bytearray | None = bytearray()
        """The header and the program's first bytes; None once they have been checked."""
        self._remaining = 0
        """Bytes of header and program that have not been fed yet."""

    def feed(self, piece: bytes) -> None:
        self._hash.update(piece)
        if self._start is None:
            self._check_padding(piece)
            return
        self._start += piece
        if len(self._start) >= BLOCK + HEAD_BYTES:
            self._check_start(bytes(self._start))

    def finish(self, diff_id: Digest) -> None:
        if self._start is not None:
            self._check_start(bytes(self._start))
        if self._remaining:
            raise InvalidImage("The layer ends in the middle of a file.")
        if self._hash.hexdigest() != diff_id.hex or diff_id.algorithm != "sha256":
            raise InvalidImage("The layer doesn't unpack to the diff_id in the configuration.")

    def _check_start(self, start: bytes) -> None:
        self._start = None
        entry = first_plain_file(start)
        if entry is None or entry.unsafe_path or not is_mountable_binary(entry, self._path):
            raise NotSingleFile
        check_static_program(entry.head, self._path)
        self._remaining = BLOCK + entry.size
        self._check_padding(start)

    def _check_padding(self, piece: bytes) -> None:
        """Only zeros may follow the program: the block's padding and the archive's end."""
        count = min(self._remaining, len(piece))
        self._remaining -= count
        if piece[count:].strip(b"\0"):
            raise NotSingleFile
