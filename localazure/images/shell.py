"""The sample image's lowest layer: a Debian-like tree with a real shell.

The shell is the machine's /bin/sh with its libraries; if they can't be found (a machine without
`ldd`), it is Debian's busybox-static, which is one file.
"""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import tempfile
from pathlib import Path

from localazure.images.assemble import Entry
from localazure.images.errors import BuildError

APPLETS = ("sh", "sleep", "cat")
"""The programs in /usr/bin; only sh is guaranteed."""

_LIBRARY = re.compile(r"(?:=> )?(/\S+) \(0x")
_PASSWD = "root:x:0:0:root:/root:/bin/sh\nshop:x:1000:1000:shop:/app:/bin/sh\n"
_GROUP = "root:x:0:\nshop:x:1000:\n"
_RELEASE = 'NAME="localazure"\nID=localazure\nPRETTY_NAME="localazure sample base"\n'


def base() -> list[Entry]:
    """The entries of the layer. Raises BuildError if the machine has no shell."""
    entries = _with_libraries() or _busybox()
    return [*_tree(), *entries]


def _tree() -> list[Entry]:
    folders = [
        "etc",
        "root",
        "usr",
        "usr/bin",
        "usr/lib",
        "usr/lib64",
        "usr/local",
        "usr/local/bin",
    ]
    return [
        *(Entry(f, kind="dir") for f in folders),
        Entry("app", kind="dir", uid=1000, gid=1000),
        Entry("tmp", kind="dir", mode=0o1777),
        # Debian's merged /usr: layers above must not have folders with these names.
        *(Entry(link, kind="symlink", target=f"usr/{link}") for link in ("bin", "lib", "lib64")),
        Entry("etc/passwd", _PASSWD.encode()),
        Entry("etc/group", _GROUP.encode()),
        Entry("etc/os-release", _RELEASE.encode()),
    ]


def _with_libraries() -> list[Entry]:
    """The machine's programs and their libraries, each once; [] if they can't be determined."""
    shell = Path("/bin/sh")
    if not _is_elf(shell) or not shutil.which("ldd"):
        return []
    entries: dict[str, Entry] = {}
    for name in APPLETS:
        program = Path("/bin") / name
        if not _is_elf(program):
            continue
        for library in _libraries(program):
            # Elsewhere (as on NixOS) the program would not find it.
            if not str(library).startswith(("/usr/", "/lib")):
                return []
            path = "usr" + str(library).removeprefix("/usr")
            entries.setdefault(path, Entry(path, library.read_bytes(), 0o755))
        entries[f"usr/bin/{name}"] = Entry(f"usr/bin/{name}", program.read_bytes(), 0o755)
    folders = {str(Path(path).parent) for path in entries}
    missing = sorted(folders - {entry.path for entry in _tree()})
    return [*(Entry(folder, kind="dir") for folder in missing), *entries.values()]


def _libraries(program: Path) -> list[Path]:
    """The libraries that the loader maps for a program; none for a static one."""
    said = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=False)
    return [Path(found) for found in _LIBRARY.findall(said.stdout)]


def _is_elf(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def static_busybox() -> bytes:
    """A busybox that needs no libraries: the machine's, or Debian's. Raises BuildError."""
    installed = shutil.which("busybox")
    binary = Path(installed).read_bytes() if installed else b""
    return binary if _is_static(binary) else _downloaded_busybox()


def _busybox() -> list[Entry]:
    binary = static_busybox()
    links = [Entry(f"usr/bin/{name}", kind="symlink", target="busybox") for name in APPLETS]
    return [Entry("usr/bin/busybox", binary, 0o755), *links]


def _is_static(binary: bytes) -> bool:
    """Whether this is a 64-bit little-endian ELF file that names no loader (PT_INTERP, elf(5))."""
    if binary[:6] != b"\x7fELF\x02\x01":
        return False
    (table,) = struct.unpack_from("<Q", binary, 32)
    size, count = struct.unpack_from("<HH", binary, 54)
    kinds = [struct.unpack_from("<I", binary, table + size * n)[0] for n in range(count)]
    return 3 not in kinds


def _downloaded_busybox() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        try:
            for command in (
                ["apt-get", "download", "-qq", "busybox-static"],
                ["sh", "-c", "dpkg-deb -x busybox-static_*.deb ."],
            ):
                subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True)
            found = [p for p in Path(folder).rglob("busybox") if p.is_file() and _is_elf(p)]
            return found[0].read_bytes()
        except (OSError, subprocess.CalledProcessError, IndexError) as error:
            said = getattr(error, "stderr", "") or str(error)
            raise BuildError(
                "The sample image needs a shell. This machine's /bin/sh could not be taken with "
                "its libraries (that needs `ldd`), and busybox-static could not be downloaded with "
                f"apt-get ({said.strip()}). Install busybox-static, or run this on a Linux machine "
                "with ldd."
            ) from error
