"""The lines that App Service itself writes into a site's container log, as typed events. Pure.

Two formats are in use. The old one has a level and names containers
(`2023-03-07T03:19:10.240Z INFO  - Stopping site shop because it failed during startup.`), the new
one has neither (`2026-04-04T05:52:02.4728658Z Site started.`) and repeats each line as a `State:`
line. Neither is documented; the grammar is taken from public logs, 40 of which are in
tests/platform_logs. A line is an event only if it matches the grammar as a whole: all other lines
are output of the app and never evidence.
"""

from __future__ import annotations

import json
import math
import re
from calendar import timegm
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from functools import lru_cache

from azext_otelembed.image.launcher import START_LINE
from azext_otelembed.image.supervisor_script import EXIT_LINE


class Kind(Enum):
    """What happened."""

    PULL_BEGUN = "an image is being pulled"
    PULLED = "an image was pulled"
    PULL_PROBLEM = "an attempt to pull failed, another may follow"
    PULL_FAILED = "the image could not be pulled"
    PIPED = "the output of the next container is connected (new format)"
    CREATING = "a container is being created from an image"
    STARTING = "a container is starting"
    WARMING_UP = "a container is asked for its first answer (old format)"
    WAITING = "a container hasn't answered yet (old format)"
    READY = "a container answers (old format)"
    RECYCLED = "the container that is ready is replaced by another one (old format)"
    PROBE_SUCCEEDED = "the site answers its startup probe"
    PROBE_FAILED = "the site's startup probe failed"
    SITE_STARTED = "the site has started"
    EXITED = "a container has exited"
    EXITED_EARLY = "a container has exited before it answered (old format)"
    TIMED_OUT = "a container didn't answer in time (old format)"
    PORT_SILENT = "a container didn't answer on its port (old format)"
    CREATE_FAILED = "a container could not be created"
    VOLUME_FAILED = "a volume could not be mounted"
    START_FAILED = "the start of a container failed"
    SITE_FAILED = "the start of the site failed"
    INTERRUPTED = "the start of a container was interrupted by another change"
    TERMINATED = "a container was ended while the site was starting"
    STOPPING = "a container is being stopped"
    STOPPED = "a container is gone"
    BLOCKED = "the site is blocked after repeated failures"
    UNBLOCKED = "the site is no longer blocked"
    PORT = "the port that the app has to listen on"
    STATE_ERROR = "a State line with an error"
    LAUNCHER = "the launcher of an embedded image has started"
    COLLECTOR_EXITED = "the embedded collector has exited"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the platform. Times are in seconds since the epoch.

    `container` is the name in the line, a container's or a site's; `image` a reference; `number`
    the exit status, port or seconds in it; `text` a reason or code, `details` more about it; `at`
    another time in it. Of COLLECTOR_EXITED, `text` are the seconds until the next start, or empty.
    """

    time: float
    kind: Kind
    container: str = ""
    image: str = ""
    number: float | None = None
    text: str = ""
    details: str = ""
    at: float | None = None


_Pattern = tuple[Kind, re.Pattern[str]]
_OLD: Sequence[tuple[Kind, str]] = (
    (Kind.PULL_BEGUN, r"Pulling image: (?P<image>\S+)"),
    (Kind.PULL_BEGUN, r"Issuing docker pull:? (?P<image>\S+)"),
    (Kind.PULLED, r"(?P<tag>\S+) Pulling from (?P<repository>\S+)"),
    (Kind.PULLED, r" ?Status: (?:Image is up to date|Downloaded newer image) for (?P<image>\S+)"),
    (Kind.CREATING, r"docker run -d (?P<run>.*--name \S+ .*)"),
    (Kind.WARMING_UP, r"Initiating warmup request to container (?P<container>\S+) for site \S+"),
    (
        Kind.WAITING,
        r"Waiting for response to warmup request for container (?P<container>\S+)\. "
        r"Elapsed time = (?P<number>\d{1,9}(?:\.\d{1,9})?) sec",
    ),
    (Kind.RECYCLED, r"Recycling container because of \w+ and isMainSite = \w+"),
    (
        Kind.READY,
        r"Container (?P<container>\S+) for site \S+ initialized successfully"
        r"(?: and is ready to serve requests)?\.",
    ),
    (
        Kind.EXITED_EARLY,
        r"Container (?P<container>\S+) for site \S+ has exited, failing site start\b.*",
    ),
    (
        Kind.TIMED_OUT,
        r"Container (?P<container>\S+) for site \S+ did not start within expected time limit\. "
        r"Elapsed time = (?P<number>\d{1,9}(?:\.\d{1,9})?) sec",
    ),
    (
        Kind.PORT_SILENT,
        r"Container (?P<container>\S+) didn't respond to HTTP pings on port: (?P<number>\d{1,5})"
        r"[,.] [Ff]ailing site start\. See container logs for debugging\.",
    ),
    (
        Kind.CREATE_FAILED,
        r"Container (?:create|start) failed for (?P<container>\S+) with (?P<text>.*)",
    ),
    (Kind.SITE_FAILED, r"multi-container unit was not started successfully\.?"),
    (Kind.SITE_FAILED, r"Stopp?ing site \S+ because it failed during startup\."),
    (
        Kind.PULL_PROBLEM,
        r"DockerApiException: Docker API responded with status code=\w+, response=(?P<json>.*)",
    ),
    (Kind.PULL_FAILED, r"Image pull for (?P<image>\S+) failed\. (?P<text>.*)"),
    (Kind.PULL_FAILED, r"Pulling docker image (?P<image>\S+) over VNET failed\."),
    (Kind.PULL_FAILED, r"docker pull returned STDERR>> (?P<text>.*)"),
    (
        Kind.PULL_FAILED,
        r"Image pull failed: Verify docker image configuration and credentials "
        r"\(if using private repository\)",
    ),
)
_NEW: Sequence[tuple[Kind, str]] = (
    (Kind.PULL_BEGUN, r"Pulling image: (?P<image>\S+)\."),
    (Kind.PULLED, r"Image (?P<image>\S+) is pulled from registry \S+"),
    (
        Kind.PIPED,
        r"Successfully removed non-blocking flag from "
        r"/podr/container/pipe/(?P<container>[^/\s]+)/stderr_\w+\.",
    ),
    (
        Kind.CREATING,
        # The qualified name may be one of the registry's copy on the machine (10.1.0.4:13209/…).
        r"Creating container with image: (?P<image>\S+) from registry: \S+ and fully qualified "
        r"image name: \S+",
    ),
    (Kind.STARTING, r"Starting container: (?P<container>\S+)\."),
    (
        Kind.PROBE_SUCCEEDED,
        r"Site startup probe succeeded after (?P<number>\d{1,9}(?:\.\d{1,9})?) seconds\.",
    ),
    (
        Kind.PROBE_FAILED,
        r"Site startup probe failed after (?P<number>\d{1,9}(?:\.\d{1,9})?) seconds\.",
    ),
    (Kind.SITE_STARTED, r"Site started\."),
    (Kind.EXITED, r"Container has finished running with exit code: (?P<number>-?\d{1,10})\."),
    (
        Kind.VOLUME_FAILED,
        r"Volume: \S+ cannot be mounted at (?P<text>\S+) during container: (?P<container>\S+) "
        r"startup\. The volume mount is required\. Terminate\.",
    ),
    (
        Kind.PULL_FAILED,
        r"Container pull image failed with reason: (?P<text>\w+)\. Revert by terminate\.",
    ),
    (
        Kind.START_FAILED,
        r"Container start up failed with reason: (?P<text>\w+)\. Revert by terminate\.",
    ),
    (
        Kind.INTERRUPTED,
        r"Container (?:start up|pull image) interrupted\. Revert by terminate\.",
    ),
    (Kind.TERMINATED, r"Site container: (?P<container>\S+) terminated during site startup\."),
    (Kind.SITE_FAILED, r"Failed to start site\. Revert by stopping site\."),
    (Kind.STOPPING, r"Stopping container: (?P<container>\S+)\."),
    (Kind.STOPPED, r"Deleting container: (?P<container>\S+?)(?:\. Retry count = \d+)?"),
    (
        Kind.BLOCKED,
        r"Site: \S+ will be blocked for .+ till (?P<at>\d\d/\d\d/\d{4} \d\d:\d\d:\d\d)\.?",
    ),
    (Kind.UNBLOCKED, r"Site: \S+ is unblocked\."),
    (Kind.PORT, r"Setting value of PORT variable to (?P<number>\d{1,5})"),
    (
        Kind.PORT,
        r"Container image exposes ports: [\d, ]+\. Resolved main port to (?P<number>\d{1,5})\.",
    ),
    (
        Kind.STATE_ERROR,
        r"State: (?:Starting|Stopping|Stopped|Blocked), Action: \w+, LastError: (?P<text>\w+), "
        r"LastErrorTimestamp: (?P<at>\d\d/\d\d/\d{4} \d\d:\d\d:\d\d), "
        r"LastErrorDetails: (?P<details>(?:(?!, Details: ).)*), Details: .*, DetailsLevel: \w+",
    ),
    (Kind.LAUNCHER, START_LINE.pattern.replace("(", "(?P<text>", 1)),
    (
        Kind.COLLECTOR_EXITED,
        EXIT_LINE.pattern.replace("<status>", "<number>").replace("<pause>", "<text>"),
    ),
)


def _by_first_word(table: Sequence[tuple[Kind, str]]) -> dict[str, list[_Pattern]]:
    found: dict[str, list[_Pattern]] = {}
    for kind, pattern in table:
        found.setdefault(_first_word(pattern), []).append((kind, re.compile(pattern)))
    return found


def _first_word(text: str) -> str:
    return re.match(r"[A-Za-z]*", text).group()  # type: ignore[union-attr]  # always matches


_SECOND = r"20[\d-]{8}[T ][\d:]{8}"
_STAMP = rf"\ufeff?({_SECOND}(?:\.\d{{1,9}})?Z?)(?= |$)"
STAMPED = re.compile(_STAMP)
"""The beginning of a line that has a time."""
_STAMPS = re.compile(rf"\n{_STAMP}", re.M)
_OLD_PATTERNS = [(kind, re.compile(pattern)) for kind, pattern in _OLD]
_NEW_PATTERNS = _by_first_word(_NEW)
_CANDIDATE = re.compile(
    rf"\n\ufeff?({_SECOND}(?:\.(\d{{1,9}}))?Z?) "
    rf"(?:(?:INFO|WARN|ERROR) *- (.*)|((?:{'|'.join(_NEW_PATTERNS)})\b.*))"
)
_JOINED = re.compile(r"20(?<=[\w.)]20)[\d-]{8}T[\d:]{8}\.\d{3,9}Z ")
"""The first stamp of a file that follows one without a newline at its end."""
LONGEST_LINE = 1 << 20
"""Characters of an event's line: `docker run` names the whole environment of a container."""
_NEXT_FILE = ("/home/LogFiles/", "Ending Log Tail of existing logs")
"""How what the log tail of Kudu writes after a file begins, without a newline before it."""


