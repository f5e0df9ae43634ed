"""A build context as a stream: a gzipped tar that is never held in memory.

Contains what Docker would send: everything below the folder that no .dockerignore excludes, links
as links, with owner 0:0. The Dockerfile comes last under another name, as with az, since it may lie
outside the folder. The name is derived from its content, so that the same source gives the same
stream.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from azext_otelembed.builders.dockerignore import IgnoreRules, InvalidPattern, parse
from azext_otelembed.builders.source import Source
from azext_otelembed.errors import BuildFailed, InvalidInput
from azext_otelembed.registry.transfer import pieces
from azext_otelembed.utf8_text import is_utf16

IGNORE_FILE = ".dockerignore"
_CHUNK = 1 << 18
_LEVEL = 6
_GZIP = 31
"""zlib's `wbits` for a gzip header without name and time."""
_MAX_IGNORE_FILE = 1 << 20
_RECORD = 512


@dataclass(slots=True)
class PackStatistics:
    """Counts while packing: `bytes` of the files, `packed` bytes of the stream."""

    files: int = 0
    bytes: int = 0
    packed: int = 0
    skipped: list[str] = field(default_factory=list)
    """Sockets, pipes and devices, which a build context can't contain."""


@dataclass(frozen=True, slots=True)
class BuildContext:
    """The files to pack. `dockerfile` is the Dockerfile's name within the stream."""

    source: Source
    ignore: IgnoreRules
    dockerfile_specific: bool
    """Whether the rules belong to the Dockerfile: then the folder's .dockerignore is excluded,
    since the builder would apply it as well."""
    dockerfile: str


def read_context(source: Source) -> BuildContext:
    """The context of a source: its ignore rules, and the Dockerfile's name in the stream.

    `<Dockerfile>.dockerignore` beside the Dockerfile replaces the folder's .dockerignore.
    Raises `InvalidInput` for rules or a Dockerfile that can't be read.
    """
    specific = source.dockerfile.with_name(f"{source.dockerfile.name}{IGNORE_FILE}")
    file = specific if specific.is_file() else source.directory / IGNORE_FILE
    ignore = IgnoreRules()
    if file.is_file():
        try:
            with file.open("rb") as opened:
                text = opened.read(_MAX_IGNORE_FILE + 1)
            if len(text) > _MAX_IGNORE_FILE:
                raise InvalidInput(
                    f"{file} is larger than {_MAX_IGNORE_FILE} bytes.",
                    "Shorten it: a pattern for a folder excludes everything below it.",
                )
            if is_utf16(text):
                raise InvalidInput(
                    f"{file} is UTF-16, as Windows PowerShell writes it with `>`: no line of it "
                    "would exclude anything.",
                    "Save it as UTF-8.",
                )
            ignore = parse(text.decode("utf-8", "surrogateescape"))
        except InvalidPattern as problem:
            raise InvalidInput(
                f"{file}, {problem}", "Docker would refuse this line too: correct or remove it."
            ) from None
        except OSError as error:
            raise _unreadable(file, error) from None
    try:
        digest = hashlib.sha256(source.dockerfile.read_bytes()).hexdigest()
    except OSError as error:
        raise _unreadable(source.dockerfile, error) from None
    return BuildContext(source, ignore, file == specific, f"{digest[:32]}_{source.dockerfile.name}")


def pack(context: BuildContext, size: int, statistics: PackStatistics) -> Iterator[bytes]:
    """The stream in pieces of `size` bytes, the last one shorter.

    Needs memory for two pieces. Raises `BuildFailed` for a file that can't be read, or that changes
    while it is read.
    """
    for piece in pieces(_compressed(context, statistics), size):
        statistics.packed += len(piece)
        yield piece


def _compressed(context: BuildContext, statistics: PackStatistics) -> Iterator[bytes]:
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    dockerfile = (context.source.dockerfile.resolve(), context.dockerfile)
    for path, name in chain(_walk(context, statistics), [dockerfile]):
        for data in _member(path, name, statistics):
            yield packer.compress(data)
    yield packer.compress(bytes(2 * _RECORD))
    yield packer.flush()


def _walk(context: BuildContext, statistics: PackStatistics) -> Iterator[tuple[Path, str]]:
    """Files and folders with their names in the stream, each folder before its entries."""
    ignore = context.ignore
    pending: list[tuple[Path, str]] = []  # excluded folders that may contain an exception
    # Not recursive: a path of 4096 characters has more folders than Python has stack frames.
    opened = [_Folder(context.source.directory, "")]
    while opened:
        entry = next(opened[-1].entries, None)
        if entry is None:
            # The folder itself, if nothing below it was included.
            if opened.pop().excluded and pending:
                pending.pop()
            continue
        name, path = opened[-1].prefix + entry.name, opened[-1].path / entry.name
        excluded = ignore.excludes(name) or (context.dockerfile_specific and name == IGNORE_FILE)
        is_folder = entry.is_dir(follow_symlinks=False)
        regular = entry.is_symlink() or entry.is_file(follow_symlinks=False)
        if not excluded and not is_folder and not regular:
            statistics.skipped.append(name)
        elif not excluded:
            yield from pending
            pending.clear()
            yield path, name
            if is_folder:
                opened.append(_Folder(path, f"{name}/"))
        elif is_folder and ignore.may_contain_exception(name):
            pending.append((path, name))
            opened.append(_Folder(path, f"{name}/", excluded=True))


class _Folder:
    """A folder that is being read. `prefix` precedes its entries' names in the stream."""

    def __init__(self, path: Path, prefix: str, *, excluded: bool = False) -> None:
        self.path = path
        self.prefix = prefix
        self.excluded = excluded
        self.entries = iter(_entries(path))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from None


def _member(path: Path, name: str, statistics: PackStatistics) -> Iterator[bytes]:
    try:
        found = path.lstat()
        info = tarfile.TarInfo(name)
        info.mode = stat.S_IMODE(found.st_mode)
        if os.name == "nt":
            info.mode |= 0o111  # Windows has no such bits; Docker does the same
        info.mtime = int(found.st_mtime)
        if stat.S_ISDIR(found.st_mode):
            info.type = tarfile.DIRTYPE
        elif stat.S_ISLNK(found.st_mode):
            info.type = tarfile.SYMTYPE
            info.linkname = path.readlink().as_posix()
        else:
            info.size = found.st_size
            statistics.files += 1
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        if info.isreg():
            yield from _content(path, name, info.size, statistics)
    except OSError as error:
        raise _unreadable(path, error) from None


def _content(path: Path, name: str, size: int, statistics: PackStatistics) -> Iterator[bytes]:
    remaining = size
    with path.open("rb", buffering=0) as file:
        while remaining and (chunk := file.read(min(_CHUNK, remaining))):
            remaining -= len(chunk)
            statistics.bytes += len(chunk)
            yield chunk
    if remaining:
        raise BuildFailed(
            f"{name} was truncated while it was packed.",
            f"If something writes to it, exclude it with a line in {IGNORE_FILE}.",
        )
    if size % _RECORD:
        yield bytes(_RECORD - size % _RECORD)


def _unreadable(path: Path, error: OSError) -> BuildFailed:
    return BuildFailed(
        f"{path} can't be read: {error.strerror or error}.",
        f"Make it readable, or exclude it with a line in {IGNORE_FILE}.",
    )
