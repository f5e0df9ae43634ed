"""Verifies that a site runs its image and answers: a verdict, with each piece of evidence."""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

from azext_otelembed.azure.clock import Clock
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.deadline import CLOSING
from azext_otelembed.errors import OtelembedError
from azext_otelembed.image.reference import same_image
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.verification import platform_log
from azext_otelembed.verification.attempts import Attempts
from azext_otelembed.verification.collector_log import collector_log
from azext_otelembed.verification.log_tail import log_tail
from azext_otelembed.verification.platform_log import stamp_time
from azext_otelembed.verification.site_answer import Answer, AnswerReader, ping
from azext_otelembed.verification.time_limits import start_limit
from azext_otelembed.verification.verdict_tracker import PACE, Pace, VerdictTracker, Verified
from azext_otelembed.webapp.observe import Observed, current_image

CLOCKS_DIFFER = timedelta(seconds=120)
"""By how much this machine's clock may be ahead of Azure's where no log line gives the time."""
LONGEST_LOOK = 60.0
"""Seconds for each thing that is looked at: one that hangs must not use up the time of all."""
LONGEST_BLOCK = 300
"""Seconds by which a block of the site's starts may delay a way back: 120, and some 65 until App
Service starts the site, in recorded logs."""
AFTER_BLOCK = 90.0
"""Seconds after the end of a block within which App Service starts the site: 62 to 66 in the
recorded logs."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`healthy` is None if the time is up, the site answers, and nothing shows the new container.

    It is also None if the container serves, and its collector doesn't run (`without_collector`).
    `evidence` describes each observation, and the ones that couldn't be made.
    """

    healthy: bool | None
    reason: str
    evidence: dict[str, str]
    log: tuple[str, ...] = ()
    without_collector: bool = False

    @property
    def summary(self) -> str:
        """The line that a step ends with."""
        return self.evidence["http"] if self.healthy else self.reason


def verdict_result(verdict: Verdict | None) -> dict[str, Any]:
    """The fields of a verdict in a command's result; None if the site was not verified."""
    return {
        "healthy": verdict.healthy if verdict else None,
        "reason": (verdict.reason or None) if verdict else None,
        "evidence": verdict.evidence if verdict else {},
    }


def look(session: Session, client: SiteClient, observed: Observed, health_path: str) -> Verdict:
    """Checks once whether a site that wasn't changed is healthy: its instances and its answer."""
    instances, answer = run_concurrently(
        lambda: _Instances.of(client), lambda: ping(session, observed.host, health_path)
    )
    answers = AnswerReader(client, observed, health_path, reachable=False)
    kind = answers.classify(answer)
    evidence = {"instances": str(instances), "http": answers.describe(answer, kind)}
    if instances.any_stopped:
        reason = "an instance is stopped"
    elif kind is Answer.UNREACHABLE and not instances.states:
        return Verdict(None, f"this machine can't reach it: {answer}", evidence)
    elif kind is Answer.NONE:
        reason = f"it doesn't answer on {health_path}: {answer}"
    else:
        return Verdict(True, "", evidence)
    tail = log_tail(log_or_empty(client), 0.0, None, session.secrets)
    return Verdict(False, reason, evidence, tail)


def with_collector(verdict: Verdict, text: str, recipe: str, session: Session) -> Verdict:
    """The verdict on a site that wasn't changed, with what its container log tells of the collector
    of `recipe` (empty without one).
    """
    found, now = collector_log(text, recipe), session.clock.now()
    if not recipe or not verdict.healthy:
        return verdict
    if not found.is_dead(now):
        return replace(verdict, evidence={**verdict.evidence, "collector": found.state})
    reason = session.secrets.brief(f"its collector doesn't run: {found.summary}")
    evidence = {**verdict.evidence, "collector": found.state}
    return Verdict(None, reason, evidence, without_collector=True)


