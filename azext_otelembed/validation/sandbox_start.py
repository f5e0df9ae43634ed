"""A program of its own, started as a script: it restricts itself, then becomes another program.

    python -I -S sandbox_start.py FOLDER PROGRAM ARGUMENTS…

The program may read FOLDER and itself, and nothing else: no other file, no network, no other
process. It needs no rights and no other tool: Landlock (Linux 5.13) restricts files, seccomp system
calls. What the kernel doesn't offer is left out; the first line of the output names what holds.
Uses the standard library alone, and nothing of this package.

Sources: Linux, Documentation/userspace-api/landlock.rst, seccomp_filter.rst, and the numbers of
arch/x86/entry/syscalls/syscall_64.tbl.
"""

from __future__ import annotations

import ctypes
import os
import resource
import struct
import sys

FIRST_LINE = "otelembed-sandbox:"
FILES, NETWORK, PROCESSES = "files", "network", "processes"
ALL = (FILES, NETWORK, PROCESSES)

_NO_NEW_PRIVILEGES, _PARENT_DEATH_SIGNAL, _SECCOMP, _FILTER = 38, 1, 22, 2
_KILL = 9
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF, _PATH_BENEATH = 444, 445, 446, 1
_EXECUTE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 2, 1 << 3
# The rights on files that each version of Landlock knows. Version 4 knows TCP, version 6 scopes.
_RIGHTS = {1: 0x1FFF, 2: 0x3FFF, 3: 0x7FFF, 4: 0x7FFF, 5: 0xFFFF}
_TCP, _SCOPES = 0b11, 0b11

_ARCHITECTURE = 0xC000003E  # AUDIT_ARCH_X86_64
_ALLOW, _REFUSE, _UNKNOWN = 0x7FFF0000, 0x00050000 | 1, 0x00050000 | 38  # errno EPERM, ENOSYS
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_THREAD = 0x00010000  # CLONE_THREAD
_NETWORK_CALLS = (41, 42, 49, 50, 53)  # socket, connect, bind, listen, socketpair
_OTHER_CALLS = (
    *(57, 58, 62, 101, 200),  # fork, vfork, kill, ptrace, tkill
    *(129, 297),  # rt_sigqueueinfo, rt_tgsigqueueinfo
    *(141, 142, 144, 203, 251, 256, 279, 314, 440),  # priority, scheduling and memory of others
    *(29, 30, 31, *range(64, 72), 240, 241),  # System V's and POSIX' memory, semaphores, messages
    *(155, 161, 165, 166, 175, 246, 248, 249, 250),  # mounts, modules, kexec, keys
    *(272, 298, 303, 304, 308, 310, 311, 313, 321, 323),  # namespaces, perf, handles, other memory
    *(424, 425, 434, 438),  # pidfd_send_signal, io_uring_setup, pidfd_open, pidfd_getfd
)
_CLONE, _CLONE3, _TGKILL, _PRLIMIT = 56, 435, 234, 302

_LIMITS = (
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_FSIZE, 1 << 20),
    (resource.RLIMIT_CPU, 60),
    (resource.RLIMIT_NOFILE, 256),
    (resource.RLIMIT_DATA, 4 << 30),
)


def main(folder: str, program: str, *arguments: str) -> None:
    """Restrict this process and execute `program`, with this process's environment."""
    for which, most in _LIMITS:
        _, hard = resource.getrlimit(which)
        value = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(which, (value, value))
    system = ctypes.CDLL(None, use_errno=True)
    system.prctl(_PARENT_DEATH_SIGNAL, _KILL, 0, 0, 0)
    held = []
    if system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) == 0:
        if restrict_files(system, folder, program):
            held.append(FILES)
        if filter_calls(system):
            held += [NETWORK, PROCESSES]
    os.write(1, f"{FIRST_LINE} {' '.join(held)}\n".encode())
    os.chdir(folder)
    os.execve(program, [program, *arguments], dict(os.environ))  # noqa: S606


def restrict_files(system: ctypes.CDLL, folder: str, program: str) -> bool:
    """Whether Landlock restricts this process to reading `folder` and executing `program`."""
    version = system.syscall(_CREATE_RULESET, None, 0, 1)
    if version < 1:
        return False
    handled = struct.pack("Q", _RIGHTS[min(version, max(_RIGHTS))])
    handled += struct.pack("Q", _TCP) if version >= 4 else b""
    handled += struct.pack("Q", _SCOPES) if version >= 6 else b""
    rules = system.syscall(_CREATE_RULESET, handled, len(handled), 0)
    if rules < 0:
        return False
    allowed = ((folder, _READ_FILE | _READ_FOLDER), (program, _READ_FILE | _EXECUTE))
    for path, rights in allowed:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        rule = struct.pack("=Qi", rights, place)
        if system.syscall(_ADD_RULE, rules, _PATH_BENEATH, rule, 0) < 0:
            return False
        os.close(place)
    restricted: bool = system.syscall(_RESTRICT_SELF, rules, 0) == 0
    os.close(rules)
    return restricted


def filter_calls(system: ctypes.CDLL) -> bool:
    """Whether seccomp refuses the system calls for networks and other processes."""
    lines = call_filter(os.getpid())
    program = ctypes.create_string_buffer(b"".join(lines))
    header = struct.pack("HxxxxxxQ", len(lines), ctypes.addressof(program))
    return bool(system.prctl(_SECCOMP, _FILTER, header, 0, 0) == 0)


def call_filter(process: int) -> list[bytes]:
    """The BPF program: threads, signals and limits of `process` alone are allowed."""
    refused = (*_NETWORK_CALLS, *_OTHER_CALLS)
    checks = [
        *(_test(_EQUAL, call, "refuse") for call in refused),
        _test(_EQUAL, _CLONE3, "unknown"),
        _test(_EQUAL, _CLONE, "clone"),
        _test(_EQUAL, _TGKILL, "own"),
        _test(_EQUAL, _PRLIMIT, "own"),
    ]
    lines: list[tuple[int, str, str, int]] = [
        (_LOAD, "", "", 4),
        (_EQUAL, "", "refuse", _ARCHITECTURE),
        (_LOAD, "", "", 0),
        (_AT_LEAST, "refuse", "", 0x40000000),  # the x32 ABI
        *checks,
        (_RETURN, "", "", _ALLOW),
        # The low half of the first argument.
        (_LOAD, "", "", 16),
        (_ANY_BIT, "allow", "refuse", _THREAD),
        (_LOAD, "", "", 16),
        (_EQUAL, "allow", "", 0),  # the caller itself
        (_EQUAL, "allow", "refuse", process),
        (_RETURN, "", "", _ALLOW),
        (_RETURN, "", "", _REFUSE),
        (_RETURN, "", "", _UNKNOWN),
    ]
    count = len(lines)
    places = {
        "clone": count - 8,
        "own": count - 6,
        "allow": count - 3,
        "refuse": count - 2,
        "unknown": count - 1,
    }
    return [
        struct.pack(
            "HBBI",
            code,
            places[then] - number - 1 if then else 0,
            places[other] - number - 1 if other else 0,
            value,
        )
        for number, (code, then, other, value) in enumerate(lines)
    ]


def _test(code: int, value: int, then: str) -> tuple[int, str, str, int]:
    return code, then, "", value


if __name__ == "__main__":
    main(*sys.argv[1:])
