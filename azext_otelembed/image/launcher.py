"""The launcher: the entrypoint that starts the collector beside the app.

`exec` then is the app itself. `drain` stays, passes signals on, and after a stop signal leaves the
collector some seconds to deliver what it holds (see drain.py).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import drain_script
from azext_otelembed.image.layer import BINARY, CERTIFICATES, CONFIG

SHELL = "/bin/sh"
NAME = "otelembed"  # $0 of the script, by which a wrapped entrypoint is recognised
KINDS = ("exec", "drain")
LOGS = ("null", "stderr")
# 80 % of the memory_limiter's limit_mib in collector/default.yml; a test holds the two together.
DEFAULT_MEMORY_MIB = 204
# The default configuration's batches wait 1 s; App Service kills 5 s after the stop signal.
DEFAULT_GRACE = 2
LONGEST_GRACE = 120  # no WEBSITES_CONTAINER_STOP_TIME_LIMIT is longer

_VERSION = 1
_IDENTITY = re.compile(
    r"(\w+)/(\d+)(?:,grace=(\d{1,3}))?(?:,logs=(\w+))?(?:,memory=(\d+|none))?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Launcher:
    """How the collector is started, and what becomes of it when the app has ended.

    `kind` is "exec" or "drain", `collector_logs` "null" or "stderr". `memory_mib` is the
    collector's GOMEMLIMIT, which has to be in step with its memory_limiter; None leaves it unset
    (no limiter, or a relative one). `grace` is what `drain` leaves the collector, in seconds.
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
                f"There is no launcher '{self.kind}/{self.version}'; {known} are there."
            )
        if self.collector_logs not in LOGS:
            raise InvalidImage(
                f"The collector's logs can go to {' or '.join(LOGS)}, not '{self.collector_logs}'."
            )
        if self.kind == "exec" and self.grace != DEFAULT_GRACE:
            raise InvalidImage("Only the launcher 'drain' leaves the collector a grace.")
        if not 0 <= self.grace <= LONGEST_GRACE:
            raise InvalidImage(f"The grace can be 0 to {LONGEST_GRACE} seconds, not {self.grace}.")

    @classmethod
    def parse(cls, identity: str) -> Launcher:
        """The launcher that a recipe or label names. Raises InvalidImage."""
        match = _IDENTITY.fullmatch(identity)
        if match is None:
            raise InvalidImage(f"There is no launcher '{identity}'.")
        kind, version, grace, logs, memory = match.groups()
        limit = DEFAULT_MEMORY_MIB
        return cls(
            kind,
            int(version),
            logs or "null",
            limit if memory is None else None if memory == "none" else int(memory),
            int(grace) if grace else DEFAULT_GRACE,
        )

    @property
    def identity(self) -> str:
        """Kind and version, and what isn't default, e.g. `exec/1` or `drain/1,logs=stderr`."""
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

        `stop_signal` is the base's STOPSIGNAL, empty where it has none.
        """
        if self.kind == "drain":
            return drain_script.script(self._collector("exec "), self.grace, stop_signal)
        return f'{self._collector()} & exec "$@"'

    def _collector(self, how: str = "") -> str:
        """The command that is the collector; one that is missing or dies hurts nobody.

        `how` stands before the program: "exec " where the shell itself is to become it.

        Go's crypto/x509 reads the first bundle file that exists and then every folder listed in
        SSL_CERT_DIR (root_unix.go), so the base's own authorities and the added ones both hold.
        """
        folders = "${SSL_CERT_DIR:-/etc/ssl/certs:/etc/pki/tls/certs}"
        memory = f" GOMEMLIMIT={self.memory_mib}MiB" if self.memory_mib else ""
        logs = ">/dev/null 2>&1" if self.collector_logs == "null" else ">&2"
        return (
            f'SSL_CERT_DIR="{folders}:{CERTIFICATES}"{memory} '
            f"{how}{BINARY} --config={CONFIG} </dev/null {logs}"
        )

    def wrap(
        self, entrypoint: Sequence[str], *, stop_signal: str = "", shell_path: str = SHELL
    ) -> list[str]:
        """The entrypoint of the embedded image. The base's Cmd stays as it is.

        A base with a Cmd alone works too: whatever is passed as Cmd arrives as the arguments.
        """
        return [shell_path, "-c", self.script(stop_signal), NAME, *entrypoint]


def unwrap(entrypoint: Sequence[str]) -> list[str] | None:
    """The base's entrypoint, or None when this is not one of our wraps."""
    if len(entrypoint) < 4 or entrypoint[1] != "-c" or entrypoint[3] != NAME:
        return None
    return list(entrypoint[4:])
