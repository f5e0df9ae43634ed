"""The attempts to start the released image that a container log shows. Pure.

An attempt is one start of the image: from the first line that names it to ready, failed or
cancelled. With several instances each attempt counts by its container.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from azext_otelembed.verification.platform_log import Event
from azext_otelembed.verification.start import Start
from azext_otelembed.verification.start_log import StartLog


@dataclass(frozen=True, slots=True)
class Attempt:
    """One start of the released image. Times are the log's, in seconds since the epoch.

    The start limit counts from `started`; `waited` is for how many seconds App Service says that it
    has waited. `failed` is when it failed, and `reason` why; without `is_certain` the log doesn't
    yet tell whose failure it is. `witnessed`: the launcher's own line says that the image runs.
    `stopped`: it was ready and is stopped, or replaced.
    """

    container: str
    began: float
    started: float | None = None
    waited: float = 0.0
    ready: float | None = None
    failed: float | None = None
    cancelled: float | None = None
    stopped: float | None = None
    reason: str = ""
    is_certain: bool = True
    witnessed: bool = False


@dataclass(frozen=True, slots=True)
class Attempts:
    """What a log shows of the released image.

    `current` has the attempts that count: those neither failed nor cancelled, of each instance the
    newest. `failed` is the first failure that no later attempt has made good, `abandoned` an
    attempt that was cancelled while no other follows. `old_stopped`: when other containers were
    stopped since the first attempt began. `blocked_until`: when App Service starts the site again,
    if that isn't before the change.
    """

    current: tuple[Attempt, ...] = ()
    failed: Attempt | None = None
    abandoned: Attempt | None = None
    old_stopped: tuple[float, ...] = ()
    blocked_until: float | None = None

    @property
    def any_begun(self) -> bool:
        """Whether the log shows anything of the image."""
        return bool(self.current or self.failed or self.abandoned)


def find_attempts(
    events: Iterable[Event],
    image: str,
    after: float,
    start_limit: float,
    instances: int = 0,
    recipe: str = "",
) -> Attempts:
    """The attempts to start `image` that began after `after`.

    `events` are sorted by time. `start_limit` is in seconds. `instances` is how many the site has,
    0 if that isn't known: more attempts than that replace each other. `recipe` is the digest of the
    image's recipe, whose first digits its launcher writes; the image's tag may end with them too.
    """
    log = StartLog(image, recipe)
    for event in events:
        log.take(event)
    ours = [start for start in log.starts if start.is_of(image) and start.began > after]
    # A change of the site may end a block without a line.
    is_blocked = log.blocked_until is not None and log.blocked_until > after
    blocked_until = log.blocked_until if is_blocked else None
    if not ours:
        return Attempts(blocked_until=blocked_until)
    log.suspect(ours)
    attempts = [_attempt(start, start_limit) for start in ours]
    current = _current(attempts, instances)
    kept = {one.container for one in current}
    began = attempts[0].began
    gone = [time for time, container in log.stopped if time >= began and container not in kept]
    failed, abandoned = _failed(attempts), _abandoned(attempts)
    return Attempts(current, failed, abandoned, tuple(gone), blocked_until)


def _current(attempts: Sequence[Attempt], instances: int) -> tuple[Attempt, ...]:
    left = [one for one in attempts if one.failed is None and one.cancelled is None]
    # An instance that was removed is stopped too. The last one that is left counts all the same.
    current = [one for one in left if one.stopped is None] or left[-1:]
    # One of several attempts may have been ended by the site's next change without a log line.
    return tuple(current[-instances:] if instances else current)


def _failed(attempts: Sequence[Attempt]) -> Attempt | None:
    """The first attempt that failed and was not followed by one that is ready.

    A container that was ready and ended has failed, whatever follows: it may do so again and again.
    """
    broken: list[Attempt] = []
    for one in attempts:
        retried = (x for x in broken if not x.ready and x.failed and x.failed <= one.began)
        earlier = next(retried, None)
        if earlier and (one.ready is not None or one.failed is not None):
            broken.remove(earlier)
        if one.failed is not None:
            broken.append(one)
    return broken[0] if broken else None


def _abandoned(attempts: Sequence[Attempt]) -> Attempt | None:
    newest = attempts[-1]
    return newest if newest.cancelled is not None and newest.failed is None else None


def _attempt(start: Start, start_limit: float) -> Attempt:
    return Attempt(
        start.container,
        start.began,
        start.started,
        start.waited,
        start.ready,
        start.failed,
        start.cancelled,
        start.stopped,
        start.reason(start_limit) if start.failed is not None else "",
        start.is_certain,
        start.witnessed,
    )
