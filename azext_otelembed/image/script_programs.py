"""Which programs a shell script runs: also those behind `env` or `nohup`, and of scripts in it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from azext_otelembed.image.shell_script import Command, Unreadable, read_jobs, unquoted

_SHELLS = {"sh", "ash", "bash", "dash", "busybox"}
# Programs that run another one: the options that take a value, and the number of operands before
# the other program (GNU coreutils, util-linux, sudo, su-exec, gosu, tini, dumb-init; POSIX for the
# builtins).
WRAPPERS: dict[str, tuple[str, int]] = {
    **dict.fromkeys(("nohup", "setsid", "command", "builtin", "time", "dumb-init"), ("", 0)),
    **dict.fromkeys(("su-exec", "gosu", "chroot", "s6-setuidgid", "setuidgid"), ("", 1)),
    "catatonit": ("", 0),
    "chpst": ("uUbe/nlLPolmdoftcr", 0),
    "chrt": ("TPD", 1),
    "doas": ("uC", 0),
    "env": ("uCS", 0),
    "exec": ("a", 0),
    "flock": ("wE", 1),
    "ionice": ("cn", 0),
    "nice": ("n", 0),
    "runuser": ("ugG", 0),
    "setpriv": ("", 0),
    "stdbuf": ("ioe", 0),
    "sudo": ("ugCDhpRT", 0),
    "taskset": ("", 1),
    "timeout": ("sk", 1),
    "tini": ("pe", 0),
    "unbuffer": ("", 0),
}
# With these, `command` runs no program: `command -v otelcol` tells whether there is one.
_DESCRIBES = re.compile(r"-p?[vV]+")
ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
MAX_SCRIPTS = 200
"""Of more scripts in each other, the rest isn't told apart."""


@dataclass(frozen=True, slots=True)
class Shell:
    """A shell in a command line: the indices of its program and of its `-c` script.

    `plain`: it is no login shell, and has no other option that changes how a program starts.
    """

    index: int
    script_index: int
    plain: bool


def find_shells(words: Sequence[str]) -> Iterator[Shell]:
    """The shells with a `-c` script in a command line."""
    for number, word in enumerate(words):
        if posixpath.basename(word.lstrip("-")) in _SHELLS:
            shell = _shell_at(words, number)
            if shell is not None:
                yield shell


def _shell_at(words: Sequence[str], number: int) -> Shell | None:
    """POSIX: `sh [-abCefhimnuvx] [-o option]… -c … script`; the script is the first operand."""
    at = number + 1
    if posixpath.basename(words[number]) == "busybox":
        at += 1
    has_script, plain = False, not words[number].startswith("-")
    while at < len(words) and re.match(r"[-+]", words[at]):
        option = words[at]
        at += 1
        if option in ("-", "--"):
            break
        if option.startswith("--"):
            plain = False
            at += option in ("--rcfile", "--init-file")
            continue
        has_script = has_script or "c" in option[1:]
        value = words[at : at + 1] if option[-1] in "oO" else []
        at += len(value)
        if not set(option) <= set("-ceuo") or any(
            one not in ("pipefail", "errexit", "nounset") for one in value
        ):
            plain = False
    return Shell(number, at, plain) if has_script and at < len(words) else None


def scripts_of(command: Command) -> Iterator[str]:
    """The scripts in a command: its substitutions, the script of `sh -c` or `su -c`, of `eval`."""
    for token in (*command.words, *command.redirections):
        yield from token.inner
    words = words_of(command)
    for shell in find_shells(words):
        yield words[shell.script_index]
    program = program_index(words)
    if program is None:
        return
    name = posixpath.basename(words[program])
    if name in ("su", "runuser", "script") and "-c" in words[program:]:
        yield from words[words.index("-c", program) + 1 :][:1]
    elif name == "eval":
        yield " ".join(words[program + 1 :])
    elif name == "trap":
        yield from words[program + 1 : program + 2]


def words_of(command: Command) -> list[str]:
    """The words of a command, without their quotes."""
    return [unquoted(token.text) for token in command.words]


def programs(script: str) -> Iterator[str]:
    """The programs of a script and of the scripts in it. Raises `Unreadable`."""
    scripts, seen = [script], {script}
    while scripts:
        if len(seen) > MAX_SCRIPTS:
            raise Unreadable
        for command in (command for job in read_jobs(scripts.pop()) for command in job.commands):
            words = words_of(command)
            program = program_index(words)
            if program is not None:
                yield words[program]
            inner = set(scripts_of(command)) - seen
            seen |= inner
            scripts += inner


def program_index(words: Sequence[str]) -> int | None:
    """The index of the program that a command runs, behind assignments and wrappers."""
    at = 0
    while at < len(words):
        if ASSIGNMENT.match(words[at]):
            at += 1
            continue
        wrapper = WRAPPERS.get(posixpath.basename(words[at]))
        if wrapper is None:
            return at
        if words[at] == "command" and _DESCRIBES.fullmatch("".join(words[at + 1 : at + 2])):
            return at
        with_value, operands = wrapper
        at += 1
        while at < len(words) and words[at].startswith("-") and words[at] != "-":
            option = words[at]
            at += 1
            if option == "--":
                break
            at += len(option) == 2 and option[1] in with_value
        at += operands
    return None
