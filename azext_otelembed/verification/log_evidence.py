"""What a container log proves about the image that should be running. Pure.

App Service writes two kinds of platform log; both are read. The older one names containers
("Container shop_0_1a2b for site shop has exited, failing site start"), the one of 2025 mostly
doesn't ("Container is terminating. Grace period: 5 seconds."). Neither is documented as an
interface, so the log supports a verdict and never is the only ground for a good one.
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
    """`started`: the image was seen starting; `ready`: it came up; `failure`: why it didn't.

    `falls` counts how often it went from starting or running to failed, so that a container that
    App Service starts again and again isn't taken for one that is up. With several instances, all
    whose start shows have to be ready.
    """

    started: bool
    ready: bool
    failure: str | None
    tail: tuple[str, ...]
    falls: int = 0


def last_stamp(log: str) -> str:
    """The time of the newest line, as written; empty when there is none."""
    stamps = [match.group(1) for line in log.splitlines() if (match := STAMP.match(line))]
    return stamps[-1] if stamps else ""


def read_log(
    log: str, image: str, after: str, secrets: Iterable[str] = (), instances: int = 0
) -> LogEvidence:
    """What the lines newer than `after` (a time as `last_stamp` gives it) say of `image`.

    `secrets` are values that the tail must not show: App Service logs the environment of
    `docker run`, and apps log what they like. `instances` is how many the site has, 0 if that
    isn't known: no more containers than that are waited for.
    """
    lines = _newer(log, after)
    # `shop:1.0` is no name for a line that tells of `shop:1.0-otelembed-…`.
    named = re.compile(rf"(?<![\w.-]){re.escape(image)}(?![\w@:/-]|\.\w)", re.I)
    ours = [bool(named.search(line)) for line in lines]
    first = next((n for n, line in enumerate(lines) if ours[n] and START.search(line)), None)
    if first is None:
        return LogEvidence(False, False, None, redact(newest(lines), secrets))
    name = ""
    ready = False
    failure: str | None = None
    falls = waiting = 0
    fresh: list[str] = []
    began = first
    attempt: list[str] = []
    for number, line in enumerate(lines[first:], first):
        is_ours = ours[number]
        began = number if is_ours and START.search(line) else began
        if is_ours and (created := CONTAINER.search(line)):
            name = created.group(1)
        if is_ours and CREATED.search(line):
            if 0 < instances <= waiting:
                # Instead of one whose start the site's next change ended without a word.
                del fresh[:1]
            else:
                waiting += 1
        elif waiting and (starting := STARTING.search(line)):
            fresh.append(starting.group(1))
        elif (stopping := STOPPING.search(line)) and stopping.group(1) in fresh:
            # Stopped before it came up, by the next change of the site: another one follows.
            fresh.remove(stopping.group(1))
            waiting -= 1
        if READY.search(line) and _concerns(line, name):
            ready, failure = True, None
            if not NOISE.search(line):
                waiting -= 1
                del fresh[:1]
        elif (failed := _failure(line)) and _concerns(line, name):
            falls += failure is None
            if START_FAILED.search(line) and not NOISE.search(line):
                waiting -= 1
                del fresh[:1]
            failure, ready = failure or failed, False
            attempt = lines[began : number + 1]
    ready = ready and waiting <= 0
    if failure or not ready:
        old = log.splitlines()[: first - len(lines)]
        tail = of_start(attempt if failure else lines[began:], old)
    else:
        tail = newest(lines)
    return LogEvidence(True, ready, failure, redact(tail, secrets), falls)


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
    """Whether a line is about the container `name`: it names it, or it names none."""
    other = re.search(r"\b[Cc]ontainer:? (\S+?_\d+_[0-9a-z]+)\b", line)
    return not name or not other or other.group(1) == name
