"""One start of a container, as the lines of a container log show it. Pure."""

from __future__ import annotations

import math
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Start:
    """A start of any image, as the lines so far show it. Times are the log's, in seconds."""

    image: str
    began: float
    container: str = ""
    created: float | None = None
    started: float | None = None
    waited: float = 0.0
    answers: float | None = None
    ready: float | None = None
    failed: float | None = None
    cancelled: float | None = None
    stopping: float | None = None
    terminated: float | None = None
    stopped: float | None = None
    companions: set[str] = field(default_factory=set)
    is_probed: bool = False
    is_certain: bool = True
    is_told: bool = False
    has_ended: bool = False
    witnessed: bool = False
    exited: bool = False
    exit_status: int | None = None
    port: int | None = None
    probe_seconds: float | None = None
    pull: str | None = None
    volume: str = ""
    companion: str = ""
    error: str = ""

    @property
    def is_open(self) -> bool:
        """Whether it is under way."""
        return self.ready is None and self.failed is None and self.cancelled is None

    @property
    def is_pulling(self) -> bool:
        """Whether its container isn't there yet."""
        return self.is_open and self.created is None and self.started is None

    @property
    def ended(self) -> float:
        """When it ended or began to, as far as a line says so."""
        times = (self.failed, self.cancelled, self.stopping, self.terminated, self.stopped)
        return min((time for time in times if time is not None), default=math.inf)

    def is_of(self, image: str) -> bool:
        """Whether `image` is its image, which a line may name without the registry."""
        mine, other = self.image.lower(), image.lower()
        return mine == other or (bool(mine) and other.endswith(f"/{mine}"))

    def fail(self, time: float) -> None:
        """Marks it as failed, unless it has ended before."""
        if self.failed is None and self.cancelled is None:
            self.failed = time

    def reason(self, start_limit: float) -> str:
        """Why it failed: the most precise reason that the lines give."""
        on_port = f" on port {self.port}" if self.port else ""
        seconds = self.probe_seconds
        if seconds is None and self.started and self.failed:
            ran = self.failed - self.started
            seconds = ran if ran >= start_limit - 2 else None
        if self.exited:
            status = "" if self.exit_status is None else f" with status {self.exit_status}"
            return f"it exited{status}"
        if self.pull is not None:
            return "its image can't be pulled" + (f": {self.pull}" if self.pull else "")
        if self.volume:
            why = f": {self.error}" if self.error else ""
            return f"a volume can't be mounted at {self.volume}{why}"
        if self.companion:
            return f"App Service's own container {self.companion} fails"
        if seconds is not None and seconds < start_limit - 2:
            return f"its startup probe failed after {seconds:.1f} s"
        if seconds is not None:
            return f"it didn't answer{on_port} within {seconds:.0f} s"
        if self.port:
            return f"it doesn't answer{on_port}"
        return self.error or "its start failed"
