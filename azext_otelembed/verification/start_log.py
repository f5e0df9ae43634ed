"""The starts of containers that a container log shows, whatever their image. Pure.

Most lines of the new log format name nothing, and containers of App Service's own (Kudu, managed
identity, Easy Auth) and of other images write the same ones. A line belongs to the start that fits
it: by the container's name, by the time at which the startup probe began, or by what the start was
waiting for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence

from azext_otelembed.verification.platform_log import Event, Kind
from azext_otelembed.verification.start import Start

COMPANION = re.compile(
    r"_(msiProxy|middleware|managedIdentity|msi|kudu|auth|easyauth)(?:_[0-9a-f]{8})?$", re.I
)
"""How the names of App Service's own containers end."""
COMPANION_IMAGE = re.compile(r"(?:[^/]+/)?appsvc/[\w.-]+(?:[:@]\S+)?", re.I)
OLD_NAME = re.compile(r"(\S+?_\d+(?:_[0-9a-f]{8})?)(?:_[A-Za-z]+)?")
"""Names in the old format: `<site>_<number>_<8 hex>`, and a companion's suffix."""
TOGETHER = 60.0
"""Seconds within which the lines about one failure come."""
PROBE_BEGINS = (-0.1, 15.0)
"""Seconds after the start of its container between which a startup probe begins; 0.1 to 5.1 in
the logs at hand."""
CREATE_LASTS = 15.0
"""Seconds from creating a container to starting it; 0.2 to 3.2 in the logs at hand."""
PIPES_PRECEDE = 5.0
"""Seconds from making a container's pipes to creating it; 0 to 2 in the logs at hand."""
STOP_LASTS = 15.0
"""Seconds from stopping a container to its end; 5 to 12 in the logs at hand."""
LONGEST_STOP = 135.0
"""The same where the site gives its containers longer: WEBSITES_CONTAINER_STOP_TIME_LIMIT is 120 at
most."""
_RECIPE = re.compile(r"-otelembed-([0-9a-f]{12})$")


