"""Programs and folders of this machine as layers of an image."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from localazure.images.assemble import Entry, Layer, layer
from tests.localazure import runtime_support as support


def tree(source: Path, target: str, without: str = "(?!)") -> list[Entry]:
    """All files of a folder, below `target`; `without` is a pattern of names to leave out."""
    entries = []
    for path in sorted(source.rglob("*")):
        name = path.relative_to(source).as_posix()
        if re.search(without, f"/{name}"):
            continue
        place = f"{target.strip('/')}/{name}"
        if path.is_symlink():
            entries.append(Entry(place, kind="symlink", target=str(path.readlink())))
        elif path.is_file():
            mode = 0o755 if path.stat().st_mode & 0o100 else 0o644
            entries.append(Entry(place, path.read_bytes(), mode))
    return entries


def machine(programs: Iterable[Path], more: Iterable[Path] = ()) -> Layer:
    """Programs of this machine, with the libraries that they and `more` need."""
    found = [program.resolve() for program in programs]
    libraries = support.libraries(*found, *more)
    return layer([*support.entries(*found, *libraries), *_GENERAL], level=1)


def app(files: Mapping[str, str]) -> list[Entry]:
    """The app's own files, below /app."""
    return [Entry(f"app/{name}", text.encode()) for name, text in files.items()]


_GENERAL = (
    Entry("tmp", kind="dir", mode=0o1777),
    Entry("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
    Entry("etc/hosts", b"127.0.0.1 localhost\n"),
)