def verify(
    session: Session,
    client: SiteClient,
    observed: Observed,
    image: str,
    *,
    log_since: str,
    health_path: str,
    timeout: float,
    say: Callable[[str], None],
    spent: float = 0.0,
    pace: Pace = PACE,
    reachable: bool = True,
    recipe: str = "",
    restart: Callable[[], None] | None = None,
    is_way_back: bool = False,
    starts_twice: bool = False,
) -> Verdict:
    """Waits until the site runs `image` and answers steadily, `timeout` seconds at most.

    `spent` of these seconds are over already. `log_since` is the container log's newest time before
    the change: only attempts to start the image that began later count. Without `reachable`, this
    machine could not reach the site before the change. `recipe` is that of the image, if its
    collector has to run. `restart` is called once if the log shows no attempt for `pace.idle`
    seconds. `is_way_back`: the image from before is restored. Then a block of the site's starts
    doesn't count, and the old container isn't waited for: if it still answers, it has the same
    image.
    `starts_twice`: see `VerdictTracker`.
    """
    return _Verification(
        session,
        client,
        observed,
        image,
        stamp_time(log_since) if log_since else 0.0,
        AnswerReader(client, observed, health_path, reachable=reachable),
        replace(pace, old_stops=0.0) if is_way_back else pace,
        recipe,
        restart,
        waits_for_block=is_way_back,
        starts_twice=starts_twice,
    ).run(timeout, spent, say)


@dataclass(slots=True)
class _Verification:
    session: Session
    client: SiteClient
    observed: Observed
    image: str
    after: float
    answers: AnswerReader
    pace: Pace
    recipe: str
    restart: Callable[[], None] | None
    waits_for_block: bool
    starts_twice: bool

    def run(self, timeout: float, spent: float, say: Callable[[str], None]) -> Verdict:
        """Looks until there is a verdict."""
        began = time.monotonic()
        deadline = began + timeout - spent
        # The last look at the site begins when the time is up.
        self.session.deadline.extend(timeout - spent + CLOSING)
        limit = start_limit(self.observed.settings)
        tracker = VerdictTracker(
            self.image,
            self.after,
            limit,
            self.pace,
            self.recipe,
            starts_twice=self.starts_twice,
        )
        configuration = _Configuration(self.client, self.observed, self.image)
        while True:
            if not configuration.matches:
                configuration.read()
            text, instances, answer = run_concurrently(
                lambda: log_or_empty(self.client),
                lambda: _Instances.of(self.client),
                lambda: ping(self.session, self.observed.host, self.answers.path),
            )
            kind = self.answers.classify(answer)
            verified = tracker.observe(time.monotonic(), text, instances.states, kind)
            if verified in (Verified.UP, Verified.WITHOUT_COLLECTOR):
                # Another process may have changed the image since it was read.
                configuration.read()
            evidence = _evidence(tracker, configuration, instances)
            evidence["http"] = self.answers.describe(answer, kind)
            evidence["http"] += f", {tracker.answers} in a row" * (tracker.answers > 1)
            ended = functools.partial(self._verdict, tracker, evidence)
            if verified is Verified.UP and configuration.matches:
                return ended(True, "")
            if verified is Verified.WITHOUT_COLLECTOR and configuration.matches:
                return ended(None, tracker.reason)
            if verified is Verified.FAILED:
                return ended(False, f"the new container failed: {tracker.reason}")
            now = time.monotonic()
            if self.waits_for_block and tracker.attempts and tracker.attempts.blocked_until:
                blocked = now + _rest(tracker.attempts, self.session.clock) + AFTER_BLOCK + limit
                # The record of the release lasts no longer.
                longest = began + timeout - spent + LONGEST_BLOCK
                deadline = max(deadline, min(blocked, longest))
                self.session.deadline.extend(deadline - now + CLOSING)
            if now >= deadline:
                healthy, why = _at_deadline(tracker, configuration)
                if configuration.matches and kind is Answer.NONE:
                    why += f": {answer}"
                return ended(healthy, f"after {timeout:.0f} s {why}")
            self._restart_if_idle(tracker, now - began)
            if configuration.matches:
                what = "collector" if tracker.is_without_collector else "log"
                old = ", the old container may still answer" if tracker.waits_for_old else ""
                say(f"{self.session.secrets.brief(evidence[what])}{old}; {answer}")
            else:
                say("waiting for the configuration to read back")
            time.sleep(min(self.pace.interval, max(deadline - now, 0)))

    def _restart_if_idle(self, tracker: VerdictTracker, seconds: float) -> None:
        begun = tracker.attempts is not None and tracker.attempts.any_begun
        if self.restart and not begun and seconds >= self.pace.idle:
            restart, self.restart = self.restart, None
            restart()

    def _verdict(
        self,
        tracker: VerdictTracker,
        evidence: dict[str, str],
        healthy: bool | None,
        reason: str,
    ) -> Verdict:
        attempts = tracker.attempts or Attempts()
        failed = attempts.failed
        start = (failed.began, failed.failed) if failed and failed.failed else None
        if start is None and healthy is not True and attempts.current:
            start = (attempts.current[0].began, math.inf)
        # What the app said last may reach the log after the platform's lines.
        text = (log_or_empty(self.client) if healthy is False else "") or tracker.log.text
        tail = log_tail(text, self.after, start, self.session.secrets)
        shown = {name: self.session.secrets.brief(words) for name, words in evidence.items()}
        missing = healthy is None and tracker.is_without_collector and tracker.reason in reason
        return Verdict(healthy, self.session.secrets.brief(reason), shown, tail, missing)


