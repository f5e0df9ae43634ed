"""The lines of a container log, each with its source: App Service, app or collector. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from azext_otelembed.verification.collector_log import END
from azext_otelembed.verification.container_log import new_pieces
from azext_otelembed.verification.platform_log import LONGEST_LINE, STAMPED, Kind, parse, stamp_time


class Source(Enum):
    """What wrote a line."""

    PLATFORM = "platform"
    APP = "app"
    OTELEMBED = "otelembed"
    COLLECTOR = "collector"


OURS = (Source.OTELEMBED, Source.COLLECTOR)
"""The sources of `logs --collector`."""
_KINDS = {Kind.LAUNCHER: Source.OTELEMBED, Kind.COLLECTOR_EXITED: Source.OTELEMBED}
_PLATFORM = re.compile(
    r"State: (?:Starting|Started|Stopping|Stopped|Blocked), Action: "
    r"|Container (?:start method (?:called|finished)|is (?:starting|running|terminat)"
    r"|spec TerminationMessagePolicy |get mounts received |pull image failed with )"
    r"|(?:Starting (?:watchers and probes|metrics collection)|Mounting volumes)\."
    r"|Creating container\."
    r"|Establishing (?:user namespace|network)|Nested mountpoint "
    r"|Creating (?:pipes for streaming container io|std(?:out|err) named pipe at )"
    r"|(?:Successfully (?:created|opened)|Opening) (?:std(?:out|err) )?named pipe"
    r"|Successfully removed non-blocking flag from /podr/|Stop and delete container\. "
    r"|(?:Site|Kudu): \S+ stopped\.|Start site prohibitted"
)
"""Lines of App Service that are no events, as they begin in the logs of tests/platform_logs."""
_OLD_PLATFORM = re.compile(r"(?:INFO |WARN |ERROR) - ")
_COLLECTOR = re.compile(
    r"20[\d-]{8}T[\d:]{8}\.\d{3}(?:Z|[+-]\d{4})\t(?:debug|info|warn|error|dpanic|panic|fatal)"
    r"\t(?:service@v\d\S*\.go:\d{1,9}\t"
    r'|\S+\.go:\d{1,9}\t.*\{"resource": \{"service\.)'
    rf"|{END.pattern}"
)
"""A line of the collector's own log: zap's console encoder with the collector's resource, or the
last lines of one that exits. As the collector of release 0.150.0 writes them."""


_MOST_KNOWN = 1_000_000
"""Lines of a followed log that are known again: more than an answer has."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line: its time as written, which may be empty, in seconds, its source and its text."""

    stamp: str
    time: float
    source: Source
    text: str

    @property
    def is_unfinished(self) -> bool:
        """Whether its text goes on in the next line."""
        return not self.text.strip() or self.text.rstrip().endswith(":")


def log_lines(text: str) -> list[LogLine]:
    """The lines of `text`, sorted by time. One without a time belongs to the line before it.

    Only lines that match App Service's grammar are App Service's; an app that writes the very same
    text can't be told apart.
    """
    found: list[LogLine] = []
    stamp, time, source = "", 0.0, Source.APP
    for line in text.split("\n"):
        if match := STAMPED.match(line):
            stamp = match[1]
            time = stamp_time(stamp)
            rest = line[match.end() :].removeprefix(" ")
            source = _source(line, stamp, rest, found[-1] if found else None)
        elif line:
            rest = line
            is_collector = source is Source.COLLECTOR or _COLLECTOR.match(rest)
            source = Source.COLLECTOR if is_collector else Source.APP
        else:
            continue
        found.append(LogLine(stamp, time, source, rest.rstrip("\r")))
    return sorted(found, key=lambda one: one.time)


def _source(line: str, stamp: str, rest: str, before: LogLine | None) -> Source:
    if len(line) <= LONGEST_LINE and (event := next(parse(f"{line}\n"), None)) is not None:
        return _KINDS.get(event.kind, Source.PLATFORM)
    is_old = len(stamp.partition(".")[2].rstrip("Z")) == 3 and _OLD_PLATFORM.match(rest)
    if is_old or _PLATFORM.match(rest):
        return Source.PLATFORM
    # The reason of an exit has several lines.
    goes_on = before is not None and before.source is Source.COLLECTOR and before.is_unfinished
    return Source.COLLECTOR if goes_on or _COLLECTOR.match(rest) else Source.APP


class LogTail:
    """A container log that is read again and again: `update` returns the lines that are new.

    `has_gap`: the last answer has none of the lines before, so that lines may be missing. An answer
    may also be one of before again: of another instance, or of a log that was cut in between.
    """

    def __init__(self) -> None:
        self._text = ""
        self._known: dict[int, None] = {}
        self.has_gap = False

    def update(self, text: str) -> list[LogLine]:
        """The lines of the next answer that the ones before don't have, sorted by time."""
        whole = text[: text.rfind("\n") + 1]
        self.has_gap = False
        if not whole:
            return []  # the log of a site that is being restarted
        pieces, joined = new_pieces(self._text, whole)
        read = "".join(pieces)
        new, is_known = self._without_known(read)
        self.has_gap = not joined and not is_known and bool(self._text)
        self._text = whole
        return log_lines(new)

    def _without_known(self, text: str) -> tuple[str, bool]:
        """The text without the lines that were read before: those with a time, and the lines that
        belong to them. And whether there are any.
        """
        kept: list[str] = []
        stamped = ""
        seen: list[int] = []
        for line in text.split("\n"):
            if STAMPED.match(line):
                stamped = line
            key = hash((stamped, line))
            # Without a time before it, an equal line is another one.
            if not stamped or key not in self._known:
                kept.append(line)
            seen.append(key)
        count = len(seen) - len(kept)
        self._known.update(dict.fromkeys(seen))
        while len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]
        return "\n".join(kept), count > 0
