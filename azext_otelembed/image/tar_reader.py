"""Reads the entries of a layer from a stream of its bytes, with bounded memory."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.decompress import MAX_BYTES, decompressed

HEAD_BYTES = 64 * 1024
"""Length of `Entry.head`."""
MAX_ENTRIES = 1_000_000
BLOCK = 512
"""Size of a tar block: a header is one block, and content is padded to whole blocks."""

# Long names and pax headers are read into memory; ordinary ones are far smaller than this.
_MAX_HEADER = 1024 * 1024
# Limit on the bytes of all such headers of an archive: a fixed number, and some for each entry. A
# pax header of a MiB may have 200,000 records.
_MAX_EXTENSION_BYTES, _EXTENSION_BYTES_PER_ENTRY = 8 << 20, 1024
_EXTENSION_COST = 256  # added for each header, so that empty ones count as well
_MAX_NAME = 4095  # Linux's PATH_MAX without the final zero byte
_MAX_LINKS = 40  # Linux's MAXSYMLINKS: symbolic links in one path
_MAX_LENGTH_DIGITS = 9
# The pax records that are used; the others (times, attributes) are ignored.
_KEYS = {b"path", b"linkpath", b"size", b"GNU.sparse.name"}
# By the type in the header; all other types are files.
_KINDS = {"1": "hardlink", "2": "symlink", "3": "device", "4": "device", "5": "folder", "6": "pipe"}
_MAX_LAYERS = 127  # a few more than Docker runs (125; see `embed`)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry. `path` has no leading or trailing slash and no `.` components; "" is the root.

    `kind` is "file", "folder", "symlink", "hardlink", "device" or "pipe"; `target` is a link's.
    `data` is the content and `head` its first bytes (at most `HEAD_BYTES`), if requested.
    `unsafe_path`: the archive's path was absolute or had `..` in it.
    """

    path: str
    kind: str
    mode: int = 0o644
    size: int = 0
    target: str = ""
    data: bytes | None = None
    head: bytes = b""
    unsafe_path: bool = field(default=False, compare=False)


@dataclass(slots=True)
class ReadLimits:
    """Limits on what is read from an image, all its layers together; and the counts so far."""

    max_entries: int
    max_name_characters: int
    max_bytes: int
    entries: int = 0
    name_characters: int = 0
    bytes: int = 0

    def count(self, entry: Entry) -> None:
        """Count an entry. Raises InvalidImage if a limit is exceeded."""
        # The reader limits the size of a single file; this limits their sum.
        if self.bytes > self.max_bytes:
            raise InvalidImage(f"Its layers unpack to more than {self.max_bytes >> 20} MiB.")
        self.bytes += entry.size
        self.entries += 1
        if self.entries > self.max_entries:
            raise InvalidImage(f"Its layers hold more than {self.max_entries} files.")
        self.name_characters += len(entry.path) + len(entry.target)
        if self.name_characters > self.max_name_characters:
            raise InvalidImage(
                f"The names of its files take more than {self.max_name_characters >> 20} MiB."
            )


def check_layer_count(count: int) -> None:
    """Raise InvalidImage for more layers than any engine runs."""
    if count > _MAX_LAYERS:
        raise InvalidImage(f"It has {count} layers; at most {_MAX_LAYERS} are read.")


def scan(
    chunks: Iterator[bytes],
    *,
    want: frozenset[str] = frozenset(),
    peek: frozenset[str] = frozenset(),
    max_file_bytes: int = 4 * 1024 * 1024,
    max_bytes: int = MAX_BYTES,
) -> Iterator[Entry]:
    """Read the entries of a tar stream: plain, gzip or zstd; ustar, GNU or pax headers.

    `chunks` may be of any length and is read no further than the next entry needs. Files whose path
    is in `want` come with their content (`data`), those in `peek` with their first bytes (`head`).
    Raises InvalidImage for damaged streams, for files in `want` of more than `max_file_bytes`, and
    for archives of more than `max_bytes`.
    """
    for entry, source in _entries(_ByteReader(decompressed(chunks, max_bytes))):
        if entry.kind == "file" and entry.path in want:
            if entry.size > max_file_bytes:
                raise InvalidImage(
                    f"{entry.path} has {entry.size} bytes; at most {max_file_bytes} are read."
                )
            source.unread = 0
            yield replace(entry, data=source.read(entry.size))
        elif entry.kind == "file" and entry.path in peek:
            yield replace(entry, head=source.peek(min(entry.size, HEAD_BYTES)))
        else:
            yield entry


def read_file(chunks: Iterator[bytes], path: str, max_bytes: int = MAX_BYTES) -> Iterator[bytes]:
    """The content of the file `path` of a tar stream, in pieces; the stream is read to its end.

    The pieces must not be used irrevocably before the iterator has ended: only then has the stream
    checked its digest. Raises InvalidImage if there is no such file.
    """
    found = False
    for entry, source in _entries(_ByteReader(decompressed(chunks, max_bytes))):
        if entry.kind == "file" and entry.path == path and not found:
            found = True
            source.unread = 0
            yield from source.pieces(entry.size)
    if not found:
        raise InvalidImage(f"The layer has no file {path}.")
    for _ in chunks:  # The digest includes the bytes after the archive's end.
        pass


