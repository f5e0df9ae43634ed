"""The launcher: the entrypoint that starts the collector beside the app.

The launcher `exec` then replaces itself with the app. The launcher `drain` keeps running, forwards
signals, and after a stop signal gives the collector some seconds to export its telemetry (see
`drain_script`). Both first write one line to stderr, which names the image's recipe, and start the
collector below a supervisor, which starts it again when it exits (see `supervisor_script`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import drain_script, supervisor_script
from azext_otelembed.image.collector_environment import set_environment
from azext_otelembed.image.layer import BINARY, CERTIFICATES, CONFIG
from azext_otelembed.image.reference import Digest

SHELL = "/bin/sh"
NAME = "otelembed"  # $0 of the script; identifies a wrapped entrypoint
KINDS = ("exec", "drain")
LOGS = ("null", "stderr")
# 80 % of the memory_limiter's limit_mib in collector/default.yml; a test checks that they agree.
DEFAULT_MEMORY_MIB = 204
# The default configuration's batch timeout is 1 s; App Service kills 5 s after the stop signal.
DEFAULT_GRACE = 2
# Go's runtime ends the program for a GOMEMLIMIT whose bytes don't fit into an int64
# (`parseByteCount`, runtime/string.go).
LARGEST_MEMORY_MIB = (2**63 - 1) >> 20
LONGEST_GRACE = 120  # the maximum of WEBSITES_CONTAINER_STOP_TIME_LIMIT
START_LINE = re.compile(rf"{NAME}: ([0-9a-f]{{12}}) starts", re.ASCII)
"""Matches `start_line`; its group is the recipe's first 12 hex digits (`Digest.short`)."""

# Increased when an option gives another script: the launcher is part of the recipe, so the same
# recipe must give the same script. Version 1 doesn't write the start line; versions 1 and 2 have no
# supervisor.
_VERSION = 3
# A busybox with FEATURE_SH_STANDALONE (Debian's has it) runs its own applet for `exec httpd`, also
# where PATH has a program of that name; zsh runs its builtins. Only a path is sure to be a file.
# `command -v` shows a path, unless the shell would run something of its own.
_FIND_PROGRAM = """\
case $1 in */*) ;; *) case $(command -v "$1" 2>/dev/null) in */*) ;; *)
  otelembed_rest=$PATH: otelembed_program=
  while [ "$otelembed_rest" ] && [ -z "$otelembed_program" ]; do
    otelembed_program=${otelembed_rest%%:*} otelembed_rest=${otelembed_rest#*:}
    otelembed_program=${otelembed_program:-.}/$1
    { [ -f "$otelembed_program" ] && [ -x "$otelembed_program" ]; } || otelembed_program=
  done
  if [ -z "$otelembed_program" ]; then
    echo "otelembed: $1: not found" >&2 2>/dev/null || :
    exit 127
  fi
  shift
  set -- "$otelembed_program" "$@"
esac esac
"""
_REPORTS_EXITS = 3  # the first version with a supervisor
_IDENTITY = re.compile(
    r"(\w+)/(\d{1,9})(?:,grace=(\d{1,3}))?(?:,logs=(\w+))?(?:,memory=(\d{1,13}|none))?", re.ASCII
)


def reports_exits(identity: str) -> bool:
    """Whether the launcher of a label writes a line when the collector exits."""
    match = _IDENTITY.match(identity)
    return match is not None and int(match[2]) >= _REPORTS_EXITS


def launcher_words(identity: str) -> tuple[tuple[str, str], ...]:
    """The options of `deploy`, with their values, that give a launcher like that of a label."""
    match = _IDENTITY.match(identity)
    kind, _, grace, logs, _ = match.groups() if match else (KINDS[0], "", None, None, None)
    given = (
        ("--launcher", kind if kind != KINDS[0] else None),
        ("--grace", grace),
        ("--collector-logs", logs),
    )
    return tuple((name, value) for name, value in given if value)


def start_line(recipe: Digest) -> str:
    """The line, without its end, that a launcher writes to stderr before it starts the app.

    `recipe` is the recipe's digest; the tag of the embedded image ends with the same 12 hex digits.
    Launchers of version 1 write no such line.
    """
    return f"{NAME}: {recipe.short} starts"