def _evidence(
    tracker: VerdictTracker, configuration: _Configuration, instances: _Instances
) -> dict[str, str]:
    words = {
        "configuration": configuration.words,
        "instances": str(instances),
        "log": _log_words(tracker),
    }
    is_known = tracker.collector.started is not None
    return {**words, "collector": tracker.collector_words} if is_known else words


def _at_deadline(tracker: VerdictTracker, configuration: _Configuration) -> tuple[bool | None, str]:
    """The verdict's `healthy` when the time is up, and why."""
    if not configuration.matches:
        # What can't be read proves neither.
        healthy = None if configuration.is_unread else False
        return healthy, f"its configuration {configuration.words}"
    is_unproven = tracker.at_deadline() is Verified.UNPROVEN
    return None if is_unproven else False, tracker.reason


def _rest(attempts: Attempts, clock: Clock) -> float:
    """Seconds until the end of a block; negative after it, though no line says that it ended."""
    return (attempts.blocked_until or 0.0) - clock.now()


@dataclass(slots=True)
class _Configuration:
    client: SiteClient
    observed: Observed
    image: str
    matches: bool = False
    is_unread: bool = False
    words: str = "doesn't read back yet"

    def read(self) -> None:
        """Reads the image again. An error counts as no match: the next read may succeed."""
        try:
            with self.client.deadline.limited(LONGEST_LOOK):
                found = current_image(self.client, self.observed)
        except OtelembedError as unseen:
            self.matches, self.is_unread = False, True
            self.words = f"not seen: {unseen.message}"
            return
        self.is_unread = False
        self.matches = same_image(found, self.image)
        self.words = self.image if self.matches else f"doesn't read back: it is {found or 'none'}"


@dataclass(frozen=True, slots=True)
class _Instances:
    """The state of each of the site's instances, or why they can't be read."""

    states: tuple[str, ...]
    problem: str = ""

    @classmethod
    def of(cls, client: SiteClient) -> _Instances:
        try:
            with client.deadline.limited(LONGEST_LOOK):
                return cls(client.instances())
        except OtelembedError as unseen:
            return cls((), unseen.message)

    @property
    def any_stopped(self) -> bool:
        return "STOPPED" in self.states

    def __str__(self) -> str:
        if self.problem:
            return f"not seen: {self.problem}"
        counts = ((self.states.count(state), state) for state in sorted(set(self.states)))
        return ", ".join(f"{count} {state}" for count, state in counts) or "none listed"


def log_or_empty(client: SiteClient) -> str:
    """The container log; empty if there is none, or if it can't be read."""
    try:
        with client.deadline.limited(LONGEST_LOOK):
            return client.container_log()
    except OtelembedError:
        return ""


def newest_stamp(client: SiteClient) -> str:
    """The time of the container log's newest line; this machine's, with a margin, without one."""
    now = datetime.now(timezone.utc)
    # A line without a stamp of Azure's may begin with any time that the app writes.
    latest = (now + timedelta(days=1)).timestamp()
    stamp = platform_log.newest_stamp(log_or_empty(client), latest)
    return stamp or stamp_before(now)


def stamp_before(moment: datetime) -> str:
    """A time by Azure's clock that is not later than `moment` by this machine's."""
    return f"{moment - CLOCKS_DIFFER:%Y-%m-%dT%H:%M:%S}Z"


def _log_words(tracker: VerdictTracker) -> str:
    attempts = tracker.attempts
    if attempts is None:
        return "not seen: Azure gave no container log"
    if attempts.failed:
        words = f"the new container failed: {attempts.failed.reason}"
    elif tracker.is_ready:
        words = "the new image started and is ready"
    else:
        begun = attempts.any_begun
        words = "the new image is starting" if begun else "nothing of the new image yet"
    if attempts.blocked_until and not tracker.is_ready:
        until = datetime.fromtimestamp(attempts.blocked_until, timezone.utc)
        words += f"; App Service blocks further starts until {until:%H:%M:%S} UTC"
    return words
