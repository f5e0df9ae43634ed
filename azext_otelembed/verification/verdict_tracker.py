"""What many looks at a site amount to: up, failed, or not to be told yet. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azext_otelembed.verification.log_evidence import LogEvidence

START_LIMIT = 230.0
"""Seconds that App Service gives a container to answer; the app setting below changes it."""
START_LIMIT_SETTING = "WEBSITES_CONTAINER_START_TIME_LIMIT"


@dataclass(frozen=True, slots=True)
class Pace:
    """How patiently a site is watched. Seconds, except `answers`.

    `interval` lies between looks. A new container that the log shows ready has to give `answers`
    answers in a row, over `settled` seconds. `blind` is how long answers are asked for when there
    is no log to tell that it is the new container that answers; twice that when there is a log
    and it shows nothing of the new image. After the log told of a failure App Service has
    `recovery` to start the container again, and then it has to stay up as long.
    """

    interval: float = 1.0
    answers: int = 3
    settled: float = 5.0
    blind: float = 30.0
    recovery: float = 20.0


PACE = Pace()


class VerdictTracker:
    """What the looks at a site amount to. `recovery` and `start_limit` are in seconds."""

    def __init__(self, pace: Pace, recovery: float, start_limit: float) -> None:
        self._pace = pace
        self._recovery = recovery
        self._start_limit = start_limit
        self._good_since: float | None = None
        self._first_fall: float | None = None
        self._last_fall = 0.0
        self._log: LogEvidence | None = None
        self._stopped = False
        self.now = 0.0
        self.good = 0
        self.failure = ""

    def see(self, now: float, log: LogEvidence | None, stopped: bool, answers: bool) -> None:
        """One look, at `now`."""
        falls = self._log.falls if self._log else 0
        self.now, self._stopped = now, stopped
        if log is not None and (log.failure or log.falls > falls):
            self.failure = log.failure or self.failure or "it exited"
            self._last_fall = now
            if self._first_fall is None:
                self._first_fall = now
        if log is not None and log.ready and not self.is_ready:
            # What has answered until now was the old container.
            self.good, self._good_since = 0, None
        self._log = log or self._log
        if answers and not stopped:
            self.good += 1
            self._good_since = self._good_since or now
        else:
            self.good, self._good_since = 0, None

    @property
    def is_up(self) -> bool:
        """Whether the new container has answered for long enough."""
        if self.good < self._pace.answers or self._good_since is None:
            return False
        if self.now - self._good_since < self._patience:
            return False
        return self._first_fall is None or self.now - self._last_fall >= self._recovery

    @property
    def has_failed(self) -> bool:
        """Whether it failed and didn't recover: it is still down, or it went down again."""
        if self._first_fall is None or self.now - self._first_fall < self._recovery:
            return False
        log = self._log
        return self._stopped or (log is not None and (bool(log.failure) or log.falls > 1))

    @property
    def is_ready(self) -> bool:
        """Whether the log shows the new container ready."""
        return self._log is not None and self._log.ready

    @property
    def _patience(self) -> float:
        """Seconds of good answers that are enough, given what the log shows."""
        if self._log is None:
            return self._pace.blind
        if self._log.ready:
            return self._pace.settled
        # Until the new container is ready, the old one answers.
        return self._start_limit if self._log.started else 2 * self._pace.blind


def start_limit(settings: Mapping[str, str]) -> float:
    """Seconds after which App Service has given up a container that doesn't answer."""
    given = settings.get(START_LIMIT_SETTING, "")
    return (float(given) if given.isdigit() else START_LIMIT) + 10
