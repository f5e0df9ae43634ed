"""A build context as one stream: a gzipped tar, made while it is read, never held in memory.

Holds what Docker would send: everything below the folder but what a .dockerignore leaves out,
links as links, every owner 0:0. The Dockerfile comes last under a name of its own, as with az:
it may lie outside of the folder. Its name is made of its content, so that the same source gives
the same stream.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from azext_otelembed.builders.dockerignore import Ignore, IgnoreProblem, parse
from azext_otelembed.builders.source import Source
from azext_otelembed.errors import BuildFailed, InvalidInput

IGNORE_FILE = ".dockerignore"
_CHUNK = 1 << 18
_LEVEL = 6
_GZIP = 31
"""zlib's number for a gzip header, which holds no name and no time then."""
_LARGEST_IGNORE = 1 << 20
_RECORD = 512


@dataclass(slots=True)
class Tally:
    """What has been packed so far: `bytes` are the files' own, `packed` those of the stream."""

    files: int = 0
    bytes: int = 0
    packed: int = 0
    skipped: list[str] = field(default_factory=list)
    """Sockets, pipes and devices, which no context can hold."""


@dataclass(frozen=True, slots=True)
class Context:
    """What to pack. `dockerfile` is the Dockerfile's name within the stream."""

    source: Source
    ignore: Ignore
    own_ignore: bool
    """Whether the rules are the Dockerfile's own: then the folder's file must not go along, since
    the builder would apply it on top."""
    dockerfile: str


def read_context(source: Source) -> Context:
    """The context of a source: its ignore rules, and what its Dockerfile is to be called.

    `<Dockerfile>.dockerignore` beside the Dockerfile wins over the folder's .dockerignore.
    Raises `InvalidInput` for rules or a Dockerfile that can't be read.
    """
    own = source.dockerfile.with_name(f"{source.dockerfile.name}{IGNORE_FILE}")
    file = own if own.is_file() else source.directory / IGNORE_FILE
    ignore = Ignore()
    if file.is_file():
        try:
            with file.open("rb") as opened:
                text = opened.read(_LARGEST_IGNORE).decode("utf-8", "surrogateescape")
            ignore = parse(text)
        except IgnoreProblem as problem:
            raise InvalidInput(
                f"{file}, {problem}", "Docker would refuse this line too: correct or remove it."
            ) from None
        except OSError as error:
            raise _unreadable(file, error) from None
    try:
        digest = hashlib.sha256(source.dockerfile.read_bytes()).hexdigest()
    except OSError as error:
        raise _unreadable(source.dockerfile, error) from None
    return Context(source, ignore, file == own, f"{digest[:32]}_{source.dockerfile.name}")


def pack(context: Context, size: int, tally: Tally) -> Iterator[bytes]:
    """The stream in pieces of `size` bytes, the last one shorter.

    Takes memory for two pieces, whatever the files' sizes. Raises `BuildFailed` for a file that
    can't be read, or that changes while it is read.
    """
    piece = bytearray()
    for data in _compressed(_tar(context, tally)):
        piece += data
        while len(piece) >= size:
            tally.packed += size
            yield bytes(piece[:size])
            del piece[:size]
    if piece:
        tally.packed += len(piece)
        yield bytes(piece)


def _compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(_LEVEL, wbits=_GZIP)
    for chunk in chunks:
        yield packer.compress(chunk)
    yield packer.flush()


def _tar(context: Context, tally: Tally) -> Iterator[bytes]:
    for path, name in _walk(context, tally):
        yield from _member(path, name, tally)
    yield from _member(context.source.dockerfile.resolve(), context.dockerfile, tally)
    yield bytes(2 * _RECORD)


def _walk(context: Context, tally: Tally) -> Iterator[tuple[Path, str]]:
    """Files and folders with their names in the stream, each folder before what it holds."""
    ignore = context.ignore
    owed: list[tuple[Path, str]] = []  # folders left out, around something that may not be

    def below(folder: Path, prefix: str) -> Iterator[tuple[Path, str]]:
        for entry in _entries(folder):
            name, path = prefix + entry.name, folder / entry.name
            out = ignore.leaves_out(name) or (context.own_ignore and name == IGNORE_FILE)
            real = entry.is_dir(follow_symlinks=False)
            if not out and not real and _special(entry):
                tally.skipped.append(name)
            elif not out:
                yield from owed
                owed.clear()
                yield path, name
                if real:
                    yield from below(path, f"{name}/")
            elif real and ignore.might_hold(name):
                owed.append((path, name))
                yield from below(path, f"{name}/")
                if owed:
                    owed.pop()

    return below(context.source.directory, "")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise _unreadable(folder, error) from None


def _special(entry: os.DirEntry[str]) -> bool:
    return not (entry.is_symlink() or entry.is_file(follow_symlinks=False))


def _member(path: Path, name: str, tally: Tally) -> Iterator[bytes]:
    try:
        found = path.lstat()
        info = tarfile.TarInfo(name)
        info.mode = stat.S_IMODE(found.st_mode)
        if os.name == "nt":
            info.mode |= 0o111  # Windows doesn't know; Docker does the same
        info.mtime = int(found.st_mtime)
        if stat.S_ISDIR(found.st_mode):
            info.type = tarfile.DIRTYPE
        elif stat.S_ISLNK(found.st_mode):
            info.type = tarfile.SYMTYPE
            info.linkname = path.readlink().as_posix()
        else:
            info.size = found.st_size
            tally.files += 1
        yield info.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")
        if info.isreg():
            yield from _content(path, name, info.size, tally)
    except OSError as error:
        raise _unreadable(path, error) from None


def _content(path: Path, name: str, size: int, tally: Tally) -> Iterator[bytes]:
    left = size
    with path.open("rb", buffering=0) as file:
        while left and (chunk := file.read(min(_CHUNK, left))):
            left -= len(chunk)
            tally.bytes += len(chunk)
            yield chunk
    if left:
        raise BuildFailed(
            f"{name} became shorter while it was packed.",
            f"If something writes to it, leave it out with a line in {IGNORE_FILE}.",
        )
    if size % _RECORD:
        yield bytes(_RECORD - size % _RECORD)


def _unreadable(path: Path, error: OSError) -> BuildFailed:
    return BuildFailed(
        f"{path} can't be read: {error.strerror or error}.",
        f"Make it readable, or leave it out with a line in {IGNORE_FILE}.",
    )
