"""Whether a program runs on any Linux base: an ELF file for x86-64 that needs no dynamic loader.

Only the first bytes of the file are looked at: the header and, in every linker's output, the
program headers right behind it (elf(5)).
"""

from __future__ import annotations

import struct

from azext_otelembed.errors import InvalidImage

_X86_64 = 62
_INTERPRETER = 3  # PT_INTERP: names the dynamic loader
_MACHINES = {3: "x86", 40: "arm", 183: "arm64", 22: "s390x", 21: "ppc64le", 243: "riscv64"}
_LAYOUT = "docker.io/otel/opentelemetry-collector-contrib"


def check_program(head: bytes, path: str) -> None:
    """Raise InvalidImage unless the file at `path`, which begins with `head`, is a static program.

    What doesn't tell within `head` is let through.
    """
    if head.startswith(b"#!"):
        raise InvalidImage(
            f"The collector image starts a script ({path}), not the collector itself.",
            f"Use an image whose ENTRYPOINT is the binary, as in {_LAYOUT}.",
        )
    if head[:4] != b"\x7fELF" or len(head) < 64:
        raise InvalidImage(
            f"{path}, which the collector image starts, is no Linux program.",
            f"Use an image whose ENTRYPOINT is the binary, as in {_LAYOUT}.",
        )
    (machine,) = struct.unpack_from("<H", head, 18)
    if head[4:6] != b"\x02\x01" or machine != _X86_64:
        named = _MACHINES.get(machine, f"machine {machine}")
        raise InvalidImage(
            f"{path} in the collector image is a program for {named}. App Service runs "
            "linux/amd64 only."
        )
    needed = loader(head)
    if needed is not None:
        raise InvalidImage(
            f"{path} in the collector image is dynamically linked (it needs {needed}): it would "
            "run only on bases that have the same libraries.",
            "Build the collector with CGO_ENABLED=0, or use an image with a static binary, such "
            f"as {_LAYOUT}.",
        )


def loader(head: bytes) -> str | None:
    """The dynamic loader that the program names; None where it names none."""
    (table,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    for number in range(count):
        at = table + number * size
        if size < 56 or at + 56 > len(head):
            break
        kind, _, start, _, _, length = struct.unpack_from("<IIQQQQ", head, at)
        if kind == _INTERPRETER:
            name = head[start : start + min(length, 256)].split(b"\0")[0]
            return name.decode("utf-8", "replace") or "a dynamic loader"
    return None
