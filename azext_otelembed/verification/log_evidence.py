"""Evidence about the released image from a container log. Pure.

App Service writes two kinds of platform log; both are read. The older one names containers
("Container shop_0_1a2b for site shop has exited, failing site start"), the one of 2025 mostly
doesn't ("Container is terminating. Grace period: 5 seconds."). Neither is documented as an
interface, so the log supports a good verdict but is never the only evidence for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from azext_otelembed.verification.log_tail import NOISE, newest, of_start, redact

STAMP = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)\s?(.*)$")
START = re.compile(r"pulling image|docker run|starting container|creating container", re.I)
READY = re.compile(r"ready to serve requests|site started\b|started successfully", re.I)
FAILURES = (
    (r"pull.*(?:fail|unauthor|denied)|ImagePull\w*Failure", "its image can't be pulled"),
    (r"didn't respond to HTTP pings on port:? ?(\d+)", "it doesn't answer on port {}"),
    (r"did not start within expected time limit", "it didn't start in time"),
    (r"finished running with exit code:? ?(\d+)", "it exited with status {}"),
    (r"has exited|terminated during site startup", "it exited"),
    (r"failed to start (?:site|container)", "it failed to start"),
)
CONTAINER = re.compile(r"--name (\S+)")
CREATED = re.compile(r"docker run\b|creating container\b", re.I)
START_FAILED = re.compile(r"failing site start", re.I)
STARTING = re.compile(r"Starting container: (\S+?)\.?$")
STOPPING = re.compile(r"Stopping container: (\S+?)\.?$")


@dataclass(frozen=True, slots=True)
class LogEvidence:
    """`started`: the image has started; `ready`: its container is ready; `failure`: why it failed.

    `failures` counts how often the container went from starting or running to failed: a container
    that App Service restarts again and again isn't up. With several instances, all containers
    whose start the log shows have to be ready.
    """

    started: bool
    ready: bool
    failure: str | None
    tail: tuple[str, ...]
    failures: int = 0


def last_stamp(log: str) -> str:
    """The time of the newest line, as written; empty when there is none."""
    stamps = [match.group(1) for line in log.splitlines() if (match := STAMP.match(line))]
    return stamps[-1] if stamps else ""


def read_log(
    log: str, image: str, after: str, secrets: Iterable[str] = (), instances: int = 0
) -> LogEvidence:
    """The evidence about `image` in lines newer than `after` (a time as `last_stamp` gives it).

    `secrets` are values that the tail must not show: App Service logs the environment of
    `docker run`, and apps log anything. `instances` is how many the site has, 0 if that isn't
    known: at most that many containers have to be ready.
    """
    lines = _newer(log, after)
    # `shop:1.0` must not match in `shop:1.0-otelembed-…`.
    name = re.compile(rf"(?<![\w.-]){re.escape(image)}(?![\w@:/-]|\.\w)", re.I)
    of_image = [bool(name.search(line)) for line in lines]
    first = next((n for n, line in enumerate(lines) if of_image[n] and START.search(line)), None)
    if first is None:
        return LogEvidence(False, False, None, redact(newest(lines), secrets))
    reader = _Reader(instances)
    for number in range(first, len(lines)):
        reader.read(number, lines[number], of_image[number])
    ready = reader.ready and reader.waiting <= 0
    if reader.failure or not ready:
        old = log.splitlines()[: first - len(lines)]
        start, end = reader.failed_start if reader.failure else (reader.start, len(lines))
        tail = of_start(lines[start:end], old)
    else:
        tail = newest(lines)
    return LogEvidence(True, ready, reader.failure, redact(tail, secrets), reader.failures)


class _Reader:
    """Reads lines in order, from the first start of the image.

    `start` is the number of the line at which the latest start began, and `failed_start` the range
    of lines of the start that failed last. `waiting` counts the containers that aren't ready yet.
    """

    def __init__(self, instances: int) -> None:
        self._instances = instances
        self._container = ""
        self._starting: list[str] = []
        self.waiting = 0
        self.start = 0
        self.failed_start = (0, 0)
        self.ready = False
        self.failure: str | None = None
        self.failures = 0

    def read(self, number: int, line: str, of_image: bool) -> None:
        if of_image and START.search(line):
            self.start = number
        if of_image and (created := CONTAINER.search(line)):
            self._container = created.group(1)
        self._count(line, of_image)
        if not _concerns(line, self._container):
            return
        if READY.search(line):
            self.ready, self.failure = True, None
            if not NOISE.search(line):
                self._end_start()
        elif failure := _failure(line):
            self.failures += self.failure is None
            self.ready, self.failure = False, self.failure or failure
            self.failed_start = (self.start, number + 1)
            if START_FAILED.search(line) and not NOISE.search(line):
                self._end_start()

    def _count(self, line: str, of_image: bool) -> None:
        """Counts containers that are created, and those that are stopped before they are ready."""
        if of_image and CREATED.search(line):
            if 0 < self._instances <= self.waiting:
                # It replaces one whose start ended, by the site's next change, without a log line.
                del self._starting[:1]
            else:
                self.waiting += 1
        elif self.waiting and (starting := STARTING.search(line)):
            self._starting.append(starting.group(1))
        elif (stopping := STOPPING.search(line)) and stopping.group(1) in self._starting:
            # Stopped before it was ready, by the next change of the site: another one follows.
            self._starting.remove(stopping.group(1))
            self.waiting -= 1

    def _end_start(self) -> None:
        self.waiting -= 1
        del self._starting[:1]


def _newer(log: str, after: str) -> list[str]:
    lines: list[str] = []
    stamp = ""
    for line in log.splitlines():
        if match := STAMP.match(line):
            stamp = match.group(1)
        if stamp > after:
            lines.append(line)
    return lines


def _failure(line: str) -> str | None:
    for pattern, meaning in FAILURES:
        if match := re.search(pattern, line, re.I):
            return meaning.format(*match.groups())
    return None


def _concerns(line: str, name: str) -> bool:
    """Whether a line concerns the container `name`: it names that one, or none."""
    other = re.search(r"\b[Cc]ontainer:? (\S+?_\d+_[0-9a-z]+)\b", line)
    return not name or not other or other.group(1) == name
