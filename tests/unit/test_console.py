"""What a step says where there is no terminal; text of others and several threads, with one too."""

from __future__ import annotations

import contextlib
import io
import json
import re
import time
from collections import Counter

import pyte
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.text import Text

from azext_otelembed import console
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.console import Console
from azext_otelembed.parallel import map_concurrently
from azext_otelembed.progress import Progress
from azext_otelembed.release.fleet import Fleet, SiteConsole, SiteRun
from tests.ci_commands import HOSTILE, executed


@pytest.fixture
def interval(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(console, "PLAIN_INTERVAL", 0.2)
    return 0.2


def test_a_long_transfer_tells_its_bytes_and_their_rate_now_and_then(interval: float) -> None:
    said = io.StringIO()
    began = time.monotonic()
    with Console(stream=said).step("embed") as step:
        for done in range(6):
            step.report(Progress("copying the collector", done * 1_000_000, 150_000_000))
            time.sleep(interval * 0.4)
    *lines, last = said.getvalue().splitlines()
    told = [
        re.fullmatch(
            r"otelembed: embed: copying the collector (\d\.\d)/150\.0 MB (\d+\.\d) MB/s", line
        )
        for line in lines
    ]
    assert 1 <= len(told) <= (time.monotonic() - began) / interval
    assert all(found and float(found[1]) > 0 and 0 < float(found[2]) < 13 for found in told)
    assert last.startswith("otelembed: embed: copying the collector (")


def test_what_follows_a_transfer_tells_no_bytes(interval: float) -> None:
    said = io.StringIO()
    with Console(stream=said).step("embed") as step:
        step.report(Progress("copying the collector", 10, 20))
        time.sleep(interval)
        step.report(Progress("preparing it"))
    assert said.getvalue().splitlines()[0] == "otelembed: embed: preparing it"


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def _say_everything(said: Console, text: str) -> None:
    said.stands(text)
    said.note(text)
    said.plain(text)
    said.tell(text, text)
    said.alert(text, text)
    with said.step("embed") as step:
        step.say(text)
        step.say(text, 1, 2)
    with contextlib.suppress(ValueError), said.step(text) as step:
        step.report(Progress(text))
        raise ValueError
    said.end(f"otelembed: SIGINT received: {said.standing}.")


SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.mark.parametrize("kind", [io.StringIO, _Terminal])
@given(text=st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(), max_size=40)))
@settings(max_examples=40, deadline=None)
def test_no_untrusted_text_reaches_the_terminal_or_the_log_as_it_is(
    kind: type[io.StringIO], text: str
) -> None:
    harmless, hostile = kind(), kind()
    _say_everything(Console(stream=harmless), "harmless")
    _say_everything(Console(stream=hostile), text)
    of_rich = set(SEQUENCE.findall(harmless.getvalue()))
    assert set(SEQUENCE.findall(hostile.getvalue())) <= of_rich
    rest = SEQUENCE.sub("", hostile.getvalue())
    assert not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]", rest)
    assert executed(rest) == []
    if kind is io.StringIO:
        assert len(rest.splitlines()) == len(harmless.getvalue().splitlines())


def test_marks_of_rich_in_untrusted_text_are_text() -> None:
    terminal = _Terminal()
    _say_everything(Console(stream=terminal), "[bold]a[/bold] [link=https://b]c[/link] :warning:")
    assert "! [bold]a[/bold] [link=https://b]c[/link] :warning:" in SEQUENCE.sub(
        "", terminal.getvalue()
    )


def test_names_in_the_table_of_a_fleet_are_text() -> None:
    run = SiteRun(SiteConsole(SiteId("s", "g", "[link=https://a]x[/link]\x1b[2J:warning:"), True))
    terminal = _Terminal()
    with run.console.step("observe") as step:
        step.say("reading")
        Console(stream=terminal).show(Fleet([run], run.console, None))
    assert "[link=https://a]x[/link]\\x1b[2J:warning:  observe" in SEQUENCE.sub(
        "", terminal.getvalue()
    )


def test_lines_stay_above_a_table_that_changes() -> None:
    terminal = _Terminal()
    console = Console(stream=terminal)
    with console.show_live(Text("one\ntwo\nthree"), refresh_per_second=50):
        console.alert("otelembed: site1: failed (5)", "  first")
        time.sleep(0.1)
        console.alert("otelembed: site2: failed (5)", "  second")
        time.sleep(0.1)
    screen = pyte.Screen(80, 24)
    pyte.Stream(screen).feed(terminal.getvalue().replace("\n", "\r\n"))
    shown = [line.rstrip() for line in screen.display if line.strip()]
    assert shown == [
        *("otelembed: site1: failed (5)", "  first"),
        *("otelembed: site2: failed (5)", "  second"),
    ]


def test_a_long_line_can_be_copied_from_the_terminal() -> None:
    terminal = _Terminal()
    command = "az otelembed wait " + "-g shop-rg " * 30
    Console(stream=terminal).alert("Verify it again with:", f"  {command}")
    assert f"  {command}\n" in terminal.getvalue()


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_characters_that_the_log_cannot_encode_are_escaped(encoding: str) -> None:
    data = io.BytesIO()
    stream = io.TextIOWrapper(data, encoding=encoding, errors="strict")
    _say_everything(Console(stream=stream), "größe → 日本 \ud800")
    assert data.getvalue().decode(encoding).count("\\u2192 \\u65e5\\u672c \\ud800") == 10


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_json_keeps_its_value_in_any_encoding(encoding: str) -> None:
    words = ["größe", "→ 日本 🎉", "a"]
    data = io.BytesIO()
    stream = io.TextIOWrapper(data, encoding)
    console.write(stream, json.dumps(words, ensure_ascii=False))
    assert json.loads(data.getvalue().decode(encoding)) == words


class _Slow(io.StringIO):
    """Other threads run whenever a part of a line is written."""

    def write(self, text: str) -> int:
        done = super().write(text)
        time.sleep(0.0005)
        return done


def test_lines_of_several_threads_are_whole() -> None:
    stream = _Slow()
    console = Console(stream=stream)

    def work(number: int) -> None:
        for _ in range(10):
            console.plain(f"site {number}")
            console.alert(f"site {number} failed", f"  reason {number}")

    map_concurrently(range(8), work)
    lines = stream.getvalue().split("\n")
    assert lines.pop() == ""
    assert Counter(re.sub(r"\d", "N", line) for line in lines) == {
        "otelembed: site N": 80,
        "site N failed": 80,
        "  reason N": 80,
    }
    failed = [at for at, line in enumerate(lines) if "failed" in line]
    assert all(lines[at + 1][-1] == lines[at].split()[1] for at in failed)


def test_nothing_is_written_after_the_last_line() -> None:
    for stream in (io.StringIO(), _Terminal()):
        console = Console(stream=stream)
        console.end("otelembed: SIGINT received: nothing was changed.")
        ended = stream.getvalue()
        _say_everything(console, "too late")
        assert SEQUENCE.sub("", stream.getvalue()).strip("\r\n") == ended.strip("\r\n")
