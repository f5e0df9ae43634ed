"""Shared objects of all workers: the sandbox, the images, folders and time limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from localazure.runtime import sandbox
from localazure.runtime.image import seconds
from localazure.runtime.pull import Images
from localazure.runtime.reaper import Reaper
from localazure.runtime.sandbox import NoSandboxError, Sandbox
from localazure.state import RuntimeSettings, Site

FRONT_END_TIMEOUT = 230.0
"""Seconds that App Service's front end waits for an app."""

_log = logging.getLogger("localazure.runtime")


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds."""

    steady: float = 60
    """A container that ran for this time does not count as a failure."""
    start_limit: float = 230
    longest_start_limit: float = 1800
    stop_limit: float = 5
    longest_stop_limit: float = 120
    closing: float = 1
    """The time that containers have to stop when the double itself ends."""

    def start_time(self, settings: Mapping[str, str]) -> float:
        """The time until a container has to answer."""
        name = "WEBSITES_CONTAINER_START_TIME_LIMIT"
        return seconds(settings, name, self.start_limit, self.longest_start_limit)

    def stop_time(self, settings: Mapping[str, str]) -> float:
        """The time until a container has to end after its stop signal."""
        name = "WEBSITES_CONTAINER_STOP_TIME_LIMIT"
        return seconds(settings, name, self.stop_limit, self.longest_stop_limit)


class RuntimeContext:
    """One for all workers.

    `ports` returns the ports of this machine's localhost that containers can reach.
    """

    def __init__(
        self,
        directory: Path,
        images: Images,
        ports: Callable[[], Sequence[int]],
        timing: Timing,
        settings: RuntimeSettings,
    ) -> None:
        self.directory = directory
        self.images = images
        self.ports = ports
        self.timing = timing
        self.settings = settings
        self._reaper: Reaper | None = None
        self._sandbox: asyncio.Task[Sandbox] | None = None

    async def sandbox(self) -> Sandbox:
        """The best sandbox that this machine allows, detected at the first call."""
        if self._sandbox is None:
            self._sandbox = asyncio.create_task(self._detect())
        return await asyncio.shield(self._sandbox)

    def reaper(self) -> Reaper:
        """The reaper of the containers, started at the first call."""
        if self._reaper is None:
            self._reaper = Reaper()
        return self._reaper

    async def close(self) -> None:
        """End the reaper, after the end of all containers."""
        if self._reaper is not None:
            reaper, self._reaper = self._reaper, None
            await asyncio.to_thread(reaper.close)

    def kill(self) -> None:
        """Kill all containers, from any thread."""
        if self._reaper is not None:
            self._reaper.close()

    async def _detect(self) -> Sandbox:
        try:
            found = await asyncio.to_thread(sandbox.detect, self.directory)
        except NoSandboxError as error:
            _log.warning("%s", error)
            raise
        if not found.root:
            _log.warning("%s", found.summary)
        return found

    def home(self, site: Site) -> Path:
        """The site's persistent /home."""
        return self.folder(site) / "home"

    def folder(self, site: Site) -> Path:
        """The folder of a site or slot; its log files are in LogFiles/."""
        name = f"{site.name}-{site.slot}" if site.slot else site.name
        return self.directory / "sites" / site.group.lower() / name.lower()
