"""Applies layers to a folder, with the result of overlay2.

Docker unpacks each layer into an empty folder and lets the kernel lay the folders over each other.
So a layer is first read into a tree, and the tree is then merged onto the lower layers. The tree
contains the parent folders that an entry implies: they replace a lower symlink, and have mode 0755
and root as owner, as on overlay2.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import tarfile
from dataclasses import dataclass, field
from pathlib import Path

WHITEOUT = ".wh."
OPAQUE = ".wh..wh..opq"
IMPLIED_MODE = 0o755
LARGE = 1 << 18
"""Bytes from which on a file is shared between images."""
_MAX_LINKS = 40


class LayerError(ValueError):
    """A layer that can't be unpacked; Docker would refuse it, too."""


@dataclass(slots=True)
class Node:
    """A path of one layer. `info` is None for a parent folder that is only implied."""

    info: tarfile.TarInfo | None = None
    children: dict[str, Node] = field(default_factory=dict)
    whiteouts: set[str] = field(default_factory=set)
    opaque: bool = False

    @property
    def is_folder(self) -> bool:
        """Whether the path is a folder, in the tar or by implication."""
        return self.info is None or self.info.isdir()


def apply(root: Path, tar: tarfile.TarFile, shared: Path | None = None) -> None:
    """Apply the layer in `tar` (which must be seekable) onto `root`; LayerError if it is broken.

    Owners and device nodes need root; without it they are left out. `shared` is a folder for this
    layer on the same file system: large files are hard links to it, so that images with the same
    layer share them. They must not be written to.
    """
    _Applier(tar, shared).merge(read(tar), root)


def read(tar: tarfile.TarFile) -> Node:
    """The tree of one layer, as unpacking it into an empty folder would make it."""
    top = Node()
    for member in tar:
        parts = _parts(member.name)
        if not parts:
            if member.isdir():
                top.info = member
            continue
        parent, name = _walk(top, parts[:-1]), parts[-1]
        if name == OPAQUE:
            parent.opaque = True
        elif name.startswith(WHITEOUT + WHITEOUT):
            continue  # aufs kept its own files (.wh..wh.plnk) in layers; they have no meaning here
        elif name.startswith(WHITEOUT):
            parent.whiteouts.add(name.removeprefix(WHITEOUT))
        else:
            _put(top, parent, name, member)
    return top


def _put(top: Node, parent: Node, name: str, member: tarfile.TarInfo) -> None:
    existing = parent.children.get(name)
    if member.isdir() and existing is not None and existing.is_folder:
        existing.info = member
        return
    if member.islnk():
        target = _parts(member.linkname)
        folder = _walk(top, target[:-1])
        found = folder.children.get(target[-1]) if target else None
        if found is None or found.info is None or found.is_folder:
            raise LayerError(f"link {member.linkname} {member.name}: no such file or directory")
        # The same node twice: the merge makes the second one a link to the first.
        parent.children[name] = found
        return
    parent.children[name] = Node(member)


def _parts(name: str) -> list[str]:
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise LayerError(f"{name!r} is outside of the image")
    return parts


def _walk(top: Node, parts: list[str]) -> Node:
    """The folder at `parts`, made if only implied; symlinks of this same layer are followed."""
    trail = [top]
    todo = list(reversed(parts))
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            if len(trail) > 1:
                trail.pop()
            continue
        node = trail[-1].children.setdefault(part, Node())
        if node.info is not None and node.info.issym():
            links += 1
            if links > _MAX_LINKS:
                raise LayerError(f"too many symbolic links in {'/'.join(parts)}")
            target = node.info.linkname
            if target.startswith("/"):
                trail = [top]
            todo += [p for p in reversed(target.split("/")) if p not in ("", ".")]
            continue
        if not node.is_folder:
            raise LayerError(f"{'/'.join(parts)}: not a directory")
        trail.append(node)
    return trail[-1]


class _Applier:
    """Merges one layer's tree onto a folder."""

    def __init__(self, tar: tarfile.TarFile, shared: Path | None) -> None:
        self._tar = tar
        self._shared = shared
        self._made: dict[int, Path] = {}
        self._root = os.geteuid() == 0

    def merge(self, node: Node, path: Path) -> None:
        if node.opaque:
            for child in list(path.iterdir()):
                remove(child)
        for name in node.whiteouts:
            remove(path / name)
        for name, below in node.children.items():
            target = path / name
            if below.is_folder:
                self._folder(below, target)
            else:
                remove(target)
                self._leaf(below, target)

    def _folder(self, node: Node, path: Path) -> None:
        if not _is_folder(path):
            remove(path)
            path.mkdir(mode=0o700)
        self.merge(node, path)
        if node.info is not None:
            self._describe(path, node.info)
        else:
            path.chmod(IMPLIED_MODE)
            if self._root:
                os.chown(path, 0, 0)

    def _leaf(self, node: Node, path: Path) -> None:
        first = self._made.get(id(node))
        if first is not None:
            os.link(first, path, follow_symlinks=False)
            return
        info = node.info
        if info is None:
            raise LayerError(f"{path.name} has no header")
        if not self._make(info, path):
            return
        self._made[id(node)] = path
        self._describe(path, info)

    def _make(self, info: tarfile.TarInfo, path: Path) -> bool:
        """Make the file, link or device node; False if this process lacks the rights."""
        if info.issym():
            path.symlink_to(info.linkname)
        elif info.isfifo():
            os.mkfifo(path, 0o600)
        elif info.isdev():
            return self._device(info, path)
        else:
            self._file(info, path)
        return True

    def _file(self, info: tarfile.TarInfo, path: Path) -> None:
        shared = None
        if self._shared is not None and info.size >= LARGE:
            shared = self._shared / str(info.offset_data)
            with contextlib.suppress(FileNotFoundError):
                path.hardlink_to(shared)
                return
        source = self._tar.extractfile(info)
        if source is None:
            raise LayerError(f"{info.name}: unknown type {info.type!r}")
        with source, path.open("xb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
        if shared is not None:
            shared.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):  # made for another image meanwhile
                shared.hardlink_to(path)

    def _device(self, info: tarfile.TarInfo, path: Path) -> bool:
        kind = stat.S_IFCHR if info.ischr() else stat.S_IFBLK
        try:
            os.mknod(path, kind | 0o600, os.makedev(info.devmajor, info.devminor))
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES):
                return False
            raise
        return True

    def _describe(self, path: Path, info: tarfile.TarInfo) -> None:
        if self._root:
            os.chown(path, info.uid, info.gid, follow_symlinks=False)
        if not info.issym():
            # Without root, later layers and the clean-up need to get into every folder.
            open_up = 0o700 if info.isdir() and not self._root else 0
            path.chmod(stat.S_IMODE(info.mode) | open_up)
        os.utime(path, (info.mtime, info.mtime), follow_symlinks=False)


def remove(path: Path) -> None:
    """Remove the file or folder at `path`, if it exists; symlinks are not followed."""
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()
