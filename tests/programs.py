"""Linux programs of a few bytes, for collector images whose collector nobody needs."""

from __future__ import annotations

import random
import struct

LOADER = "/lib64/ld-linux-x86-64.so.2"
_ADDRESS = 0x400000
# mov eax, 34 (pause); syscall; jmp back: it waits until a signal ends it.
_PAUSE = b"\xb8\x22\x00\x00\x00\x0f\x05\xeb\xf7"


def program(size: int = 0, seed: int = 0, *, loader: str = "", machine: int = 62) -> bytes:
    """An x86-64 program that waits for ever, padded to `size` with bytes that don't compress.

    With `loader` it is dynamically linked; another `machine` (elf.h) makes it one for that.
    """
    headers = 2 if loader else 1
    start = 64 + 56 * headers
    code = _PAUSE + loader.encode() + b"\0"
    rest = max(0, size - start - len(code))
    total = start + len(code) + rest
    header = b"\x7fELF\x02\x01\x01" + bytes(9)
    header += struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, _ADDRESS + start, 64, 0, 0, 64, 56, headers, 0, 0, 0
    )
    load = struct.pack("<IIQQQQQQ", 1, 5, 0, _ADDRESS, _ADDRESS, total, total, 0x1000)
    interpreter = b""
    if loader:
        at, length = start + len(_PAUSE), len(loader) + 1
        interpreter = struct.pack("<IIQQQQQQ", 3, 4, at, 0, 0, length, length, 1)
    padding = random.Random(seed).randbytes(rest)  # noqa: S311
    return header + interpreter + load + code + padding