@dataclass(frozen=True, slots=True)
class Launcher:
    """How the collector is started, and how it is stopped when the app has ended.

    `kind` is "exec" or "drain", `collector_logs` "null" or "stderr". `memory_mib` is the
    collector's GOMEMLIMIT, which must fit its memory_limiter; None leaves it unset (no limiter, or
    a relative one). `grace` is the time that `drain` gives the collector, in seconds.
    """

    kind: str = "exec"
    version: int = _VERSION
    collector_logs: str = "null"
    memory_mib: int | None = DEFAULT_MEMORY_MIB
    grace: int = DEFAULT_GRACE

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.version != _VERSION:
            known = " and ".join(f"'{kind}/{_VERSION}'" for kind in KINDS)
            raise InvalidImage(
                f"There is no launcher '{self.kind}/{self.version}'. Launchers are {known}."
            )
        if self.collector_logs not in LOGS:
            raise InvalidImage(
                f"The collector's logs can go to {' or '.join(LOGS)}, not '{self.collector_logs}'."
            )
        if self.kind == "exec" and self.grace != DEFAULT_GRACE:
            raise InvalidImage("Only the launcher 'drain' has a grace period.")
        if not 0 <= (self.memory_mib or 0) <= LARGEST_MEMORY_MIB:
            raise InvalidImage(
                f"The collector's memory can be at most {LARGEST_MEMORY_MIB} MiB, not "
                f"{self.memory_mib}."
            )
        if not 0 <= self.grace <= LONGEST_GRACE:
            raise InvalidImage(
                f"The grace period can be 0 to {LONGEST_GRACE} seconds, not {self.grace}."
            )

    @classmethod
    def parse(cls, identity: str) -> Launcher:
        """The launcher that a recipe or label names. Raises InvalidImage."""
        match = _IDENTITY.fullmatch(identity)
        if match is None:
            raise InvalidImage(f"There is no launcher '{identity}'.")
        kind, version, grace, logs, memory = match.groups()
        memory_mib = None if memory == "none" else int(memory or DEFAULT_MEMORY_MIB)
        grace_seconds = int(grace or DEFAULT_GRACE)
        return cls(kind, int(version), logs or "null", memory_mib, grace_seconds)

    @property
    def identity(self) -> str:
        """Kind, version and options other than the default: `exec/3`, `drain/3,logs=stderr`."""
        text = f"{self.kind}/{self.version}"
        if self.grace != DEFAULT_GRACE:
            text += f",grace={self.grace}"
        if self.collector_logs != "null":
            text += f",logs={self.collector_logs}"
        if self.memory_mib != DEFAULT_MEMORY_MIB:
            text += f",memory={self.memory_mib or 'none'}"
        return text

    def script(
        self, *, recipe: Digest | None, stop_signal: str = "", shell_path: str = SHELL
    ) -> str:
        """The shell script. `"$@"` is the app: the base's entrypoint and its arguments.

        `recipe` is the digest for the start line; with None, the script writes no such line.
        `stop_signal` is the base's STOPSIGNAL, empty if it has none. `shell_path` is the shell that
        runs the supervisor.
        """
        start = (_write_start_line(recipe) if recipe else "") + _FIND_PROGRAM
        grace = self.grace if self.kind == "drain" else 0
        supervisor = supervisor_script.command(
            self._collector_command(), shell_path, grace, set_environment(recipe)
        )
        if self.kind == "drain":
            return start + drain_script.script(f"exec {supervisor}", stop_signal)
        return f'{start}{supervisor} &\nexec "$@"'

    def _collector_command(self) -> str:
        """The collector's command. If the collector is missing or crashes, the app isn't affected.

        Go's crypto/x509 reads the first bundle file that exists and then every folder listed in
        SSL_CERT_DIR (root_unix.go), so both the base's and the added CA certificates are trusted.
        """
        folders = "${SSL_CERT_DIR:-/etc/ssl/certs:/etc/pki/tls/certs}"
        memory = f" GOMEMLIMIT={self.memory_mib}MiB" if self.memory_mib else ""
        logs = ">/dev/null 2>&1" if self.collector_logs == "null" else ">&2"
        return (
            f'SSL_CERT_DIR="{folders}:{CERTIFICATES}"{memory} '
            f"{BINARY} --config={CONFIG} </dev/null {logs}"
        )

    def wrap(
        self,
        entrypoint: Sequence[str],
        *,
        recipe: Digest | None,
        stop_signal: str = "",
        shell_path: str = SHELL,
    ) -> list[str]:
        """The entrypoint of the embedded image. The base's Cmd isn't changed.

        This includes a base with only a Cmd: its words become the script's arguments.
        `recipe` and `stop_signal` are those of `script`.
        """
        script = self.script(recipe=recipe, stop_signal=stop_signal, shell_path=shell_path)
        return [shell_path, "-c", script, NAME, *entrypoint]


def _write_start_line(recipe: Digest) -> str:
    """The shell command that writes the start line; a failed write doesn't affect the app.

    `echo` is a builtin of every shell and writes the line with one write. Where nothing reads
    stderr, the write's SIGPIPE would end the shell unless it is PID 1 of its namespace. `trap -`
    gives the app the action that was set when the shell started, also an ignored one. The shell's
    own message about the failure goes to /dev/null; `|| :` is for bash with errexit in SHELLOPTS.
    """
    return f"trap '' PIPE; echo '{start_line(recipe)}' >&2 2>/dev/null || :; trap - PIPE\n"


def unwrap_entrypoint(entrypoint: Sequence[str]) -> list[str] | None:
    """The base's entrypoint; None if `entrypoint` wasn't made by `Launcher.wrap`."""
    if len(entrypoint) < 4 or entrypoint[1] != "-c" or entrypoint[3] != NAME:
        return None
    return list(entrypoint[4:])