def parse(text: str) -> Iterator[Event]:
    """The events in `text`, which consists of whole lines, in the order of the text."""
    for match in _CANDIDATE.finditer(_JOINED.sub(r"\n\g<0>", f"\n{text}")):
        if match.end() - match.start() > LONGEST_LINE:
            continue
        stamp, fraction, old, new = match.groups()
        if old is not None:
            found = _match(_OLD_PATTERNS, old)
        else:
            found = _match(_NEW_PATTERNS[_first_word(new)], new)
        if found and len(fraction or "") in _digits(found[0], is_old=old is not None):
            yield _event(stamp_time(stamp), *found)


def _digits(kind: Kind, *, is_old: bool) -> range:
    """How many digits the fraction of a line's stamp may have.

    Where the old format is written, the platform's stamps have three and the app's nine; in the new
    one both have up to seven.
    """
    if kind in (Kind.LAUNCHER, Kind.COLLECTOR_EXITED):
        return range(10)
    # Lines about Docker's answers occur in logs of the new format too (promptflow#3898).
    return range(3, 4) if is_old and kind is not Kind.PULL_PROBLEM else range(8)


def newest_stamp(text: str, latest: float = math.inf) -> str:
    """The newest time in front of a line of `text`, as written; empty if no line has one.

    Times that don't exist, and those after `latest`, don't count.
    """
    stamps = _STAMPS.findall("\n" + text)
    seconds = {one[:19] for one in stamps}
    # Those of the last second differ in the length of their fraction, so that text doesn't sort.
    last = max((one for one in seconds if 0 < stamp_time(one) <= latest), default="")
    if not last:
        return ""
    return max((one for one in stamps if one.startswith(last)), key=stamp_time, default="")


