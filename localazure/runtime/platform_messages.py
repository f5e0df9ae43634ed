"""The lines that App Service's platform writes about a site's containers.

The words are those of published logs of the present platform ("Site startup probe failed after
46.9 seconds."). Of the older platform only the sentence about HTTP pings is kept, which support
articles still quote.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from localazure.runtime.reference import Reference
from localazure.runtime.site_log import SiteLog

_NEVER = "01/01/0001 00:00:00"
_TIME = "%m/%d/%Y %H:%M:%S"


class PlatformMessages:
    """Writes the events of the site `name` on one worker to its log."""

    def __init__(self, name: str, log: SiteLog) -> None:
        self.name = name
        self.log = log

    def output(self, lines: Sequence[str]) -> None:
        """Lines of a container's output."""
        self.log.container(lines)

    def note(self, text: str) -> None:
        """A message of the double that App Service doesn't have."""
        self._line(f"localazure: {text}")

    def internal_error(self, error: BaseException) -> None:
        """An error of the double itself."""
        self.note(f"{type(error).__name__}: {error}")

    def pulling(self, image: str) -> None:
        """The start begins."""
        self._state("Starting", "StartingSiteContainers")
        self._line("Container start method called.")
        self._state("Starting", "PullingImage", details=f"Pulling image {image} for {self.name}.")
        self._line(f"Pulling image: {image}.")

    def pulled(self, image: str, registry: str) -> None:
        """The image was pulled."""
        self._line(f"Image {image} is pulled from registry {registry}")
        self._line("Container is starting.")

    def creating(self, container: str, image: str, reference: Reference) -> None:
        """The container is created."""
        short = f"{reference.repository}:{reference.version}"
        self._line(
            f"Creating container with image: {short} from registry: {reference.registry} "
            f"and fully qualified image name: {image}"
        )
        self._line(f"Starting container: {container}.")

    def running(self, container: str, elapsed: float) -> None:
        """The program runs; the startup probe begins."""
        self._line("Container is running.")
        self._line(f"Container start method finished after {elapsed * 1000:.0f} ms.")
        self._state(
            "Starting",
            "WaitingForSiteWarmUpProbeSuccess",
            details="Pinging warmup path to ensure container is ready to receive requests.",
        )

    def probe_succeeded(self, elapsed: float, container: str) -> None:
        """The startup probe got a response."""
        text = f"Site startup probe succeeded after {elapsed:.7f} seconds."
        self._line(text)
        self._state("Starting", "WarmUpProbeSucceeded", details=text)

    def started(self) -> None:
        """The container gets requests from now on."""
        self._line("Site started.")
        now = datetime.now(timezone.utc)
        self._state("Started", "None", details=f"Site started at {now:{_TIME}} (UTC)")

    def probe_failed(self, elapsed: float) -> None:
        """The startup probe got no response."""
        self._line(f"Site startup probe failed after {elapsed:.7f} seconds.")

    def exited(self, status: int) -> None:
        """The container ended by itself."""
        self._line(f"Container has finished running with exit code: {status}.")

    def start_failed(self, code: str, why: str) -> None:
        """The site is stopped because its container failed to start."""
        self._line(f"ERROR - {why}")
        self._state("Stopping", "CancellingStartup", code, why)
        self._line("Failed to start site. Revert by stopping site.")
        self._line(f"Site container: {self.name} terminated during site startup.")
        self._line(f"Site: {self.name} stopped.")

    def blocked(self, pause: float) -> None:
        """The next attempt has to wait."""
        until = datetime.now(timezone.utc) + timedelta(seconds=pause)
        self._line(f"Site: {self.name} will be blocked for {pause:g} seconds till {until:{_TIME}}")
        why = "Site is blocked due to multiple, consecutive cold start failures"
        self._state("Blocked", "None", details=why)

    def stopping(self, container: str, grace: float) -> None:
        """The container was sent its stop signal."""
        self._state("Stopping", "StoppingSiteContainers")
        self._line(f"Container is terminating. Grace period: {grace:g} seconds.")
        self._line(f"Stopping container: {container}.")

    def stopped(self, container: str, elapsed: float) -> None:
        """The container has ended."""
        self._line(f"Deleting container: {container}. Retry count = 0")
        self._line(f"Container is terminated. Total time elapsed: {elapsed * 1000:.0f} ms.")
        self._line(f"Site: {self.name} stopped.")

    def _state(
        self, state: str, action: str, error: str = "", why: str = "", details: str = ""
    ) -> None:
        when = f"{datetime.now(timezone.utc):{_TIME}}" if error else _NEVER
        level = "ERROR" if error else "INFO"
        self._line(
            f"State: {state}, Action: {action}, LastError: {error}, LastErrorTimestamp: {when}, "
            f"LastErrorDetails: {why}, Details: {details}, DetailsLevel: {level}"
        )

    def _line(self, text: str) -> None:
        self.log.platform(text)
