"""The verdict that follows from repeated observations of a site: up, failed, or open. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from azext_otelembed.verification.attempts import Attempt, Attempts, find_attempts
from azext_otelembed.verification.collector_log import CollectorLog, collector_log
from azext_otelembed.verification.container_log import ContainerLog
from azext_otelembed.verification.site_answer import Answer
from azext_otelembed.verification.time_limits import PULL_ALLOWANCE


class Verified(Enum):
    """The verdict so far."""

    OPEN = "not decided yet"
    UP = "the new container serves"
    WITHOUT_COLLECTOR = "the new container serves, but its collector doesn't run"
    FAILED = "the new container failed"
    UNPROVEN = "nothing shows the new container"


@dataclass(frozen=True, slots=True)
class Pace:
    """Intervals and limits of the verification. Seconds, except `answers`.

    `interval` is the time between two observations. The site has to give `answers` answers in a
    row, over `settled` seconds, after the old container has stopped. App Service stops it 20 s
    after the new one is ready, and that takes 5 to 12 s: where the log doesn't tell, `old_stops`
    seconds after ready. `start_margin` is how long after the start limit App Service may log that
    it has passed (1.4 s in the logs at hand, 22 s in azure-search-openai-demo#2405), `confirmed`
    how long a line that is not certain waits for the next one, `abandoned` after which time a
    cancelled start without another one is a failure, `idle` after which time without an attempt
    the site is started again where a write may not have done so. `pull_allowance` is granted for a
    pull that no log shows.
    """

    interval: float = 1.0
    answers: int = 3
    settled: float = 5.0
    old_stops: float = 35.0
    start_margin: float = 25.0
    confirmed: float = 1.0
    abandoned: float = 30.0
    idle: float = 30.0
    pull_allowance: float = PULL_ALLOWANCE
    swap_settles: float = 10.0


PACE = Pace()
SILENCES = 3
"""Unanswered requests in a row, while an attempt is under way, that show that no old container
serves: what answers afterwards is the new one."""


class VerdictTracker:
    """Takes observations of a site that is to run `image`, and gives the verdict so far.

    `after` is the log's time before the change: only attempts that began later count.
    `start_limit` is in seconds; `recipe` is the image's, if it is known. `attempts` is what the
    container log shows, None without one; `answers` counts answers of the app in a row; `reason`
    says why the verdict isn't UP. `collector` is what the log shows of the collector once the
    container serves; that of a recipe has to run. `is_without_collector`: only this is missing.

    With `starts_twice` a second write started the site again, and the first attempt may have failed
    because that write was still missing: an old image may not run with the new setting. So the
    first failure counts only if no attempt follows for `pace.abandoned` seconds, or if that one
    fails too.
    """

    def __init__(
        self,
        image: str,
        after: float,
        start_limit: float,
        pace: Pace = PACE,
        recipe: str = "",
        *,
        starts_twice: bool = False,
    ) -> None:
        self.attempts: Attempts | None = None
        self.collector = CollectorLog()
        self.is_without_collector = False
        self.answers = 0
        self.reason = ""
        self.log = ContainerLog()
        self._image = image
        self._recipe = recipe
        self._after = after
        self._start_limit = start_limit
        self._pace = pace
        self._starts_twice = starts_twice
        self._first_failure: Attempt | None = None
        self._now = 0.0
        self._answer = Answer.NONE
        self._states: Sequence[str] = ()
        self._seen: dict[tuple[float, str, str], float] = {}
        self._exit_seen: dict[float, float] = {}
        self._answers_since: float | None = None
        self._steady_since: float | None = None
        self._silences = 0
        self._newest_began = 0.0
        self._old_is_gone = False

    def observe(self, now: float, text: str, states: Sequence[str], answer: Answer) -> Verified:
        """Takes one look, at `now` (monotonic seconds): OPEN, UP, WITHOUT_COLLECTOR or FAILED.

        `text` is the container log, empty if there is none; `states` has the state of each
        instance, none if they aren't known.
        """
        self._now, self._states, self._answer = now, states, answer
        self.is_without_collector = False
        if text:
            self.log.update(text)
            self.attempts = find_attempts(
                self.log.events,
                self._image,
                self._after,
                self._start_limit,
                len(states),
                self._recipe,
            )
        current = self.attempts.current if self.attempts else ()
        if current and current[-1].began != self._newest_began:
            # The attempt before may be the one that answers now.
            self._newest_began, self._silences = current[-1].began, 0
            self._old_is_gone = False
        self._count_answers()
        if self._has_failed():
            return Verified.FAILED
        if not self._is_up():
            return Verified.OPEN
        self.is_without_collector = self._has_dead_collector()
        if not self.is_without_collector:
            return Verified.UP
        return Verified.WITHOUT_COLLECTOR if self.collector.is_decided else Verified.OPEN

    def at_deadline(self) -> Verified:
        """The verdict when the time is up and it is still open; with `reason`."""
        attempts = self.attempts
        if attempts is not None and attempts.failed and attempts.failed.is_certain:
            self.reason = f"the new container failed: {attempts.failed.reason}"
            return Verified.FAILED
        if self._any_stopped:
            self.reason = "an instance is stopped"
            return Verified.FAILED
        if self._answer is Answer.NONE:
            self.reason = "it doesn't answer"
            return Verified.FAILED
        if self.is_without_collector:
            pass
        elif attempts is None:
            self.reason = "Azure gives no container log, so that nothing shows the new container"
        elif not attempts.any_begun:
            self.reason = "the container log shows nothing of the new container"
        elif self._is_only_witnessed:
            self.reason = (
                "the container log shows the new image starting, but no line of App Service says "
                "that it is ready"
            )
        elif not self.is_ready and not self.log.has_gap:
            self.reason = "the container log doesn't show the new image ready"
            return Verified.FAILED
        elif not self.is_ready:
            self.reason = (
                "lines of the container log were missed, and it doesn't show the new image ready"
            )
        elif self._missing:
            ready = len(attempts.current)
            self.reason = f"the container log shows {ready} of {len(self._states)} instances ready"
        elif self._answers_since is None and self._answer is Answer.APP:
            self.reason = "it has not answered steadily for long enough"
            return Verified.FAILED
        else:
            self.reason = (
                "the new container is ready, but the old one may still be the one that answers"
            )
        return Verified.UNPROVEN

    @property
    def is_ready(self) -> bool:
        """Whether the log shows all containers of the new image ready that it shows at all."""
        attempts = self.attempts
        return (
            attempts is not None
            and bool(attempts.current)
            and all(one.ready is not None and one.stopped is None for one in attempts.current)
        )

    @property
    def collector_words(self) -> str:
        """What the log shows of the collector."""
        return self.collector.state

    @property
    def waits_for_old(self) -> bool:
        """Whether the new container is ready while the old one may still answer."""
        return self.is_ready and not self._old_is_gone

    @property
    def _missing(self) -> int:
        """How many instances the log shows nothing of."""
        return max(len(self._states) - len(self.attempts.current if self.attempts else ()), 0)

    @property
    def _is_only_witnessed(self) -> bool:
        """Whether the log shows nothing of the attempts but the launcher's line."""
        current = self.attempts.current if self.attempts else ()
        return bool(current) and all(map(_only_witnessed, current))

    @property
    def _any_stopped(self) -> bool:
        return "STOPPED" in self._states

    def _count_answers(self) -> None:
        if self._answer is Answer.NONE or self._any_stopped:
            self.answers, self._answers_since, self._steady_since = 0, None, None
            self._silences += not self.is_ready
        else:
            self.answers += self._answer is Answer.APP
            if self._answers_since is None:
                self._answers_since = self._steady_since = self._now
            if not self.is_ready and self._silences < SILENCES:
                self._silences = 0

    def _has_failed(self) -> bool:
        attempts = self.attempts
        if attempts is None:
            return False
        failed = attempts.failed
        if failed and (failed.is_certain or self._for(failed, "uncertain") >= self._pace.confirmed):
            self.reason = failed.reason
            if not self._awaits_another(failed, attempts):
                return True
        if (cancelled := attempts.abandoned) and self._for(
            cancelled, "cancelled"
        ) >= self._pace.abandoned:
            old_is_gone = any(time >= (cancelled.cancelled or 0) for time in attempts.old_stopped)
            if self._answer is Answer.NONE or (old_is_gone and len(self._states) <= 1):
                self.reason = "its start was cancelled, and no other one followed"
                return True
        for one in attempts.current:
            if one.started is None or one.ready is not None or _only_witnessed(one):
                continue
            limit = max(self._start_limit, one.waited) + self._pace.start_margin
            if self._for(one, "started") >= limit and not self.log.has_gap:
                self.reason = f"it didn't answer within {self._start_limit:.0f} s"
                return True
        return False

    def _awaits_another(self, failed: Attempt, attempts: Attempts) -> bool:
        """Whether another attempt may follow the first failed one; not if that was ready before."""
        if not self._starts_twice or failed.ready is not None:
            return False
        self._first_failure = first = self._first_failure or failed
        ended = first.failed or 0.0
        if failed.began >= ended:
            return False
        is_blocked = attempts.blocked_until is not None
        follows = any(one.began >= ended for one in attempts.current)
        return is_blocked or follows or self._for(first, "failed") < self._pace.abandoned

    def _is_up(self) -> bool:
        attempts = self.attempts
        if attempts is None or not attempts.current:
            return attempts is None and self._has_waited(self._pace.pull_allowance)
        if self._is_only_witnessed:
            limit = self._start_limit + self._pace.start_margin
            started = [self._for(one, "started") >= limit for one in attempts.current]
            return all(started) and self._has_waited(self._pace.start_margin)
        if not self.is_ready or attempts.failed or attempts.abandoned:
            self._old_is_gone = False
            return False
        if not self._old_is_gone and self._has_old_stopped(attempts):
            # Until now the old container may have answered.
            self._old_is_gone = True
            self.answers = int(self._answer is Answer.APP)
            self._answers_since = self._now if self._answers_since is not None else None
        if not self._old_is_gone or self._answers_since is None:
            return False
        if self._missing and not self._has_waited(self._pace.pull_allowance):
            return False
        asked = self._answer is not Answer.APP or self.answers >= self._pace.answers
        return asked and self._now - self._answers_since >= self._pace.settled

    def _has_dead_collector(self) -> bool:
        if not self._recipe:
            return False
        events = [one for one in self.log.events if one.time > self._after]
        self.collector = found = collector_log(self.log.text, self._recipe, events)
        if found.started is None:
            return False
        # This machine's clock may differ from that of the log.
        seen = self._exit_seen.setdefault(found.last, self._now)
        now = found.last + self._now - seen
        if not found.is_dead(now):
            return False
        self.reason = f"its collector doesn't run: {found.summary}"
        return True

    def _has_waited(self, allowance: float) -> bool:
        """Whether the app has answered steadily through the start limit and `allowance` seconds.

        The front door's answers, or none from here, show nothing.
        """
        if self._steady_since is None or self._answer is not Answer.APP:
            return False
        return self._now - self._steady_since >= allowance + self._start_limit

    def _has_old_stopped(self, attempts: Attempts) -> bool:
        ready = [one.ready or 0.0 for one in attempts.current]
        if self._silences >= SILENCES:
            return True
        gone = [time for time in attempts.old_stopped if time >= min(ready)]
        if len(gone) >= len(ready):
            return True
        # Each one's time counts from now on, not only once the one before it has waited.
        waited = [self._for(one, "ready") for one in attempts.current]
        return min(waited) >= self._pace.old_stops

    def _for(self, attempt: Attempt, state: str) -> float:
        """Seconds for which an attempt has been seen in a state."""
        key = (attempt.began, attempt.container, state)
        return self._now - self._seen.setdefault(key, self._now)


def _only_witnessed(attempt: Attempt) -> bool:
    """Whether the launcher's line is all that the log shows of an attempt."""
    return attempt.witnessed and not attempt.container