def first_plain_file(data: bytes) -> Entry | None:
    """The first entry of the archive that begins with `data`, with its `head`.

    None unless it is a file without extension headers: these may have attributes that aren't read
    here, such as capabilities.
    """
    source = _ByteReader(iter([data]))
    header = source.header()
    kind = chr(header[156]) if header else ""
    if header is None or kind not in ("0", "\0"):
        return None
    size = _number(header[124:136])
    entry = _entry(kind, header, {}, size)
    return replace(entry, head=source.peek(min(size, HEAD_BYTES)))


def _entries(source: _ByteReader) -> Iterator[tuple[Entry, _ByteReader]]:
    """Each entry, with `source` at its content. Afterwards `source.unread` bytes are skipped."""
    number = 0
    allowance = _MAX_EXTENSION_BYTES
    pax: dict[str, str] = {}
    global_pax: dict[str, str] = {}
    while (header := source.header()) is not None:
        kind = chr(header[156])
        size = _size(pax, header)
        if kind in "LKxg":
            if size > _MAX_HEADER:
                raise InvalidImage(f"The layer has a tar header of {size} bytes.")
            allowance -= size + _EXTENSION_COST
            if allowance + number * _EXTENSION_BYTES_PER_ENTRY < 0:
                raise InvalidImage("The layer has more tar headers than its files can need.")
            data = source.read(size)
            source.skip(-size % BLOCK)
            if kind == "g":
                global_pax.update(_records(data))
            elif kind == "x":
                pax = {**pax, **_records(data)}
            else:
                pax = {**pax, "path" if kind == "L" else "linkpath": _text(data)}
            continue
        fields = {**global_pax, **pax}
        pax = {}
        # An old GNU sparse file's map may have further blocks; each says if another follows.
        more = header[482] if kind == "S" else 0
        while more:
            more = source.read(BLOCK)[504]
        entry = _entry(kind, header, fields, size)
        number += 1
        if number > MAX_ENTRIES:
            raise InvalidImage(f"The layer holds more than {MAX_ENTRIES} files.")
        source.unread = entry.size
        yield entry, source
        source.skip(source.unread + -entry.size % BLOCK)


def _entry(kind: str, header: bytes, fields: dict[str, str], size: int) -> Entry:
    # GNU tar gives a sparse file another path, and its real name in a record.
    path = fields.get("GNU.sparse.name") or fields.get("path") or _ustar_path(header)
    target = fields.get("linkpath") or _text(header[157:257])
    if max(len(path), len(target)) > _MAX_NAME:
        raise InvalidImage(f"The layer has a name of {max(len(path), len(target))} characters.")
    name = _KINDS.get(kind, "file")
    if kind in "\x000" and path.endswith("/"):  # a folder in tar formats before POSIX.1-1988
        name = "folder"
    return Entry(
        normal_path(path),
        name,
        _number(header[100:108]) & 0o7777,
        size if name == "file" else 0,
        target if name in ("symlink", "hardlink") else "",
        unsafe_path=(path.startswith("/") and normal_path(path) != "") or ".." in path.split("/"),
    )


def normal_path(path: str) -> str:
    """A tar path without leading and trailing slashes and without `.` components."""
    return "/".join(part for part in path.split("/") if part not in ("", "."))


def resolve_links(entries: Mapping[str, Entry], path: str) -> str:
    """The target of a path within the image, through symbolic and hard links; "" if unresolved."""
    resolved: list[str] = []
    remaining = path.split("/")[::-1]
    links = 0
    while remaining:
        part = remaining.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del resolved[-1:]
            continue
        current = "/".join([*resolved, part])
        if len(current) > _MAX_NAME:
            return ""
        entry = entries.get(current)
        if entry is None or entry.kind not in ("symlink", "hardlink"):
            resolved.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            return ""
        if entry.kind == "hardlink" or entry.target.startswith("/"):
            resolved = []
        remaining += posixpath.normpath(entry.target).split("/")[::-1]
    return "/".join(resolved)


class _ByteReader:
    """Reads exact amounts from a stream of chunks."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._held = bytearray()
        self.unread = 0
        """Bytes of the current entry's content that have not been read."""

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
        for _ in self.pieces(count):
            pass

    def _take(self, count: int) -> bytes:
        data = self.peek(count)
        del self._held[: len(data)]
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


def _number(field: bytes) -> int:
    """A number in octal, or in GNU's base-256 encoding for larger ones."""
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
    # POSIX has the prefix here; old GNU (magic "ustar  ") has times in the same place.
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _records(data: bytes) -> dict[str, str]:
    """pax records: `<length> <key>=<value>\\n`; the length includes itself (POSIX, pax)."""
    found: dict[str, str] = {}
    data = data.rstrip(b"\0")
    start = 0
    while start < len(data):
        space = data.find(b" ", start, start + _MAX_LENGTH_DIGITS)
        digits = data[start : max(space, start)]
        end = start + (int(digits) if digits.isdigit() else 0)
        key, equals, value = data[space + 1 : end - 1].partition(b"=")
        # A length that ends before its own record would cause an infinite loop.
        if not start < space < end <= len(data) or data[end - 1 : end] != b"\n" or not equals:
            raise InvalidImage("The layer has a malformed pax header.")
        if key in _KEYS:
            found[key.decode()] = value.decode("utf-8", "surrogateescape")
        start = end
    return found
