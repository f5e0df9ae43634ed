"""The first program in a container: changes to the image's user, then executes its program.

bubblewrap run by root starts its command as root, and an image has no `setpriv` to change that. So
the command is this program, a static x86-64 ELF file of some 2000 bytes that exists in memory only:
the container's files don't include it. (App Service runs linux/amd64 images alone, and so does this
runtime.)

    rt_sigaction(n, SIG_DFL) for all n   so that signals which the double ignores (`nohup`, `&`)
                                         have their default actions inside
    read(gate); close(gate)              the double writes a byte when the network is ready; at the
                                         end of the pipe (the start was given up) _exit(126)
    setgroups(groups); setresgid(gid, gid, gid); setresuid(uid, uid, uid)
    prctl(PR_SET_PDEATHSIG, SIGKILL)     the kernel forgets it when the user changes
    close(fd)                            the file descriptor that this program was started from, and
                                         those that bubblewrap alone needs
    execve(argv[1], argv + 2, envp)
    _exit(127 if there is no such file, else 126)

It is therefore called with the program's path and then the program's own argv.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Sequence

from localazure.runtime.rootfs import User

NOT_FOUND = 127
CANNOT_RUN = 126

_BASE = 0x400000
_HEADERS = 64 + 56
_SETGROUPS, _SETRESGID, _SETRESUID = 116, 119, 117
_PRCTL, _READ, _CLOSE, _EXECVE, _EXIT_GROUP, _RT_SIGACTION = 157, 0, 3, 59, 231, 13
_PR_SET_PDEATHSIG, _SIGKILL, _SIGSTOP = 1, 9, 19
_SIGNALS = [number for number in range(1, 65) if number not in (_SIGKILL, _SIGSTOP)]
_DEFAULT_ACTION = b"\0" * 32
"""The kernel's `struct sigaction`: SIG_DFL is 0, no flags, no restorer, an empty mask."""
_SYSCALL = b"\x0f\x05"


def _call(number: int, *arguments: int) -> bytes:
    """A system call with constant arguments (32 bits each): mov edi/esi/edx, imm; mov eax, n."""
    moves = (b"\xbf", b"\xbe", b"\xba")
    loads = b"".join(
        move + struct.pack("<I", value) for move, value in zip(moves, arguments, strict=False)
    )
    return loads + b"\xb8" + struct.pack("<I", number) + _SYSCALL


def program(
    user: User | None, fd: int, gate: int | None = None, unused: Sequence[int] = ()
) -> bytes:
    """The ELF file. `user` None leaves user and groups as they are.

    `gate` is the file descriptor of a pipe to read one byte from before anything else runs;
    `unused` are file descriptors to close.
    """
    code = b""
    groups = user.groups if user else ()
    # The tables are between the headers and the code, so their addresses are known.
    table = struct.pack(f"<{len(groups)}I", *groups)
    table += b"\0" * (-len(table) % 8)
    action = _BASE + _HEADERS + len(table)
    table += _DEFAULT_ACTION
    code += b"\x41\xba" + struct.pack("<I", 8)  # mov r10d, 8: bytes in a signal mask
    for number in _SIGNALS:
        code += _call(_RT_SIGACTION, number, action, 0)
    if gate is not None:
        code += _wait_for(gate)
    if user:
        code += _call(_SETGROUPS, len(groups), _BASE + _HEADERS) + _or_fail()
        code += _call(_SETRESGID, user.gid, user.gid, user.gid) + _or_fail()
        code += _call(_SETRESUID, user.uid, user.uid, user.uid) + _or_fail()
    code += _call(_PRCTL, _PR_SET_PDEATHSIG, _SIGKILL)
    for each in (fd, *unused):
        code += _call(_CLOSE, each)
    code += (
        b"\x48\x8b\x0c\x24"  # mov rcx, [rsp]            argc
        b"\x48\x8b\x7c\x24\x10"  # mov rdi, [rsp+16]     argv[1]
        b"\x48\x8d\x74\x24\x18"  # lea rsi, [rsp+24]     argv + 2
        b"\x48\x8d\x54\xcc\x10"  # lea rdx, [rsp+rcx*8+16]  envp, behind argv's null
        b"\xb8" + struct.pack("<I", _EXECVE) + _SYSCALL
    )
    code += (
        b"\xbf"
        + struct.pack("<I", CANNOT_RUN)  # mov edi, 126
        + b"\x48\x83\xf8\xfe"  # cmp rax, -ENOENT
        b"\x75\x05"  # jne over the next instruction
        b"\xbf"
        + struct.pack("<I", NOT_FOUND)  # mov edi, 127
        + b"\xb8"
        + struct.pack("<I", _EXIT_GROUP)
        + _SYSCALL
    )
    return _elf(table, code)


def _wait_for(gate: int) -> bytes:
    """Read one byte, or _exit(126): bubblewrap's own --block-fd goes on at the end of the pipe."""
    leave = _call(_EXIT_GROUP, CANNOT_RUN)
    return (
        b"\xbf"
        + struct.pack("<I", gate)  # mov edi, gate
        + b"\x48\x8d\x74\x24\xf8"  # lea rsi, [rsp-8]
        + b"\xba"
        + struct.pack("<I", 1)  # mov edx, 1
        + b"\xb8"
        + struct.pack("<I", _READ)
        + _SYSCALL
        + b"\x48\x83\xf8\x01"  # cmp rax, 1
        + b"\x74"  # je over the exit
        + bytes([len(leave)])
        + leave
        + _call(_CLOSE, gate)
    )


def _or_fail() -> bytes:
    """test rax, rax; jz over; _exit(126): the program must not run as the wrong user."""
    leave = _call(_EXIT_GROUP, CANNOT_RUN)
    return b"\x48\x85\xc0\x74" + bytes([len(leave)]) + leave


def _elf(table: bytes, code: bytes) -> bytes:
    entry = _BASE + _HEADERS + len(table)
    size = _HEADERS + len(table) + len(code)
    identity = b"\x7fELF" + bytes([2, 1, 1]) + b"\0" * 9
    header = identity + struct.pack("<HHIQQQIHHHHHH", 2, 62, 1, entry, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    # One segment, readable and executable (5), loaded whole.
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + table + code


def in_memory(user: User | None, gate: int | None = None, unused: Sequence[int] = ()) -> int:
    """A file descriptor of the program, which contains that number; the caller closes it."""
    fd = os.memfd_create("localazure-shim", 0)
    os.write(fd, program(user, fd, gate, unused))
    return fd
