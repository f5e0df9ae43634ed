"""App Service's platform log of today: lines without a level, most of which name nothing.

Each event has a `State:` line beside its own. Wording and order follow exports of
AppServicePlatformLogs of April 2026 (yeongseon/azure-app-service-practical-guide).
"""

from __future__ import annotations

import math
import secrets
import time
from dataclasses import dataclass

from localazure.runtime.platform_messages import PlatformMessages, Start, moment, slot_suffix
from localazure.runtime.pull import Pulled
from localazure.runtime.site_log import SiteLog
from localazure.state import Site

_TIMEOUT = (
    "Container did not start within expected time limit of 230s. "
    "Please inspect your container logs for more details."
)
"""Also written for a container that exits after 0.1 s, whatever the limit is."""
_BROKEN_VOLUME = (
    "Failure mounting the provided storage. Permission was denied. Check Network and Auth "
    "configuration to ensure the File Share is accessible from App Service."
)
_PINGING = "Pinging warmup path to ensure container is ready to receive requests."
_KUDU = "appsvc/kudulite:bullseye_20260204.5.tuxprod"
_NODE_CACHE = "10.0.0.4:13209"
_MOUNTPOINTS = ("", "volatile/logs", "", "", "")


@dataclass(frozen=True, slots=True)
class _Error:
    """The last error of a site; `time` as in the log."""

    code: str = ""
    time: str = "01/01/0001 00:00:00"
    details: str = ""

    def __str__(self) -> str:
        return (
            f"LastError: {self.code}, LastErrorTimestamp: {self.time}, "
            f"LastErrorDetails: {self.details}"
        )


