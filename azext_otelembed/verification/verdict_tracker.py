"""The verdict that follows from repeated observations of a site: up, failed, or open. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from azext_otelembed.verification.log_evidence import LogEvidence

START_LIMIT = 230.0
"""Seconds within which App Service expects a container to answer; the app setting changes it."""
START_LIMIT_SETTING = "WEBSITES_CONTAINER_START_TIME_LIMIT"


@dataclass(frozen=True, slots=True)
class Pace:
    """Intervals and limits of the verification. Seconds, except `answers`.

    `interval` is the time between two observations. A new container that is ready according to the
    log has to give `answers` answers in a row, over `settled` seconds. Without a log, the site has
    to answer for `blind` seconds, since the old container may be the one that answers; twice that
    if the log shows nothing of the new image. After a failure in the log, App Service has
    `recovery` to start the container again, and the container then has to stay up as long. Where a
    write may not have started the site, it is started again after `idle` seconds without a sign.
    """

    interval: float = 1.0
    answers: int = 3
    settled: float = 5.0
    blind: float = 30.0
    recovery: float = 20.0
    idle: float = 30.0


PACE = Pace()


class VerdictTracker:
    """Takes observations of a site and gives the verdict so far.

    `recovery` and `start_limit` are in seconds.
    """

    def __init__(self, pace: Pace, recovery: float, start_limit: float) -> None:
        self._pace = pace
        self._recovery = recovery
        self._start_limit = start_limit
        self._answers_since: float | None = None
        self._first_failure: float | None = None
        self._last_failure = 0.0
        self._log: LogEvidence | None = None
        self._stopped = False
        self.now = 0.0
        self.answers = 0
        self.failure = ""

    def observe(self, now: float, log: LogEvidence | None, stopped: bool, answered: bool) -> None:
        """Takes one observation, made at `now` (monotonic seconds)."""
        failures = self._log.failures if self._log else 0
        self.now, self._stopped = now, stopped
        if log is not None and (log.failure or log.failures > failures):
            self.failure = log.failure or self.failure or "it exited"
            self._last_failure = now
            if self._first_failure is None:
                self._first_failure = now
        if log is not None and log.ready and not self.is_ready:
            # Until now the old container answered.
            self.answers, self._answers_since = 0, None
        self._log = log or self._log
        if answered and not stopped:
            self.answers += 1
            self._answers_since = self._answers_since or now
        else:
            self.answers, self._answers_since = 0, None

    @property
    def is_up(self) -> bool:
        """Whether the new container has answered for long enough."""
        if self.answers < self._pace.answers or self._answers_since is None:
            return False
        if self.is_unproven:
            return False
        if self.now - self._answers_since < self._required_seconds:
            return False
        return self._first_failure is None or self.now - self._last_failure >= self._recovery

    @property
    def has_failed(self) -> bool:
        """Whether the new container failed and didn't recover, or failed again."""
        if self._first_failure is None or self.now - self._first_failure < self._recovery:
            return False
        log = self._log
        return self._stopped or (log is not None and (bool(log.failure) or log.failures > 1))

    @property
    def is_ready(self) -> bool:
        """Whether the log shows the new container ready."""
        return self._log is not None and self._log.ready

    @property
    def is_unproven(self) -> bool:
        """Whether the site answers, and no log shows the new container."""
        shown = self._log is not None and self._log.started
        return self.answers > 0 and not self._stopped and not shown

    @property
    def _required_seconds(self) -> float:
        """Seconds over which the site has to answer, which depends on the log."""
        if self._log is None:
            return self._pace.blind
        if self._log.ready:
            return self._pace.settled
        # Until the new container is ready, the old one answers.
        return self._start_limit if self._log.started else 2 * self._pace.blind


def start_limit(settings: Mapping[str, str]) -> float:
    """Seconds after which App Service stops a container that doesn't answer."""
    given = settings.get(START_LIMIT_SETTING, "")
    return (float(given) if given.isdigit() else START_LIMIT) + 10
