"""What a layer holds, read from a stream of its bytes: bounded memory, and free to stop early."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.decompress import MOST_BYTES, unpacked

HEAD = 64 * 1024
"""Bytes of a file's beginning that are delivered where they are asked for."""
MOST_ENTRIES = 1_000_000
BLOCK = 512
"""What tar counts in: a header has one, and content is padded to whole ones."""

# Long names and pax headers are read whole; nothing honest comes near this.
_MAX_HEADER = 1024 * 1024
# All of them in an archive: what honest ones never need, and a bit for each entry. A pax header of
# a MiB may have 200,000 records.
_EXTENSIONS, _EXTENSIONS_EACH = 8 << 20, 1024
_EXTENSION = 256  # what a header costs that says nothing
# Linux's PATH_MAX counts the final zero byte: nothing longer can be unpacked anywhere.
_LONGEST_NAME = 4095
_LONGEST_LENGTH = 9
# The pax records that are of use; the others (times, attributes) aren't kept.
_KEYS = {b"path", b"linkpath", b"size", b"GNU.sparse.name"}
_KINDS = {
    "\0": "file",
    "0": "file",
    "7": "file",
    "S": "file",
    "1": "hardlink",
    "2": "symlink",
    "3": "device",
    "4": "device",
    "5": "folder",
    "6": "pipe",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `path` has no leading or trailing slash and no `.` parts; "" is the root.

    `kind` is "file", "folder", "symlink", "hardlink", "device" or "pipe"; `target` is a link's.
    `data` is the content where it was asked for, `head` its first bytes (at most `HEAD`). `odd`
    tells that the path was absolute or had `..` in it, before it was cleaned.
    """

    path: str
    kind: str
    mode: int = 0o644
    size: int = 0
    target: str = ""
    data: bytes | None = None
    head: bytes = b""
    odd: bool = field(default=False, compare=False)


def scan(
    chunks: Iterator[bytes],
    *,
    want: frozenset[str] = frozenset(),
    peek: frozenset[str] = frozenset(),
    limit: int = 4 * 1024 * 1024,
    most: int = MOST_BYTES,
) -> Iterator[Entry]:
    """Read the entries of a tar stream, plain, gzip or zstd, as they come.

    `chunks` may be of any length and is read no further than what the next entry needs. The content
    of files whose path is in `want` is delivered, if it is at most `limit` bytes, and the beginning
    of those in `peek`. Reads ustar, GNU and pax headers. Raises InvalidImage for damaged streams,
    for files over the limit, and for what unpacks to more than `most` bytes.
    """
    for entry, source in _entries(_Source(unpacked(chunks, most))):
        found = entry
        if entry.kind == "file" and entry.path in want:
            if entry.size > limit:
                raise InvalidImage(
                    f"{entry.path} has {entry.size} bytes; at most {limit} are read."
                )
            source.left = 0
            found = replace(entry, data=source.read(entry.size))
        elif entry.kind == "file" and entry.path in peek:
            found = replace(entry, head=source.peek(min(entry.size, HEAD)))
        yield found


def content(chunks: Iterator[bytes], path: str, most: int = MOST_BYTES) -> Iterator[bytes]:
    """The content of the file `path` of a tar stream, in pieces, then the stream to its end.

    Nothing may be done for good with the pieces before the iterator has ended: only then has the
    stream's own check had its say. Raises InvalidImage where there is no such file.
    """
    found = False
    for entry, source in _entries(_Source(unpacked(chunks, most))):
        if entry.kind == "file" and entry.path == path and not found:
            found = True
            source.left = 0
            yield from source.pieces(entry.size)
    if not found:
        raise InvalidImage(f"The layer has no file {path}.")
    for _ in chunks:  # what lies past the archive's end counts for the check as well
        pass


def plain_entry(data: bytes) -> Entry | None:
    """The first entry of the archive that begins with `data`, with the beginning of its content.

    None unless it is a file that its own header tells everything about: extension headers may also
    hold what isn't read here, such as capabilities.
    """
    source = _Source(iter([data]))
    header = source.header()
    kind = chr(header[156]) if header else ""
    if header is None or kind not in ("0", "\0"):
        return None
    size = _number(header[124:136])
    entry = _entry(kind, header, {}, size)
    return replace(entry, head=source.peek(min(size, HEAD)))


def _entries(source: _Source) -> Iterator[tuple[Entry, _Source]]:
    """Each entry, the source standing at its content; `source.left` of that is passed over."""
    number = 0
    extensions = _EXTENSIONS
    pax: dict[str, str] = {}
    everywhere: dict[str, str] = {}
    while (header := source.header()) is not None:
        kind = chr(header[156])
        size = _size(pax, header)
        if kind in "LKxg":
            _bounded(size)
            extensions -= size + _EXTENSION
            if extensions + number * _EXTENSIONS_EACH < 0:
                raise InvalidImage("The layer has more tar headers than its files can need.")
            data = source.read(size)
            source.skip(-size % BLOCK)
            if kind == "g":
                everywhere.update(_records(data))
            elif kind == "x":
                pax = {**pax, **_records(data)}
            else:
                pax = {**pax, "path" if kind == "L" else "linkpath": _text(data)}
            continue
        fields = {**everywhere, **pax}
        pax = {}
        if kind == "S":
            _skip_sparse_map(source, header)
        entry = _entry(kind, header, fields, size)
        number += 1
        if number > MOST_ENTRIES:
            raise InvalidImage(f"The layer holds more than {MOST_ENTRIES} files.")
        stored = size if entry.kind == "file" else 0
        source.left = stored
        yield entry, source
        source.skip(source.left + -stored % BLOCK)


def _entry(kind: str, header: bytes, fields: dict[str, str], size: int) -> Entry:
    # GNU tar files sparse files under a stand-in and tells the name apart.
    path = fields.get("GNU.sparse.name") or fields.get("path") or _ustar_path(header)
    target = fields.get("linkpath") or _text(header[157:257])
    if max(len(path), len(target)) > _LONGEST_NAME:
        raise InvalidImage(f"The layer has a name of {max(len(path), len(target))} characters.")
    name = _KINDS.get(kind, "file")
    if kind in "\x000" and path.endswith("/"):  # how tars from before 1988 say "folder"
        name = "folder"
    return Entry(
        clean(path),
        name,
        _number(header[100:108]) & 0o7777,
        size if name == "file" else 0,
        target if name in ("symlink", "hardlink") else "",
        odd=(path.startswith("/") and clean(path) != "") or ".." in path.split("/"),
    )


def clean(path: str) -> str:
    """A tar path without leading and trailing slashes and without `.` parts."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


class _Source:
    """Reads exact amounts from a stream of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = bytearray()
        self.left = 0
        """Bytes of the current entry's content that nobody has read yet."""

    def header(self) -> bytes | None:
        """The next header block; None at the end of the archive."""
        block = self._take(BLOCK)
        if not block or not any(block):
            return None
        if len(block) < BLOCK:
            raise InvalidImage("The layer ends in the middle of a tar header.")
        stored = _number(block[148:156])
        if stored != sum(block) - sum(block[148:156]) + 8 * 0x20:
            raise InvalidImage("The layer is not a tar archive: a header's checksum is wrong.")
        return block

    def read(self, count: int) -> bytes:
        data = self._take(count)
        if len(data) < count:
            raise InvalidImage("The layer ends in the middle of a file.")
        return data

    def peek(self, count: int) -> bytes:
        while len(self._held) < count and self._more():
            pass
        return bytes(self._held[:count])

    def pieces(self, count: int) -> Iterator[bytes]:
        while count > 0:
            if not self._held and not self._more():
                raise InvalidImage("The layer ends in the middle of a file.")
            piece = self._take(min(count, len(self._held)))
            count -= len(piece)
            yield piece

    def skip(self, count: int) -> None:
        while count > 0:
            if not self._held and not self._more():
                raise InvalidImage("The layer ends in the middle of a file.")
            dropped = min(count, len(self._held))
            del self._held[:dropped]
            count -= dropped

    def _take(self, count: int) -> bytes:
        while len(self._held) < count and self._more():
            pass
        data = bytes(self._held[:count])
        del self._held[:count]
        return data

    def _more(self) -> bool:
        chunk = next(self._chunks, None)
        if chunk is None:
            return False
        self._held += chunk
        return True


def _size(pax: dict[str, str], header: bytes) -> int:
    text = pax.get("size")
    if text is None:
        return _number(header[124:136])
    if not text.isascii() or not text.isdigit() or len(text) > 20:
        raise InvalidImage("The layer has a pax header with a malformed size.")
    return int(text)


def _bounded(size: int) -> None:
    if size > _MAX_HEADER:
        raise InvalidImage(f"The layer has a tar header of {size} bytes.")


def _number(field: bytes) -> int:
    """A number in octal, or in GNU's base 256 for what octal can't hold."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:], "big")
    text = field.split(b"\0")[0].strip()
    try:
        value = int(text, 8) if text else 0
    except ValueError:
        value = -1
    if value < 0:
        raise InvalidImage("The layer is not a tar archive: a header has a malformed number.")
    return value


def _ustar_path(header: bytes) -> str:
    name = _text(header[0:100])
    # POSIX has a prefix there; old GNU (magic "ustar  ") keeps times in the same place.
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _records(data: bytes) -> dict[str, str]:
    """pax records: `<length> <key>=<value>\\n`, the length counting itself (POSIX, pax)."""
    found: dict[str, str] = {}
    data = data.rstrip(b"\0")
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + _LONGEST_LENGTH)
        digits = data[start : max(space, start)]
        end = start + (int(digits) if digits.isdigit() else 0)
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        # A length that ends before its own record does would have the same bytes read for ever.
        if not start < space < end <= len(data) or data[end - 1 : end] != b"\n" or not equals:
            raise InvalidImage("The layer has a malformed pax header.")
        if key in _KEYS:
            found[key.decode()] = value.decode("utf-8", "surrogateescape")
        start = end
    return found


def _skip_sparse_map(source: _Source, header: bytes) -> None:
    """Old GNU sparse files continue their map in further blocks, flagged in each one."""
    more = header[482]
    while more:
        more = source.read(BLOCK)[504]
