"""`az otelembed logs`: a site's container log, each line with its source."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TextIO

from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.console import Console, write_line
from azext_otelembed.errors import AzureFailed, DeadlineExceeded, NotFound
from azext_otelembed.printable import one_line
from azext_otelembed.redaction import Secrets
from azext_otelembed.verification.log_lines import OURS, LogLine, LogTail, Source, log_lines
from azext_otelembed.webapp.observe import read_site

INTERVAL = 2.0
"""Seconds between two reads of a log that is followed."""
_PATIENCE = 120.0
"""Seconds that one round of requests may take while a log is followed."""
_BROKEN_PIPE = 141  # 128 + SIGPIPE
_STYLES = {Source.PLATFORM: "dim", Source.OTELEMBED: "cyan", Source.COLLECTOR: "cyan"}


def read_log(
    session: Session, site: SiteId, console: Console, most: int, *, ours: bool
) -> list[dict[str, Any]]:
    """The last `most` lines of the container log; with `ours`, those of launcher and collector.

    Each has `time`, `source` and `text`; secrets are masked. Raises `NotFound`, `Unauthorized` and
    `AzureFailed`.
    """
    client = SiteClient(session, site)
    text = _read(client)
    lines = _chosen(log_lines(text), most, ours=ours)
    if not lines:
        console.note(_nothing(site, text, ours=ours))
    return [_shown(line, session.secrets) for line in lines]


def follow_log(
    session: Session,
    site: SiteId,
    console: Console,
    most: int,
    show: Callable[[dict[str, Any]], None],
    *,
    ours: bool,
) -> NoReturn:
    """Calls `show` for the last `most` lines, and then for each new one, until a signal arrives.

    A read that fails is repeated: the log of a site that is being restarted may be unavailable.
    Raises `NotFound` and `Unauthorized`.
    """
    client = SiteClient(session, site)
    tail = LogTail()
    is_first, is_failing = True, False
    while True:
        session.deadline.extend(_PATIENCE)
        try:
            text = _read(client)
        except (AzureFailed, DeadlineExceeded) as failed:
            if is_first:
                raise
            if not is_failing:
                console.note(f"{failed.message} The log is read again every {INTERVAL:.0f} s.")
            is_failing = True
        else:
            is_failing = False
            lines = tail.update(text)
            if tail.has_gap:
                console.note("Lines of the container log may be missing here: it was replaced.")
            for line in _chosen(lines, most if is_first else len(lines), ours=ours):
                show(_shown(line, session.secrets))
            is_first = False
        session.deadline.sleep(INTERVAL, "the log was read again")


def writer(stream: TextIO, *, as_json: bool) -> Callable[[dict[str, Any]], None]:
    """Writes lines to `stream`: as text, in colours on a terminal, or each as a JSON object."""
    put = _put_json if as_json else _put_coloured if stream.isatty() else _put_text

    def show(line: dict[str, Any]) -> None:
        try:
            put(stream, line)
        except BrokenPipeError:
            # The reader has gone (`| head`). Python would complain when it flushes at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
            raise SystemExit(_BROKEN_PIPE) from None

    return show


def _put_json(stream: TextIO, line: dict[str, Any]) -> None:
    write_line(stream, json.dumps(line))


def _put_text(stream: TextIO, line: dict[str, Any]) -> None:
    write_line(stream, _text(line))


def _put_coloured(stream: TextIO, line: dict[str, Any]) -> None:
    from rich.console import Console as RichConsole
    from rich.text import Text

    style = _STYLES.get(Source(line["source"]), "")
    console = RichConsole(file=stream, highlight=False, soft_wrap=True)
    console.print(Text(_text(line), style=style), soft_wrap=True)


def _text(line: dict[str, Any]) -> str:
    """A line for a person: time, source, text."""
    return f"{str(line['time'] or '')[:19]:<19}  {line['source']:<9}  {line['text']}"


def _read(client: SiteClient) -> str:
    """The log. The settings are read after it, so that every secret in it that is set is known."""
    try:
        text = client.container_log()
    except NotFound:
        read_site(client)
        raise
    client.settings()
    return text


def _chosen(lines: Iterable[LogLine], most: int, *, ours: bool) -> list[LogLine]:
    found = [line for line in lines if not ours or line.source in OURS]
    return found[max(len(found) - most, 0) :]


def _shown(line: LogLine, secrets: Secrets) -> dict[str, Any]:
    return {
        "time": _iso(line.stamp),
        "source": line.source.value,
        "text": one_line(secrets.mask(line.text)),
    }


def _iso(stamp: str) -> str | None:
    """A stamp in the form of ISO 8601; App Service writes all of them in UTC."""
    return f"{stamp.replace(' ', 'T').rstrip('Z')}Z" if stamp else None


def _nothing(site: SiteId, text: str, *, ours: bool) -> str:
    """Why there are no lines."""
    if not text.strip():
        turn_on = ("--docker-container-logging", "filesystem")
        command = site.command("webapp log config", *turn_on)
        return (
            f"The container log of {site} is empty. If it isn't written, `{command}` turns it on."
        )
    deploy = site.command("otelembed deploy", "--collector-logs", "stderr")
    return (
        "The container log has no lines of the launcher or the collector. The collector's own "
        f"logs are discarded, unless the image is made with `{deploy}`."
        if ours
        else "The container log has no whole line yet."
    )
