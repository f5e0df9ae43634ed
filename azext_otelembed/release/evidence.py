"""What a container log proves about the image that should be running. Pure.

App Service writes two kinds of platform log; both are read. The older one names containers
("Container shop_0_1a2b for site shop has exited, failing site start"), the one of 2025 mostly
doesn't ("Container is terminating. Grace period: 5 seconds."). Neither is documented as an
interface, so the log supports a verdict and never is the only ground for a good one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

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
NOISE = re.compile(r"State: \w+, Action: ")
"""Lines of the platform that say again what the ones around them say."""
LONGEST_TAIL = 30
TAIL_BEGINS = 10
"""How many of them are of the start of what is told, where that is longer."""


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
        return LogEvidence(False, False, None, redact(_newest(lines), secrets))
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
            # One too many follows a start that the site's next change ended without a word.
            waiting = min(waiting + 1, instances or waiting + 1)
        elif waiting and (starting := STARTING.search(line)):
            fresh.append(starting.group(1))
        elif (stopping := STOPPING.search(line)) and stopping.group(1) in fresh:
            # Stopped before it came up, by the next change of the site: another one follows.
            fresh.remove(stopping.group(1))
            waiting -= 1
        if READY.search(line) and _concerns(line, name):
            ready, failure = True, None
            # "Site started." is followed by a line of the site's state that says it again.
            if "State:" not in line:
                waiting -= 1
                del fresh[:1]
        elif (failed := _failure(line)) and _concerns(line, name):
            falls += failure is None
            if START_FAILED.search(line) and "State:" not in line:
                waiting -= 1
                del fresh[:1]
            failure, ready = failure or failed, False
            attempt = lines[began : number + 1]
    ready = ready and waiting <= 0
    if failure or not ready:
        old = log.splitlines()[: first - len(lines)]
        tail = _told(attempt if failure else lines[began:], old)
    else:
        tail = _newest(lines)
    return LogEvidence(True, ready, failure, redact(tail, secrets), falls)


def redact(lines: Iterable[str], secrets: Iterable[str]) -> tuple[str, ...]:
    """The lines with every secret value, and what looks like one, replaced."""
    hidden = sorted({value for value in secrets if value}, key=len, reverse=True)
    shown: list[str] = []
    for line in lines:
        text = line
        for value in hidden:
            # A short value is one only as a word of its own: `true` is no part of `structure`.
            edge = "" if len(value) >= _LONG else r"(?<![\w.-])"
            end = "" if len(value) >= _LONG else r"(?![\w.-])"
            text = re.sub(f"{edge}{re.escape(value)}{end}", "***", text)
        for pattern, instead in _SECRETS:
            text = pattern.sub(instead, text)
        shown.append(text)
    return tuple(shown)


def secrets_of(settings: Mapping[str, str]) -> tuple[str, ...]:
    """The values of app settings, line by line, and the parts of those that are key=value lists.

    Left out are those that tell nothing and would hide a lot: switches, ports, everyday words.
    """
    values: set[str] = set()
    for name, whole in settings.items():
        for value in whole.splitlines():
            parts = [part.partition("=")[2] for part in value.split(";") if "=" in part]
            values.update(one.strip() for one in (value, *parts) if _is_secret(name, one.strip()))
    return tuple(values)


_LONG = 8
_SECRETS = (
    (re.compile(r"(\s-e\s+\w+=)\S*"), r"\1***"),
    # What a Key Vault reference stands for isn't known here.
    (re.compile(r"(InstrumentationKey=)[^;\s\"']+", re.I), r"\1***"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w.-]{8,}"), "***"),
    (re.compile(r"\b(bearer\s+)[\w.~+/-]{8,}=*", re.I), r"\1***"),
    (re.compile(r"([?&]sig=)[^&\s\"']+", re.I), r"\1***"),
)
"""What is a secret wherever it comes from."""
_PLAIN_NAMES = re.compile(r"PORT|^WEBSITES?_|^SCM_|^DOCKER_(?!.*PASSWORD)|_(LEVEL|ENV|MODE)$", re.I)
_PLAIN_VALUES = re.compile(r"true|false|yes|no|on|off|none|null|\d{1,3}|production|staging", re.I)


def _is_secret(name: str, value: str) -> bool:
    if len(value) < 4 or _PLAIN_VALUES.fullmatch(value):
        return False
    return not (_PLAIN_NAMES.search(name) and len(value) < _LONG)


def _newest(lines: list[str]) -> list[str]:
    return _telling(lines)[-LONGEST_TAIL:]


def _told(attempt: list[str], old: list[str]) -> list[str]:
    """What the log says of a container's start, at most LONGEST_TAIL lines of it.

    The container that serves meanwhile logs its requests in between: where there is too much,
    lines of a kind that are among the `old` ones, from before the start, go first.
    """
    lines = _telling(attempt)
    if len(lines) > LONGEST_TAIL:
        known = {_kind(line) for line in old}
        lines = [lines[0], *(x for x in lines[1:] if _failure(x) or _kind(x) not in known)]
    between = len(lines) - LONGEST_TAIL
    if between <= 0:
        return lines
    ends = LONGEST_TAIL - TAIL_BEGINS
    return [*lines[:TAIL_BEGINS], f"[{between} lines more]", *lines[-ends:]]


def _kind(line: str) -> str:
    """What stays of a line from one request to the next: its words without figures and paths."""
    match = STAMP.match(line)
    text = match.group(2) if match else line
    return " ".join(word for word in text.split() if not re.search(r"[\d/]", word))


def _telling(lines: list[str]) -> list[str]:
    return [line for line in lines if not NOISE.search(line)]


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