class NewLogFormat(PlatformMessages):
    """Writes the new format. The containers are `<12 hex>_<site>`, a slot's `<12 hex>_<site>_4342`.

    Every `State:` line repeats the last error, the details and the level until they change.
    """

    def __init__(self, site: Site, log: SiteLog, *, is_beside: bool = False) -> None:
        super().__init__(site, log)
        suffix = slot_suffix(site)
        self._container = f"{site.name}_{suffix}" if suffix else site.name
        self._name = f"{site.name}__{suffix}" if suffix else site.name
        self._is_beside = is_beside
        self._error = _Error()
        self._details = ""
        self._level = "INFO"
        self._image = ""
        self._kudu = ""
        self._stops_kudu = False
        self._until = ""

    def beside(self) -> NewLogFormat:
        return NewLogFormat(self.site, self.log, is_beside=True)

    def container_name(self, identifier: str) -> str:
        return f"{identifier}_{self._container}"

    def pulling(self, start: Start) -> None:
        self._image = start.image
        with_kudu = not self._kudu
        self._state("Starting", "EstablishingSiteNetworks")
        if with_kudu:
            self._lines("Container start method called.", "Establishing network.")
        self._state("Starting", "StartingSiteContainers")
        if with_kudu:
            self._line(f"Pulling image: {_KUDU}.")
        self._line("Container start method called.")
        details = f"Pulling image {start.image} for {self._container}."
        self._state("Starting", "PullingImage", details)
        self._lines("Establishing network.", f"Pulling image: {start.image}.")
        if with_kudu:
            self._start_kudu()

    def _start_kudu(self) -> None:
        self._kudu = f"{secrets.token_hex(6)}_{self._container}_kudu"
        self._mount("", "")
        self._create(self._kudu)
        self._line(
            f"Creating container with image: {_KUDU} from registry: {_NODE_CACHE} "
            f"and fully qualified image name: {_NODE_CACHE}/{_KUDU}"
        )
        self._run(self._kudu)
        self._line("Container start method finished after 683 ms.")

    def pulled(self, pulled: Pulled, seconds: float) -> None:
        if pulled.layers:
            self._line(f"Image {self._image} is pulled from registry {pulled.reference.registry}")
        self._mount(f"Mounting volumes for {self._container}.")

    def _mount(self, details: str, *more: str) -> None:
        """The volumes are mounted, of Kudu without a State line."""
        self._line("Container is starting.")
        if details:
            self._state("Starting", "MountingVolumes", details)
        self._lines(
            "Establishing user namespace if not established already.",
            "Establishing network if not established already.",
            "Mounting volumes.",
            *(f"Nested mountpoint {path}" for path in (*_MOUNTPOINTS, *more)),
        )

    def _create(self, container: str) -> None:
        self._lines("Creating container.", "Creating pipes for streaming container io.")
        for stream in ("stdout", "stderr"):
            pipe = f"/podr/container/pipe/{container}/{stream}_{secrets.token_hex(16)}"
            self._lines(
                f"Creating {stream} named pipe at {pipe}.",
                f"Successfully created {stream} named pipe at: {pipe}.",
                f"Opening named pipe {pipe} for reading in non-blocking mode.",
                f"Successfully opened named pipe: {pipe}.",
                f"Successfully removed non-blocking flag from {pipe}.",
            )

    def creating(self, container: str, pulled: Pulled, port: int) -> None:
        details = (
            f"Finished pulling container image and mounting volumes for {self._container}. "
            "Allocatinng the rest of the container resources to finish container creation."
        )
        self._state("Starting", "CreatingContainer", details)
        self._create(container)
        settings = self.site.app_settings
        if settings.get("PORT"):
            self._line(f"Overriding PORT environment variable with pre-calculated port: {port}.")
        elif pulled.config.ports and not settings.get("WEBSITES_PORT"):
            exposed = ", ".join(map(str, pulled.config.ports))
            self._line(f"Container image exposes ports: {exposed}. Resolved main port to {port}.")
        self._line(f"Setting value of PORT variable to {port}")
        self._line(
            f"Creating container with image: {self._image} from registry: "
            f"{pulled.reference.registry} and fully qualified image name: {self._image}"
        )

    def _run(self, container: str) -> None:
        self._lines(
            f"Starting container: {container}.",
            "Starting watchers and probes.",
            "Starting metrics collection.",
            "Container is running.",
        )

    def running(self, container: str, seconds: float) -> None:
        self._run(container)
        details = f"Container {self._container} successfully created and is running."
        self._state("Starting", "CreatingContainer", details)
        self._line(f"Container start method finished after {seconds * 1000:.0f} ms.")
        self._state("Starting", "InitiatingSiteWarmUpProbe")
        self._state("Starting", "WaitingForSiteWarmUpProbeSuccess", _PINGING)

    def probe_succeeded(self, container: str, seconds: float) -> None:
        text = f"Site startup probe succeeded after {seconds:.7f} seconds."
        self._line(text)
        self._state("Starting", "WarmUpProbeSucceeded", text)
        if self.has_login:
            self._state("Starting", "StartingAuthContainer")

    def started(self) -> None:
        self._is_beside = False
        self._line("Site started.")
        self._state("Started", "None", f"Site started at {moment()} (UTC)")

    def pull_failed(self, code: str, why: str) -> None:
        self._line(f"Container pull image failed with reason: {code}. Revert by terminate.")
        self._terminate_nothing()
        self._revert(_Error(code, moment(), why))

    def volume_failed(self, path: str) -> None:
        self._line(
            f"Volume: BYOS_FILES_{path.rpartition('/')[2]} cannot be mounted at {path} during "
            f"container: {self._container} startup. The volume mount is required. Terminate."
        )
        self._fail_to_start("VolumeMountFailure", _Error("BYOSFailure", moment(), _BROKEN_VOLUME))

    def create_failed(self, container: str, why: str) -> None:
        code = "ContainerStartupFailure"
        self._fail_to_start(code, _Error(code, moment(), why))

    def _fail_to_start(self, code: str, error: _Error) -> None:
        self._line(f"Container start up failed with reason: {code}. Revert by terminate.")
        self._terminate_nothing()
        self._revert(error)

    def exited_early(self, container: str, status: int, seconds: float, port: int) -> None:
        self._exit(container, status)
        self._revert(_Error("ContainerTimeout", moment(), _TIMEOUT), seconds)

    def _exit(self, container: str, status: int) -> None:
        self._line(f"Container has finished running with exit code: {status}.")
        self.stopping(container, 5)
        self.stopped(container, 0.1)

    def _revert(self, error: _Error, probed: float | None = None) -> None:
        """The start is reverted; nothing of its container is left."""
        self._terminated("ERR")
        if probed is not None:
            self._line(f"Site startup probe failed after {probed:.7f} seconds.")
        self._error = error
        self._state("Stopping", "CancellingStartup")
        self._line("Failed to start site. Revert by stopping site.")
        self._stop_states()
        self._line(f"Site: {self._name} stopped.")

    def _terminated(self, level: str) -> None:
        text = f"Site container: {self._container} terminated during site startup."
        self._line(text)
        details = f"{text} Cancelling site startup."
        self._state("Stopping", "CancellingStartup", details, level)

    def _terminate_nothing(self) -> None:
        """No process has been started yet."""
        self._line("Container is terminating. Grace period: 5 seconds.")
        self._is_terminated(0.002)

    def timed_out(self, container: str, seconds: float, port: int) -> None:
        self._line(f"Site startup probe failed after {seconds:.7f} seconds.")
        self._error = _Error("ContainerTimeout", moment(), _TIMEOUT)
        self._state("Starting", "WaitingForSiteWarmUpProbeSuccess", _PINGING, "ERR")
        self._line("Failed to start site. Revert by stopping site.")
        self._stop_states()

    def timed_out_ended(self) -> None:
        self._terminated("ERR")
        self._line(f"Site: {self._name} stopped.")
        if self.has_identity:
            companion = f"{self._container}_managedIdentity"
            self._line(f"Site container: {companion} terminated during site startup.")

    def exited(self, container: str, status: int) -> None:
        self._exit(container, status)
        self._stop_states()
        self._line(f"Site: {self._name} stopped.")

    def cancelled(self, step: str) -> None:
        if step != "probe":
            what = "pull image" if step == "pull" else "start up"
            self._line(f"Container {what} interrupted. Revert by terminate.")
            self._terminate_nothing()
        self._terminated("ERR")
        self._error = _Error("SiteStartupCancelled", moment())
        self._state("Stopping", "CancellingStartup", level="WARN")
        self._stop_states()
        self._line(f"Site: {self._name} stopped.")

    def stopping_site(self) -> None:
        self._stop_states()
        self._stops_kudu = bool(self._kudu)

    def _stop_states(self) -> None:
        self._state("Stopping", "StoppingSite")
        self._state("Stopping", "StoppingSiteContainers")

    def stopping(self, container: str, grace: float) -> None:
        self._lines(
            f"Container is terminating. Grace period: {grace:g} seconds.",
            "Stop and delete container. Retry count = 0",
            f"Stopping container: {container}.",
        )
        if self._stops_kudu:
            self._stops_kudu = False
            self._stop_kudu()

    def stopped(self, container: str, seconds: float) -> None:
        self._line(f"Deleting container: {container}. Retry count = 0")
        self._is_terminated(seconds)

    def _is_terminated(self, seconds: float) -> None:
        self._line("Container spec TerminationMessagePolicy  path ")
        self._line(f"Container is terminated. Total time elapsed: {seconds * 1000:.0f} ms.")

    def _stop_kudu(self) -> None:
        """Its lines come between those of the app's container."""
        kudu, self._kudu = self._kudu, ""
        self.stopping(kudu, 0)
        self.stopped(kudu, 0.263)
        self._line(f"Kudu: {self._name} stopped.")

    def site_stopped(self) -> None:
        self._line(f"Site: {self._name} stopped.")

    def down(self, blocked: float = 0.0) -> None:
        # Beside a container that serves, volumes and networks stay.
        if not self._is_beside:
            self._state("Stopping", "UnmountingVolumes")
            self._state("Stopping", "StoppingSiteNetworks")
        if blocked:
            self._until = moment(math.ceil(time.time() + blocked))
            span = "2 minutes" if blocked == 120 else f"{blocked:g} seconds"
            text = f"Site: {self._name} will be blocked for {span} till {self._until}"
            self._line(text)
            self._state("Blocked", "StoppingSiteNetworks", text, "WARN")
        self._details = f"Site stopped at {moment()} (UTC)"
        self._level = "WARN" if self._error.code else "INFO"
        if not self._is_beside:
            self._state("Stopped", "None")
        self._is_beside = False

    def still_blocked(self) -> None:
        details, level = self._details, self._level
        why = "Site is blocked due to multiple, consecutive cold start failures."
        until = f"Site scheduled to be unblocked at {self._until}"
        self._state("Blocked", "None", f"{why} {until}", "WARN")
        self._details, self._level = details, level
        self._line("Start site prohibitted because the site is being blocked.")

    def unblocked(self) -> None:
        self._line(f"Site: {self._name} is unblocked.")

    def _state(self, state: str, action: str, details: str = "", level: str = "") -> None:
        if details:
            self._details, self._level = details, level or "INFO"
        self._level = level or self._level
        self._line(
            f"State: {state}, Action: {action}, {self._error}, Details: {self._details}, "
            f"DetailsLevel: {self._level}"
        )

    def _line(self, text: str) -> None:
        self.log.platform(text)

    def _lines(self, *texts: str) -> None:
        for text in texts:
            self._line(text)
