"""An image's configuration, and the command and ports that follow with the site's settings."""

from __future__ import annotations

import json
import re
import shlex
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from localazure.state import Site

DEFAULT_PORTS = (80, 8080)
"""The ports that App Service tries if neither settings nor image name one."""


class ConfigurationError(ValueError):
    """The site's settings and the image have no command that can be started."""


@dataclass(frozen=True, slots=True)
class ImageConfig:
    """The parts of an image configuration that a running container depends on."""

    entrypoint: tuple[str, ...] = ()
    cmd: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    directory: str = "/"
    user: str = ""
    ports: tuple[int, ...] = ()
    stop_signal: int = signal.SIGTERM
    diff_ids: tuple[str, ...] = ()

    @staticmethod
    def parse(data: bytes) -> ImageConfig:
        """Read an image configuration, Docker's or OCI's; ConfigurationError if it is neither."""
        try:
            document = json.loads(data)
        except ValueError as error:
            raise ConfigurationError(f"invalid image configuration: {error}") from error
        config: dict[str, Any] = document.get("config") or {}
        pairs = (text.partition("=") for text in config.get("Env") or ())
        exposed = (re.fullmatch(r"(\d+)(/tcp)?", p) for p in config.get("ExposedPorts") or ())
        return ImageConfig(
            entrypoint=tuple(config.get("Entrypoint") or ()),
            cmd=tuple(config.get("Cmd") or ()),
            env=tuple((name, value) for name, _, value in pairs),
            directory=config.get("WorkingDir") or "/",
            user=config.get("User") or "",
            ports=tuple(sorted(int(match[1]) for match in exposed if match)),
            stop_signal=_signal(config.get("StopSignal") or "SIGTERM"),
            diff_ids=tuple((document.get("rootfs") or {}).get("diff_ids") or ()),
        )

    def command(self, startup: str) -> list[str]:
        """The argv: the startup command, if there is one, replaces CMD.

        It is split into words as in a shell, without expansion.
        """
        try:
            arguments = shlex.split(startup) or list(self.cmd)
        except ValueError as error:
            raise ConfigurationError(f"invalid startup command {startup!r}: {error}") from error
        argv = [*self.entrypoint, *arguments]
        if not argv:
            raise ConfigurationError("no command specified")
        return argv


def _signal(text: str) -> int:
    if text.isdecimal():
        return int(text)
    name = text.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    if name not in signal.Signals.__members__:
        raise ConfigurationError(f"invalid signal: {text}")
    return signal.Signals[name]


def of_site(site: Site) -> str:
    """The image that a site runs; empty for a site that runs no custom container."""
    if site.image:
        return site.image
    if str(site.config.get("linuxFxVersion") or "").upper() == "SITECONTAINERS":
        prefix = "sitecontainers/"
        for name, properties in site.documents.items():
            if name.startswith(prefix) and properties.get("isMain"):
                return str(properties.get("image") or "")
    return ""


def candidate_ports(settings: Mapping[str, str], config: ImageConfig) -> tuple[int, ...]:
    """The possible ports of the site, best first; PORT in the environment is the first.

    WEBSITES_PORT, else PORT, else what the image exposes, else 80 and 8080.
    """
    for name in ("WEBSITES_PORT", "PORT"):
        text = settings.get(name, "")
        if text.isdecimal() and 0 < int(text) < 65536:
            return (int(text),)
    return config.ports or DEFAULT_PORTS


def seconds(settings: Mapping[str, str], name: str, default: float, longest: float) -> float:
    """A time limit from the app settings; `default` if it is missing or invalid."""
    try:
        value = float(settings.get(name, ""))
    except ValueError:
        return default
    return min(value, longest) if value >= 0 else default