def stamp_time(stamp: str) -> float:
    """The time of a stamp as `STAMPED` finds it, in seconds since the epoch; 0 for one that is no
    time.
    """
    fraction = stamp[19:].strip(".Z") or "0"
    part = float(f"0.{fraction}") if fraction.isascii() and fraction.isdigit() else 0.0
    return _seconds(stamp[:10], stamp[11:19]) + part


@lru_cache(maxsize=4096)
def _seconds(day: str, time: str) -> int:
    try:
        return timegm(datetime.fromisoformat(f"{day}T{time}").timetuple())
    except ValueError:
        return 0


def _match(patterns: list[_Pattern], line: str) -> tuple[Kind, dict[str, str]] | None:
    for beginning in _NEXT_FILE:
        line = line.partition(beginning)[0]
    line = line.rstrip()
    for kind, pattern in patterns:
        if match := pattern.fullmatch(line):
            return kind, {name: value or "" for name, value in match.groupdict().items()}
    return None


def _event(time: float, kind: Kind, found: dict[str, str]) -> Event:
    container, image, text = (found.get(name, "") for name in ("container", "image", "text"))
    if run := found.get("run"):
        container, image, text = _created(run)
    if tag := found.get("tag"):
        image = f"{found['repository']}:{tag}"
    if response := found.get("json"):
        text = _docker_message(response)
    number = float(found["number"]) if "number" in found else None
    at = None
    if moment := found.get("at"):
        month, day, year = moment[:10].split("/")
        at = float(_seconds(f"{year}-{month}-{day}", moment[11:]))
    return Event(time, kind, container, image, number, text, found.get("details", ""), at)


def _created(run: str) -> tuple[str, str, str]:
    """The container and the image in `docker run` arguments, and all words that may be the image.

    The image is the first word that is no option. The environment may hold the app's image too, in
    a companion's arguments as well.
    """
    words = iter(run.split())
    container, others = "", []
    for word in words:
        if word in ("-e", "-p", "-v"):
            next(words, "")
        elif word == "--name":
            container = next(words, "")
        elif not word.startswith("-"):
            others.append(word)
    return container, others[0] if others else "", " ".join(others)


def _docker_message(response: str) -> str:
    try:
        return str(json.loads(response)["message"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return response
