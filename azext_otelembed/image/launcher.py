"""The launcher: the entrypoint that starts the collector beside the app.

The launcher `exec` then replaces itself with the app. The launcher `drain` keeps running, forwards
signals, and after a stop signal gives the collector some seconds to export its telemetry (see
`drain_script`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import drain_script
from azext_otelembed.image.layer import BINARY, CERTIFICATES, CONFIG

SHELL = "/bin/sh"
NAME = "otelembed"  # $0 of the script; identifies a wrapped entrypoint
KINDS = ("exec", "drain")
LOGS = ("null", "stderr")
# 80 % of the memory_limiter's limit_mib in collector/default.yml; a test checks that they agree.
DEFAULT_MEMORY_MIB = 204
# The default configuration's batch timeout is 1 s; App Service kills 5 s after the stop signal.
DEFAULT_GRACE = 2
LONGEST_GRACE = 120  # the maximum of WEBSITES_CONTAINER_STOP_TIME_LIMIT

_VERSION = 1
_IDENTITY = re.compile(
    r"(\w+)/(\d+)(?:,grace=(\d{1,3}))?(?:,logs=(\w+))?(?:,memory=(\d+|none))?", re.ASCII
)


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
        """Kind, version and options other than the default: `exec/1`, `drain/1,logs=stderr`."""
        text = f"{self.kind}/{self.version}"
        if self.grace != DEFAULT_GRACE:
            text += f",grace={self.grace}"
        if self.collector_logs != "null":
            text += f",logs={self.collector_logs}"
        if self.memory_mib != DEFAULT_MEMORY_MIB:
            text += f",memory={self.memory_mib or 'none'}"
        return text

    def script(self, stop_signal: str = "") -> str:
        """The shell script. `"$@"` is the app: the base's entrypoint and its arguments.

        `stop_signal` is the base's STOPSIGNAL, empty if it has none.
        """
        if self.kind == "drain":
            return drain_script.script(self._collector_command("exec "), self.grace, stop_signal)
        return f'{self._collector_command()} & exec "$@"'

    def _collector_command(self, prefix: str = "") -> str:
        """The collector's command. If the collector is missing or crashes, the app isn't affected.

        `prefix` precedes the program: "exec " if the collector replaces its shell.

        Go's crypto/x509 reads the first bundle file that exists and then every folder listed in
        SSL_CERT_DIR (root_unix.go), so both the base's and the added CA certificates are trusted.
        """
        folders = "${SSL_CERT_DIR:-/etc/ssl/certs:/etc/pki/tls/certs}"
        memory = f" GOMEMLIMIT={self.memory_mib}MiB" if self.memory_mib else ""
        logs = ">/dev/null 2>&1" if self.collector_logs == "null" else ">&2"
        return (
            f'SSL_CERT_DIR="{folders}:{CERTIFICATES}"{memory} '
            f"{prefix}{BINARY} --config={CONFIG} </dev/null {logs}"
        )

    def wrap(
        self, entrypoint: Sequence[str], *, stop_signal: str = "", shell_path: str = SHELL
    ) -> list[str]:
        """The entrypoint of the embedded image. The base's Cmd isn't changed.

        This includes a base with only a Cmd: its words become the script's arguments.
        """
        return [shell_path, "-c", self.script(stop_signal), NAME, *entrypoint]


def unwrap_entrypoint(entrypoint: Sequence[str]) -> list[str] | None:
    """The base's entrypoint; None if `entrypoint` wasn't made by `Launcher.wrap`."""
    if len(entrypoint) < 4 or entrypoint[1] != "-c" or entrypoint[3] != NAME:
        return None
    return list(entrypoint[4:])