class StartLog:
    """Follows all starts in a log. `stopped`: which containers were removed, and when."""

    def __init__(self, image: str, recipe: str) -> None:
        self.starts: list[Start] = []
        self.stopped: list[tuple[float, str]] = []
        self.blocked_until: float | None = None
        self._image = image
        named = _RECIPE.search(image)
        self._recipe = recipe.rpartition(":")[2][:12] or (named.group(1) if named else "")
        self._first = math.inf
        self._exit: Event | None = None
        self._piped: list[Event] = []
        self._stopping_since: dict[str, float] = {}
        self._replaced: Start | None = None
        self._companion_failed = -math.inf
        self._unknown_stopping = -math.inf
        self._probes: list[tuple[float, Start | None]] = []
        self._errors: set[float] = set()
        self._handlers: dict[Kind, Callable[[Event], None]] = {
            Kind.PULL_BEGUN: self._pull_begun,
            Kind.PULLED: self._pulled,
            Kind.PULL_PROBLEM: self._pull_problem,
            Kind.PULL_FAILED: self._pull_failed,
            Kind.PIPED: self._piped.append,
            Kind.CREATING: self._creating,
            Kind.STARTING: self._starting,
            Kind.WARMING_UP: self._warming_up,
            Kind.WAITING: self._waiting,
            Kind.READY: self._ready,
            Kind.RECYCLED: self._recycled,
            Kind.PROBE_SUCCEEDED: self._probe_succeeded,
            Kind.PROBE_FAILED: self._probe_failed,
            Kind.SITE_STARTED: self._site_started,
            Kind.EXITED: self._exited,
            Kind.EXITED_EARLY: self._named_failure,
            Kind.TIMED_OUT: self._named_failure,
            Kind.PORT_SILENT: self._named_failure,
            Kind.CREATE_FAILED: self._named_failure,
            Kind.VOLUME_FAILED: self._volume_failed,
            Kind.START_FAILED: self._start_failed,
            Kind.SITE_FAILED: self._site_failed,
            Kind.INTERRUPTED: self._interrupted,
            Kind.TERMINATED: self._terminated,
            Kind.STOPPING: self._stopping,
            Kind.STOPPED: self._stopped,
            Kind.BLOCKED: self._blocked,
            Kind.UNBLOCKED: self._unblocked,
            Kind.PORT: self._port,
            Kind.STATE_ERROR: self._state_error,
            Kind.LAUNCHER: self._launcher,
            # It leaves the app alone, so that it shows nothing of a start.
            Kind.COLLECTOR_EXITED: lambda _event: None,
        }

    def take(self, event: Event) -> None:
        """Takes the next event."""
        self._first = min(self._first, event.time)
        self._handlers[event.kind](event)

    def suspect(self, ours: Sequence[Start]) -> None:
        """Marks failures that the lines so far don't tell with certainty.

        Another line, within a second, may still say that another container exited, or that the
        start was cancelled.
        """
        for start in ours:
            if start.terminated is None or not start.is_open:
                continue
            if any(start.began < one.began <= start.terminated + 2 for one in self.starts):
                start.cancelled = start.terminated
            else:
                start.exited = not start.companion
                start.failed, start.is_certain = start.terminated, False
        if self._exit:
            self._suspect_exit(self._exit)

    def _newest(self, which: Callable[[Start], bool]) -> Start | None:
        return next((start for start in reversed(self.starts) if which(start)), None)

    def _newest_of_ours(self, which: Callable[[Start], bool]) -> Start | None:
        """The start that a failure without a name is about: of the new image rather than the old.

        The old image was pulled, and its volumes were mounted, on the same machine before.
        """
        ours = self._newest(lambda one: one.is_of(self._image) and which(one))
        return ours or self._newest(which)

    def _newest_open(self) -> Start | None:
        return self._newest(lambda start: start.is_open)

    def _recently_failed(self, time: float) -> Start | None:
        """The start that failed last, if this is still about the same failure."""
        return self._newest(lambda one: one.failed is not None and time - one.failed <= TOGETHER)

    def _begin(self, image: str, time: float) -> Start:
        start = Start(image, time)
        self.starts.append(start)
        if self._replaced:
            self._replaced.stopped, self._replaced = time, None
        return start

    def _pull_begun(self, event: Event) -> None:
        if not COMPANION_IMAGE.fullmatch(event.image):
            self._begin(event.image, event.time)

    def _pulled(self, event: Event) -> None:
        if not COMPANION_IMAGE.fullmatch(event.image):
            self._pulling(event) or self._begin(event.image, event.time)

    def _pulling(self, event: Event) -> Start | None:
        def is_it(start: Start) -> bool:
            # A value with spaces in the environment of `docker run` hides which word is the image.
            words = {event.image, *event.text.split()}
            same = any(start.is_of(word) or Start(word, 0).is_of(start.image) for word in words)
            return start.is_pulling and same

        # An older one may have been ended by the site's next change without a line.
        start = self._newest(is_it)
        if start and start.image and event.image.lower().endswith(f"/{start.image.lower()}"):
            start.image = event.image
        return start

    def _creating(self, event: Event) -> None:
        is_companion = bool(COMPANION_IMAGE.fullmatch(event.image))
        container = event.container or self._piped_container(event.time, is_companion=is_companion)
        if is_companion or COMPANION.search(container):
            return
        names_ours = any(Start(word, 0).is_of(self._image) for word in event.text.split())
        image = self._image if names_ours else event.image
        start = self._pulling(event) or self._begin(image, event.time)
        start.created, start.container = event.time, container
        # The machine has a copy of the image, so that a failed pull didn't matter.
        start.pull = None

    def _piped_container(self, time: float, *, is_companion: bool) -> str:
        """The container whose pipes were made just before it is created; empty if two were."""
        self._piped[:] = [one for one in self._piped if time - one.time <= PIPES_PRECEDE]
        own = [one for one in self._piped if bool(COMPANION.search(one.container)) is is_companion]
        if len(own) != 1:
            return ""
        self._piped.remove(own[0])
        return own[0].container

    def _starting(self, event: Event) -> None:
        if COMPANION.search(event.container):
            return
        if start := self._newest(lambda one: one.container == event.container):
            start.started = event.time
            return
        created = [
            (one.created, one)
            for one in self.starts
            if one.is_open and one.created is not None and not one.container
        ]
        in_time = [one for time, one in created if event.time - time <= CREATE_LASTS]
        if created:
            start = in_time[0] if in_time else created[-1][1]
            start.container, start.started = event.container, event.time

    def _named(self, name: str) -> Start | None:
        """The start of this container or of this companion's main container."""
        match = OLD_NAME.fullmatch(name)
        names = {name, match.group(1)} if match else {name}
        return self._newest(lambda start: start.container in names)

    def _warming_up(self, event: Event) -> None:
        start = self._named(event.container)
        if start is None:
            return
        if start.container == event.container:
            start.started = event.time
        else:
            start.companions.add(event.container)
            start.ready = None
            if start.answers is not None:
                start.started, start.waited = event.time, 0.0

    def _waiting(self, event: Event) -> None:
        start = self._named(event.container)
        if start and start.container == event.container and event.number is not None:
            start.waited = event.number
            start.started = start.started or event.time - event.number

    def _ready(self, event: Event) -> None:
        start = self._named(event.container)
        if start is None:
            return
        if start.container == event.container:
            start.answers = event.time
        start.companions.discard(event.container)
        if start.answers is not None and not start.companions and start.ready is None:
            start.ready = event.time

    def _recycled(self, _event: Event) -> None:
        """The container that has just become ready is replaced as soon as the next one begins."""
        self._replaced = self._newest(lambda one: one.ready is not None and not one.stopped)

    def _named_failure(self, event: Event) -> None:
        start = self._named(event.container)
        if start is None and event.kind is not Kind.CREATE_FAILED:
            # It started before the log begins; what follows about the site is about it too.
            start = self._begin("", event.time)
            start.container = event.container
        if start is None:
            return
        if start.container != event.container and start.failed is None:
            start.companion = event.container.removeprefix(start.container).strip("_")
        elif event.kind is Kind.EXITED_EARLY:
            start.exited = True
        elif event.kind is Kind.TIMED_OUT:
            start.probe_seconds = event.number
        elif event.kind is Kind.PORT_SILENT and event.number is not None:
            start.port = int(event.number)
        start.fail(event.time)

    def _probed(self, event: Event) -> Start | None:
        """The start whose probe has ended: the probe began when the container started.

        None if that was before the log begins.
        """
        begun = event.time - (event.number or 0)
        low, high = PROBE_BEGINS
        # The probe of a start that ends otherwise fails soon afterwards.
        still = 0 if event.kind is Kind.PROBE_SUCCEEDED else TOGETHER
        probed = [
            (begun - start.started, start)
            for start in self.starts
            if start.started is not None
            and start.ready is None
            and not start.is_probed
            and event.time - start.ended <= still
        ]
        fitting = [(seconds, start) for seconds, start in probed if low <= seconds <= high]
        if not fitting and begun >= self._first:
            fitting = [(seconds, start) for seconds, start in probed if start.is_open]
        _, found = min(fitting, key=lambda one: abs(one[0]), default=(0.0, None))
        if found is None and (
            found := self._newest(lambda one: one.is_open and not one.started and one.began < begun)
        ):
            found.started = begun
        if found:
            found.is_probed = True
        return found

    def _probe_succeeded(self, event: Event) -> None:
        self._probes.append((event.time, self._probed(event)))

    def _site_started(self, event: Event) -> None:
        # Without a probe that succeeded before, the app wrote this line. A start may also end
        # after its probe, such as while Easy Auth's container starts: then this is the next one's.
        while self._probes:
            time, start = self._probes.pop(0)
            if event.time - time > TOGETHER or (start and start.ended <= event.time):
                continue
            if start and start.is_open:
                start.ready = event.time
            return

    def _probe_failed(self, event: Event) -> None:
        # A probe that fits no start is one of a container that started before the log begins.
        start = self._probed(event) or self._begin("", event.time)
        start.probe_seconds = event.number
        if self._exit and start.is_open and event.time - self._exit.time <= TOGETHER:
            self._exit_of(start, self._exit)
        start.exited = start.exited or (start.terminated is not None and not start.companion)
        start.fail(event.time)

    def _exited(self, event: Event) -> None:
        if self._exit:
            self._suspect_exit(self._exit)
        self._exit = event

    def _suspect_exit(self, exit_: Event) -> None:
        """Takes an exit that no line names for that of the newest container that ran then.

        One that was being stopped then ends so. That of a container that is ready needs the line
        with its name: Kudu or the old container may be the one that has exited.
        """
        if any(0 <= exit_.time - time <= LONGEST_STOP for time in self._stopping_since.values()):
            return

        def ran(start: Start) -> bool:
            begun = start.started is not None and start.started <= exit_.time
            return begun and start.is_open and not start.stopped

        if start := self._newest(ran):
            self._exit_of(start, exit_)
            start.is_certain = False

    def _exit_of(self, start: Start, exit_: Event) -> None:
        start.exited = True
        start.exit_status = int(exit_.number or 0)
        start.fail(exit_.time)
        self._exit = None

    def _stopping(self, event: Event) -> None:
        exit_, self._exit = self._exit, None
        self._stopping_since[event.container] = event.time
        start = self._newest(lambda one: one.container == event.container)
        if start is None:
            if not COMPANION.search(event.container):
                self._unknown_stopping = event.time
            return
        if exit_ and event.time - exit_.time <= TOGETHER:
            self._exit_of(start, exit_)
        elif start.is_open:
            start.stopping = event.time

    def _stopped(self, event: Event) -> None:
        since = self._stopping_since.pop(event.container, math.inf)
        if self._exit and self._exit.time >= since:
            self._exit = None
        if COMPANION.search(event.container):
            return
        start = self._newest(lambda one: one.container == event.container)
        if start:
            start.stopped = event.time
        self.stopped.append((event.time, event.container))

    def _pull_problem(self, event: Event) -> None:
        if start := self._newest_of_ours(lambda one: one.is_pulling):
            start.pull = event.text

    def _pull_failed(self, event: Event) -> None:
        why = event.text
        if code := re.fullmatch(r"(?:ImagePull)?(\w*?)(?:Failure)?", why):
            why = code.group(1).lower()
        start = self._newest_of_ours(lambda one: one.is_pulling)
        start = start or self._recently_failed(event.time)
        if start is None and event.image:
            start = self._begin(event.image, event.time)
        if start:
            start.pull = start.pull or why
            start.fail(event.time)

    def _volume_failed(self, event: Event) -> None:
        if COMPANION.search(event.container):
            self._companion_failed = event.time
            return
        if start := self._newest_of_ours(lambda one: one.is_open and one.started is None):
            start.volume = event.text

    def _start_failed(self, event: Event) -> None:
        if event.time - self._companion_failed <= 1:
            return
        if start := self._newest_of_ours(lambda one: one.is_open and one.started is None):
            start.error = event.text
            start.fail(event.time)

    def _site_failed(self, event: Event) -> None:
        untold = self._newest(
            lambda one: (
                one.failed is not None and not one.is_told and event.time - one.failed <= TOGETHER
            )
        )
        if start := untold or self._newest_open():
            start.fail(event.time)
            start.is_told = True

    def _interrupted(self, event: Event) -> None:
        # The change of the image cuts short what the site started before, of the old image first.
        started = [one for one in self.starts if one.is_open and one.started is None]
        started.sort(key=lambda one: one.is_of(self._image))
        if started:
            started[0].cancelled = event.time

    def _terminated(self, event: Event) -> None:
        companion = COMPANION.search(event.container)

        def has_ended(one: Start) -> bool:
            times = [time for time in (one.failed, one.cancelled) if time is not None]
            return bool(times) and event.time - times[0] <= TOGETHER and not one.has_ended

        if ended := self._newest(has_ended):
            ended.has_ended = not companion
            return
        stopping = self._newest(lambda one: one.is_open and one.stopping is not None)
        if not stopping and not companion and event.time - self._unknown_stopping <= STOP_LASTS:
            # A container that started before the log begins.
            self._unknown_stopping = -math.inf
            return
        # Before a container runs, another line says first why its start ends.
        running = self._newest(lambda one: one.is_open and one.started is not None)
        start = stopping or running or self._newest_open()
        if start is None:
            return
        start.terminated = event.time
        if companion:
            start.companion = companion.group(1)
        elif self._exit and event.time - self._exit.time <= TOGETHER:
            self._exit_of(start, self._exit)

    def _state_error(self, event: Event) -> None:
        """An error that the State lines repeat until the site's next good start: it counts once."""
        at = event.at or 0.0
        if at in self._errors:
            return
        self._errors.add(at)
        cancelled = event.text == "SiteStartupCancelled"
        ended = self._newest(
            lambda one: (
                one.began <= at + 1
                and any(t and abs(at - t) <= TOGETHER for t in (one.failed, one.cancelled))
            )
        )
        if ended:
            if event.text != "ContainerTimeout":
                ended.error = ended.error if cancelled else event.details or event.text
            return
        open_ = [one for one in self.starts if one.is_open and int(one.began) <= at]
        start = next((one for one in open_ if one.terminated or one.stopping), None)
        start = start or (open_[0] if cancelled and open_ else open_[-1] if open_ else None)
        if start is None:
            return
        if cancelled:
            start.cancelled = event.time
        else:
            start.error = "" if event.text == "ContainerTimeout" else event.details or event.text
            start.fail(event.time)

    def _blocked(self, event: Event) -> None:
        self.blocked_until = event.at

    def _unblocked(self, _event: Event) -> None:
        self.blocked_until = None

    def _port(self, event: Event) -> None:
        if (start := self._newest(lambda one: one.is_pulling)) and event.number is not None:
            start.port = int(event.number)

    def _launcher(self, event: Event) -> None:
        if event.text != self._recipe:
            return
        start = self._newest(lambda one: one.is_of(self._image))
        if start is None or start.failed or start.cancelled or start.stopped:
            # The log shows no platform line of this start.
            start = self._begin(self._image, event.time)
            start.started = event.time
        start.witnessed = True
