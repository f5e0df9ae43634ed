"""Verifies that a site runs its image and answers: a verdict, with each piece of evidence."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.errors import OtelembedError
from azext_otelembed.image.reference import same_image
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.verification.log_evidence import LogEvidence, last_stamp, read_log
from azext_otelembed.verification.log_tail import secrets_of
from azext_otelembed.verification.verdict_tracker import PACE, Pace, VerdictTracker, start_limit
from azext_otelembed.webapp.observe import SETTING, Observed, current_image


@dataclass(frozen=True, slots=True)
class Ping:
    """One request to the site: the HTTP status, or why there is no answer.

    `unreachable`: no connection came about, so that this says nothing of the site.
    """

    status: int | None
    problem: str = ""
    unreachable: bool = False

    @property
    def answered(self) -> bool:
        """Whether the app answered: with any status below 500."""
        return self.status is not None and self.status < 500

    def __str__(self) -> str:
        return f"HTTP {self.status}" if self.status is not None else self.problem


@dataclass(frozen=True, slots=True)
class Verdict:
    """`healthy` is None if the time is up, the site answers, and nothing shows the new container.

    `evidence` describes each observation, and the ones that couldn't be made. `blocked_until` is
    when App Service, after repeated failures, starts the site again.
    """

    healthy: bool | None
    reason: str
    evidence: dict[str, str]
    log: tuple[str, ...] = ()
    blocked_until: datetime | None = None

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


def ping(session: Session, host: str, path: str) -> Ping:
    """Sends one request to the site's own host name, without following redirects.

    An answer that takes longer than 15 seconds counts as none.
    """
    import requests

    verify = session.transport.get("connection_verify", True)
    headers = {"User-Agent": session.user_agent}
    try:
        answer = requests.get(
            f"https://{host}{path}",
            headers=headers,
            timeout=15,
            allow_redirects=False,
            stream=True,
            **({} if verify is True else {"verify": verify}),
        )
    except requests.exceptions.ConnectTimeout:
        return Ping(None, "no connection in 15 s", unreachable=True)
    except requests.Timeout:
        return Ping(None, "no answer in 15 s")
    except requests.exceptions.SSLError:
        problem = "its certificate isn't trusted (see REQUESTS_CA_BUNDLE)"
        return Ping(None, problem, unreachable=True)
    except requests.exceptions.ProxyError:
        return Ping(None, "the proxy refuses the connection", unreachable=True)
    except requests.RequestException as error:
        # A connection that was there and broke is the site's own doing.
        broken = "RemoteDisconnected" in repr(error) or "reset by peer" in repr(error)
        return Ping(None, "no connection", unreachable=not broken)
    answer.close()
    return Ping(answer.status_code)


def look(session: Session, client: SiteClient, observed: Observed, health_path: str) -> Verdict:
    """Checks once whether a site that wasn't changed is healthy: its instances and its answer."""
    instances, answer = run_concurrently(
        lambda: _Instances.of(client), lambda: ping(session, observed.host, health_path)
    )
    evidence = {"instances": str(instances), "http": f"{answer} on {health_path}"}
    if instances.any_stopped:
        reason = "an instance is stopped"
    elif not answer.answered:
        reason = f"it doesn't answer on {health_path}: {answer}"
    else:
        return Verdict(True, "", evidence)
    log = read_log(_log(client), observed.image, "", secrets_of(observed.settings))
    return Verdict(False, reason, evidence, log.tail)


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
    pace: Pace = PACE,
    written: str | None = None,
    reachable: bool = True,
    restart: Callable[[], None] | None = None,
) -> Verdict:
    """Waits until the site runs `image` and answers steadily, `timeout` seconds at most.

    `log_since` is the container log's newest time before the change: only newer lines count.
    `written` is the connection string that was set after `observed`: no log line may show it.
    Without `reachable`, this machine could not reach the site before the change. `restart` is
    called once if the log shows nothing of the image for `pace.idle` seconds.
    """
    secrets = secrets_of(observed.settings) + secrets_of({SETTING: written or ""})
    deadline = (began := time.monotonic()) + timeout
    tracker = VerdictTracker(pace, min(pace.recovery, timeout / 2), start_limit(observed.settings))
    configuration = _Configuration(client, observed, image)
    while True:
        if not configuration.matches:
            configuration.read()
        text, instances, answer = run_concurrently(
            lambda: _log(client),
            lambda: _Instances.of(client),
            lambda: ping(session, observed.host, health_path),
        )
        log = read_log(text, image, log_since, secrets, len(instances.states)) if text else None
        answered = answer.answered or (answer.unreachable and not reachable)
        tracker.observe(time.monotonic(), log, instances.any_stopped, answered)
        if up := configuration.matches and tracker.is_up:
            configuration.read()  # Another process may have changed the image since.
        http = _http_words(answer, health_path, tracker)
        evidence = _evidence(configuration.words, instances, log, http)
        tail = log.tail if log else ()
        if up and configuration.matches:
            return Verdict(True, "", evidence, tail)
        if tracker.has_failed:
            return Verdict(False, f"the new container failed: {tracker.failure}", evidence, tail)
        if tracker.now >= deadline:
            reason = _timed_out(timeout, configuration, instances, tracker, answer)
            unproven = configuration.matches and tracker.is_unproven
            return Verdict(None if unproven else False, reason, evidence, tail)
        if restart and tracker.is_unproven and tracker.now - began >= pace.idle:
            restart()
            restart = None
        if configuration.matches:
            say(f"{_log_words(log)}; {answer}")
        else:
            say("waiting for the configuration to read back")
        time.sleep(min(pace.interval, max(deadline - time.monotonic(), 0)))


