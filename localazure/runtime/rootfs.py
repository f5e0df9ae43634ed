"""Lookups in an unpacked image: paths, users and programs; and files that are added to it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_MAX_LINKS = 40


class RootfsError(ValueError):
    """The image lacks what its configuration names; the message is as Docker's."""


@dataclass(frozen=True, slots=True)
class User:
    """The user that a container runs as."""

    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    home: str = "/"


def inside(root: Path, path: str) -> Path:
    """The path on this machine of `path` in the container; symlinks never lead out of `root`.

    The last parts need not exist. RootfsError for a loop of symlinks.
    """
    trail: list[str] = []
    todo = _reversed_parts(path)
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            trail = trail[:-1]
            continue
        here = root.joinpath(*trail, part)
        if not here.is_symlink():
            trail.append(part)
            continue
        links += 1
        if links > _MAX_LINKS:
            raise RootfsError(f"{path}: too many levels of symbolic links")
        target = str(here.readlink())
        if target.startswith("/"):
            trail = []
        todo += _reversed_parts(target)
    return root.joinpath(*trail)


def _reversed_parts(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def find_user(root: Path, text: str) -> User:
    """The user of an image's `User`: a name or a number, optionally with `:group`.

    It is interpreted as in Docker. RootfsError for a name that is not in the image's /etc/passwd
    or /etc/group.
    """
    name, _, group = text.partition(":")
    name = name or "0"
    users = [line for line in _table(root, "/etc/passwd", 6) if line[3].isdecimal()]
    groups = _table(root, "/etc/group", 4)
    entry = next((line for line in users if line[0] == name), None)
    if entry is None and name.isdecimal():
        entry = next((line for line in users if line[2] == name), None)
    if entry is None and not name.isdecimal():
        raise RootfsError(f"unable to find user {name}: no matching entries in passwd file")
    uid = int(entry[2]) if entry else int(name)
    home = (entry[5] if entry else "") or "/"
    if group:
        return User(uid, _group(groups, group), (), home)
    own = int(entry[3]) if entry else 0
    member = entry[0] if entry else None
    extra = {int(line[2]) for line in groups if member and member in line[3].split(",")}
    return User(uid, own, tuple(sorted(extra - {own})), home)


def _group(groups: list[list[str]], name: str) -> int:
    for line in groups:
        if line[0] == name:
            return int(line[2])
    if name.isdecimal():
        return int(name)
    raise RootfsError(f"unable to find group {name}: no matching entries in group file")


def _table(root: Path, path: str, fields: int) -> list[list[str]]:
    """The valid lines of passwd or group: enough fields, the third a number."""
    file = inside(root, path)
    if not file.is_file():
        return []
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    split = (line.split(":") for line in lines)
    return [line for line in split if len(line) >= fields and line[2].isdecimal()]


def find_program(root: Path, name: str, search: str, directory: str) -> str:
    """The path, in the container, of the program `name`.

    It is looked up in `search` (a PATH) unless it has a slash. Without an executable file it
    raises RootfsError with Docker's message.
    """
    if "/" in name:
        full = str(PurePosixPath(directory or "/") / name)
        file = inside(root, full)
        if not file.exists():
            raise RootfsError(f'exec: "{name}": stat {name}: no such file or directory')
        if not _runs(file):
            raise RootfsError(f'exec: "{name}": permission denied')
        return full
    for folder in search.split(":"):
        path = str(PurePosixPath(directory or "/") / folder / name)
        if _runs(inside(root, path)):
            return path
    raise RootfsError(f'exec: "{name}": executable file not found in $PATH')


def _runs(file: Path) -> bool:
    try:
        status = file.stat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and bool(status.st_mode & 0o111)


def put_file(root: Path, lower: Path | None, path: str, data: bytes, mode: int = 0o644) -> None:
    """Write a file of the platform (such as /etc/hosts) to a container's writable layer.

    `root` and `lower` are as for `make_folders`.
    """
    parent, name = str(PurePosixPath(path).parent), PurePosixPath(path).name
    file = make_folders(root, lower, parent) / name
    file.unlink(missing_ok=True)
    file.write_bytes(data)
    file.chmod(mode)


def make_folders(root: Path, lower: Path | None, path: str) -> Path:
    """Make the folder `path` and its parents in a container's writable layer `root`.

    `lower` is the image below it, if there is an overlay: folders then get the image's mode and
    owner, so that nothing else changes. A link is never followed out of `root`.
    """
    trail: tuple[str, ...] = ()
    view = lower or root
    for part in inside(view, path).relative_to(view).parts:
        trail = (*trail, part)
        folder = root.joinpath(*trail)
        if not folder.is_dir():
            folder.mkdir()
            if lower is not None:
                _copy_folder(lower.joinpath(*trail), folder)
    return root.joinpath(*trail)


def _copy_folder(source: Path, target: Path) -> None:
    if source.is_dir() and not source.is_symlink():
        status = source.stat()
        target.chmod(stat.S_IMODE(status.st_mode))
        if os.geteuid() == 0:
            os.chown(target, status.st_uid, status.st_gid)
