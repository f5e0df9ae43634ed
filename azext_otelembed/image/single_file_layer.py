"""A layer that is mounted as it is: verified while streaming to contain exactly one program.

Nothing short of its last byte proves that. A gzip file may have further members behind the one
whose length its last four bytes tell (RFC 1952, 2.2), and an archive further entries behind the
first: a reader of ranges sees neither.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterator

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.decompress import compression_of, unpacked
from azext_otelembed.image.elf import check_program
from azext_otelembed.image.prepared_collector import holds_only
from azext_otelembed.image.reference import Digest
from azext_otelembed.image.tar_reader import BLOCK, HEAD, plain_entry

_MAGIC = 4
# Bytes that nothing comes of are held until something does; honest streams have no such run.
_MOST_HELD = 4 << 20


class NotSingleFile(Exception):
    """The layer holds something beside the program, or the program not as a plain file."""


def verified_single_file(
    chunks: Iterator[bytes], path: str, compression: str, diff_id: Digest, most: int
) -> Iterator[bytes]:
    """The layer's own chunks, as they come; memory stays constant.

    Nothing may be done for good with them before the iterator has ended: only then is it certain
    that the layer is compressed as `compression` says, unpacks to `diff_id`, and holds the static
    program at `path` and nothing else. Raises `NotSingleFile` where it holds more, InvalidImage
    where it can't be used at all, and the errors that `chunks` raises.
    """
    held: deque[bytes] = deque()
    waiting = 0
    magic = b""

    def passing() -> Iterator[bytes]:
        nonlocal magic, waiting
        for chunk in chunks:
            magic += chunk[: _MAGIC - len(magic)]
            held.append(chunk)
            waiting += len(chunk)
            if waiting > _MOST_HELD:
                raise InvalidImage("The layer's compression has a header without end.")
            yield chunk

    archive = _Archive(path)
    for piece in unpacked(passing(), most):
        archive.take(piece)
        waiting = 0
        while held:
            yield held.popleft()
    if compression_of(magic) != compression:
        raise NotSingleFile
    archive.close(diff_id)
    yield from held


class _Archive:
    """A tar archive as it comes: one plain header, the program, zeros."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._hash = hashlib.sha256()
        self._begun: bytearray | None = bytearray()
        """The header and the program's beginning, until there is enough of it to look at."""
        self._left = 0
        """Bytes of header and program that are still to come."""

    def take(self, piece: bytes) -> None:
        self._hash.update(piece)
        if self._begun is None:
            self._pass(piece)
            return
        self._begun += piece
        if len(self._begun) >= BLOCK + HEAD:
            self._open()

    def close(self, diff_id: Digest) -> None:
        if self._begun is not None:
            self._open()
        if self._left:
            raise InvalidImage("The layer ends in the middle of a file.")
        if self._hash.hexdigest() != diff_id.hex or diff_id.algorithm != "sha256":
            raise InvalidImage("The layer doesn't unpack to what the image's configuration says.")

    def _open(self) -> None:
        begun = bytes(self._begun or b"")
        self._begun = None
        entry = plain_entry(begun)
        if entry is None or entry.odd or not holds_only([entry], self._path):
            raise NotSingleFile
        check_program(entry.head, self._path)
        self._left = BLOCK + entry.size
        self._pass(begun)

    def _pass(self, piece: bytes) -> None:
        own = min(self._left, len(piece))
        self._left -= own
        # Past the program only the block's padding and the archive's end: zeros, all of it.
        if piece[own:].strip(b"\0"):
            raise NotSingleFile
