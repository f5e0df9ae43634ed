"""Supervisor of the sites' workers: ARM calls it after changes, front ends for containers."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from localazure.arm import key_vault
from localazure.double import Double
from localazure.runtime import environment, image, site_log
from localazure.runtime.context import FRONT_END_TIMEOUT, RuntimeContext, Timing
from localazure.runtime.new_log_format import NewLogFormat
from localazure.runtime.old_log_format import OldLogFormat
from localazure.runtime.pull import Images
from localazure.runtime.site_log import SiteLog, machine_name
from localazure.runtime.worker import Serving, Worker
from localazure.state import InstanceView, Site

_RECYCLED = {"app settings changed": "AppSettingsChange"}
"""App Service's words for the cause of a start, by the reason that ARM gives."""


@dataclass(slots=True)
class _Fleet:
    """The workers of one site, and a counter for the choice of the next one."""

    workers: list[Worker] = field(default_factory=list)
    turn: int = 0


class Supervisor:
    """`state.Runtime`, and `close`. All methods are for the event loop's thread."""

    def __init__(self, double: Double, timing: Timing | None = None) -> None:
        self._double = double
        directory = double.directory / "runtime"
        # Containers end with their double, so these files of an earlier one are unused.
        shutil.rmtree(directory / "containers", ignore_errors=True)
        directory.mkdir(parents=True, exist_ok=True)
        images = Images(double.state, double.store, directory / "images")
        self._settings = double.state.runtime
        self._context = RuntimeContext(
            directory, images, self._ports, timing or Timing(), self._settings
        )
        self._fleets: dict[str, _Fleet] = {}

    def changed(self, site: Site, why: str) -> None:
        """Start new containers with the site's present configuration, then stop the old ones."""
        if site.state == "Running":
            self._start(site, _RECYCLED.get(why, ""))

    def restart(self, site: Site) -> None:
        """Restart the site in the same way as after a change."""
        self.changed(site, "restart")

    def start(self, site: Site) -> None:
        """Start the site on as many workers as it has."""
        self._start(site, "")

    def _start(self, site: Site, recycled: str) -> None:
        site.secrets = key_vault.values(self._double.state, site)
        fleet = self._fleets.setdefault(site.resource_id.lower(), _Fleet())
        if not image.of_site(site):
            self.stop(site)
            return
        for number in range(len(fleet.workers), site.workers):
            fleet.workers.append(self._worker(site, number))
        for worker in fleet.workers:
            worker.site = site
            if worker.number < site.workers:
                worker.start(recycled)
            else:
                worker.stop()

    def stop(self, site: Site) -> None:
        """Stop the site everywhere."""
        for worker in self._workers(site):
            worker.stop()

    def instances(self, site: Site) -> list[InstanceView]:
        """The instances: UNKNOWN if it runs or starts, as in recordings, else STOPPED."""
        return [
            InstanceView(
                environment.instance_id(site, worker.number),
                "STOPPED" if worker.is_stopped else "UNKNOWN",
            )
            for worker in self._workers(site)
            if worker.number < site.workers
        ]

    def log(self, site: Site) -> str:
        """The lines of the platform and the containers, on all workers, oldest first."""
        return site_log.merge(worker.messages.log for worker in self._workers(site))

    def container_log(self, site: Site) -> str:
        """The workers' logs one after the other, as `RuntimeSettings` say."""
        logs = (worker.messages.log for worker in self._workers(site))
        settings = self._settings
        return site_log.join(logs, by_file=settings.log_by_file, last=settings.log_lines)

    def log_files(self, site: Site) -> dict[str, bytes]:
        """The log files, by their path below LogFiles/."""
        return site_log.files(self._context.folder(site) / "LogFiles")

    def is_container(self, site: Site) -> bool:
        """Whether the site runs a custom container."""
        return bool(image.of_site(site))

    async def choose(self, site: Site) -> Serving | None:
        """The container for the next request, by round robin.

        Waits while one is starting; None if none is starting; raises TimeoutError.
        """
        return await asyncio.wait_for(self._choose(site), FRONT_END_TIMEOUT)

    async def _choose(self, site: Site) -> Serving | None:
        while True:
            workers = self._workers(site)
            ready = [found for worker in workers for found in worker.ready]
            if ready:
                fleet = self._fleets[site.resource_id.lower()]
                fleet.turn += 1
                return ready[fleet.turn % len(ready)]
            if not any(worker.is_pending for worker in workers):
                return None
            changes = [asyncio.create_task(worker.changed.wait()) for worker in workers]
            try:
                await asyncio.wait(changes, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for change in changes:
                    change.cancel()

    async def close(self) -> None:
        """End all containers."""
        workers = [worker for fleet in self._fleets.values() for worker in fleet.workers]
        await asyncio.gather(*(worker.close() for worker in workers))
        await self._context.close()

    def kill(self) -> None:
        """Kill all containers, from any thread."""
        self._context.kill()

    def _worker(self, site: Site, number: int) -> Worker:
        machine = machine_name(environment.instance_id(site, number))
        folder = self._context.folder(site) / "LogFiles"
        log = SiteLog(folder, machine, old_format=site.old_log)
        messages = OldLogFormat(site, log) if site.old_log else NewLogFormat(site, log)
        return Worker(self._context, site, number, messages)

    def _workers(self, site: Site) -> Sequence[Worker]:
        fleet = self._fleets.get(site.resource_id.lower())
        return fleet.workers if fleet else ()

    def _ports(self) -> list[int]:
        """The ports that a container can reach on this machine: Insights, and Entra ID with ARM."""
        addresses = (self._double.insights, self._double.management)
        return [port for address in addresses if (port := urlsplit(address).port)]
