"""Whether a site came up with its image: a verdict from evidence, each piece of it named."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azext_otelembed.errors import OtelembedError
from azext_otelembed.image.reference import same_image
from azext_otelembed.parallel import together
from azext_otelembed.verification.log_evidence import LogEvidence, last_stamp, read_log
from azext_otelembed.verification.log_tail import secrets_of
from azext_otelembed.verification.verdict_tracker import PACE, Pace, VerdictTracker, start_limit
from azext_otelembed.webapp.observe import SETTING, current_image

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.azure.sites import SiteClient
    from azext_otelembed.webapp.observe import Observed


@dataclass(frozen=True, slots=True)
class Ping:
    """One request to the site: its status, or why there is none."""

    status: int | None
    problem: str = ""

    @property
    def good(self) -> bool:
        """Whether the app answers: any status below 500."""
        return self.status is not None and self.status < 500

    def __str__(self) -> str:
        return f"HTTP {self.status}" if self.status is not None else self.problem


@dataclass(frozen=True, slots=True)
class Verdict:
    """`evidence` holds each piece seen, in words, and what couldn't be seen."""

    healthy: bool
    reason: str
    evidence: dict[str, str]
    log: tuple[str, ...] = ()


def ping(session: Session, host: str, path: str) -> Ping:
    """Asks the site's own host name, without following redirects.

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
    except requests.Timeout:
        return Ping(None, "no answer in 15 s")
    except requests.exceptions.SSLError:
        return Ping(None, "its certificate isn't trusted (see REQUESTS_CA_BUNDLE)")
    except requests.RequestException:
        return Ping(None, "no connection")
    answer.close()
    return Ping(answer.status_code)


def look(session: Session, client: SiteClient, observed: Observed, health_path: str) -> Verdict:
    """One look at a site that shouldn't have changed: its instances, and whether it answers."""
    instances, answer = together(
        lambda: _Instances.of(client), lambda: ping(session, observed.host, health_path)
    )
    evidence = {"instances": str(instances), "http": f"{answer} on {health_path}"}
    if instances.one_is_stopped:
        reason = "an instance is stopped"
    elif not answer.good:
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
    after: str,
    health_path: str,
    timeout: float,
    say: Callable[[str], None],
    pace: Pace = PACE,
    written: str | None = None,
) -> Verdict:
    """Waits until the site runs `image` and answers steadily, `timeout` seconds at most.

    `after` is the container log's newest time before the change: only what is newer counts.
    `written` is the connection string that was set after `observed`: no log line may show it.
    """
    secrets = secrets_of(observed.settings) + secrets_of({SETTING: written or ""})
    deadline = time.monotonic() + timeout
    tracker = VerdictTracker(pace, min(pace.recovery, timeout / 2), start_limit(observed.settings))
    configured = _Configured(client, observed, image)
    while True:
        if not configured.yes:
            configured.look()
        text, instances, answer = together(
            lambda: _log(client),
            lambda: _Instances.of(client),
            lambda: ping(session, observed.host, health_path),
        )
        log = read_log(text, image, after, secrets, len(instances.states)) if text else None
        tracker.see(time.monotonic(), log, instances.one_is_stopped, answer.good)
        up = configured.yes and tracker.is_up
        if up:
            # Somebody else may have pointed the site elsewhere since it was read.
            configured.look()
        evidence = {
            "configuration": str(configured),
            "instances": str(instances),
            "log": _log_words(log),
            "http": f"{answer} on {health_path}"
            + (f", {tracker.good} in a row" * (tracker.good > 1)),
        }
        tail = log.tail if log else ()
        if up and configured.yes:
            return Verdict(True, "", evidence, tail)
        if tracker.has_failed:
            return Verdict(False, f"the new container failed: {tracker.failure}", evidence, tail)
        if tracker.now >= deadline:
            reason = _late(timeout, configured, instances, tracker, answer)
            return Verdict(False, reason, evidence, tail)
        say(_now(configured, log, answer))
        time.sleep(min(pace.interval, max(deadline - time.monotonic(), 0)))


class _Configured:
    """Whether the site's configuration reads back as written."""

    def __init__(self, client: SiteClient, observed: Observed, image: str) -> None:
        self._client = client
        self._observed = observed
        self._image = image
        self._told = "doesn't read back yet"
        self.yes = False

    def look(self) -> None:
        """Reads it again. What can't be read now may be readable at the next look."""
        try:
            found = current_image(self._client, self._observed)
        except OtelembedError as unseen:
            self._told = f"not seen: {unseen.message}"
            self.yes = False
            return
        self.yes = same_image(found, self._image)
        self._told = self._image if self.yes else f"doesn't read back: it is {found or 'none'}"

    def __str__(self) -> str:
        return self._told


@dataclass(frozen=True, slots=True)
class _Instances:
    """The state of each of the site's instances, or why they can't be seen."""

    states: tuple[str, ...]
    problem: str = ""

    @classmethod
    def of(cls, client: SiteClient) -> _Instances:
        try:
            return cls(tuple(state for _, state in client.instances()))
        except OtelembedError as unseen:
            return cls((), unseen.message)

    @property
    def one_is_stopped(self) -> bool:
        return "STOPPED" in self.states

    def __str__(self) -> str:
        if self.problem:
            return f"not seen: {self.problem}"
        counts = ((self.states.count(state), state) for state in sorted(set(self.states)))
        return ", ".join(f"{count} {state}" for count, state in counts) or "none listed"


def _log(client: SiteClient) -> str:
    """The container log; empty when there is none to see."""
    try:
        return client.container_log()
    except OtelembedError:
        return ""


def newest_stamp(client: SiteClient) -> str:
    """The time of the container log's newest line; empty when there is none to see."""
    return last_stamp(_log(client))


def _log_words(log: LogEvidence | None) -> str:
    if log is None:
        return "not seen: Azure gave no container log"
    if log.failure:
        return f"the new container failed: {log.failure}"
    if log.ready:
        return "the new image started and is ready"
    return "the new image is starting" if log.started else "nothing of the new image yet"


def _now(configured: _Configured, log: LogEvidence | None, answer: Ping) -> str:
    if not configured.yes:
        return "waiting for the configuration to read back"
    return f"{_log_words(log)}; {answer}"


def _late(
    timeout: float,
    configured: _Configured,
    instances: _Instances,
    tracker: VerdictTracker,
    answer: Ping,
) -> str:
    seconds = f"after {timeout:.0f} s"
    if not configured.yes:
        return f"{seconds} its configuration {configured}"
    if tracker.failure:
        return f"the new container failed: {tracker.failure}"
    if instances.one_is_stopped:
        return f"{seconds} an instance is stopped"
    if not answer.good:
        return f"{seconds} it doesn't answer: {answer}"
    if tracker.is_ready:
        return f"{seconds} it has not answered steadily for long enough"
    return f"{seconds} the container log doesn't show the new image ready"