@dataclass(slots=True)
class _Configuration:
    client: SiteClient
    observed: Observed
    image: str
    matches: bool = False
    words: str = "doesn't read back yet"

    def read(self) -> None:
        """Reads the image again. An error counts as no match: the next read may succeed."""
        try:
            found = current_image(self.client, self.observed)
        except OtelembedError as unseen:
            self.matches, self.words = False, f"not seen: {unseen.message}"
            return
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


def _log(client: SiteClient) -> str:
    """The container log; empty if there is none, or if it can't be read."""
    try:
        return client.container_log()
    except OtelembedError:
        return ""


def newest_stamp(client: SiteClient) -> str:
    """The time of the container log's newest line; empty if there is none."""
    return last_stamp(_log(client))


def _evidence(
    configuration: str, instances: _Instances, log: LogEvidence | None, http: str
) -> dict[str, str]:
    return {
        "configuration": configuration,
        "instances": str(instances),
        "log": _log_words(log),
        "http": http,
    }


def _http_words(answer: Ping, path: str, tracker: VerdictTracker) -> str:
    return f"{answer} on {path}" + (f", {tracker.answers} in a row" * (tracker.answers > 1))


def _log_words(log: LogEvidence | None) -> str:
    if log is None:
        return "not seen: Azure gave no container log"
    if log.failure:
        return f"the new container failed: {log.failure}"
    if log.ready:
        return "the new image started and is ready"
    return "the new image is starting" if log.started else "nothing of the new image yet"


def _timed_out(
    timeout: float,
    configuration: _Configuration,
    instances: _Instances,
    tracker: VerdictTracker,
    answer: Ping,
) -> str:
    seconds = f"after {timeout:.0f} s"
    if not configuration.matches:
        return f"{seconds} its configuration {configuration.words}"
    if tracker.failure:
        return f"the new container failed: {tracker.failure}"
    if instances.any_stopped:
        return f"{seconds} an instance is stopped"
    if not answer.answered:
        return f"{seconds} it doesn't answer: {answer}"
    if tracker.is_ready:
        return f"{seconds} it has not answered steadily for long enough"
    return f"{seconds} the container log doesn't show the new image ready"
