"""Text of others as text that can be printed."""

from __future__ import annotations

import json
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from knack.output import OutputProducer
from knack.util import CommandResultItem

from azext_otelembed.printable import error_message, one_line, printable, printable_result
from tests.ci_commands import HOSTILE, executed

PIECES = st.sampled_from(
    [
        *("##vso[", "##VSO[", "##[", "##", "#", "vso[", "task.setvariable", "]", ".", "a.b", ";"),
        *("::", ":", "error", "Set-Output", "stop-commands", "[", "]", " ", "  ", "\t", "=", "x"),
        *("\n", "\r", "\r\n", "\x0b", "\x1c", "\x85", "\u2028", "\u2029", "\n  | ", "  | "),
        *("\x1b[31m", "\x1b]8;;", "\x07", "\x9b", "\x00", "\u202e", "\u2066", "\ufeff", "\\"),
        *("\ud800", "\udfff", "\U000e0001", "é", "\u200d", "\ufe0f", "→", "日本", "🎉", "'", '"'),
    ]
)
TEXTS = st.one_of(
    st.lists(PIECES, max_size=30).map("".join),
    st.text(st.characters(), max_size=40),
    st.sampled_from(HOSTILE),
)
ORDINARY = (
    "shop.azurecr.io/apps/shop:1.0-otelembed-0123456789ab",
    "shop.azurecr.io/apps/shop@sha256:" + "0" * 64,
    "/subscriptions/0/resourceGroups/shop-rg/providers/Microsoft.Web/sites/shop/slots/staging",
    "2026-05-17T10:11:12.345Z thread 'main' panicked at core::option::expect_failed: tokio::run",
    "listening on http://[::]:8080, [::1]:80, ::1 and :::3000",
    "gunicorn --bind=0.0.0.0:8000 'app::factory()' -- # comment ## and [x] #[derive(Debug)]",
    "ready in 1 s\tgrüße, καλημέρα, こんにちは\u3000世界, سلام, 👨‍👩‍👧, a\u00a0b",
    "  | indented",
    "",
)


def is_safe(text: str) -> bool:
    """Whether a terminal prints every character, in their order, and UTF-8 can encode them."""
    joiners = "\u200c\u200d"  # of letters and of emojis
    return all(
        each in joiners or unicodedata.category(each) not in ("Cc", "Cs", "Zl", "Zp", "Cf")
        for each in text
        if not ("\u0600" <= each <= "\u08ff" or each >= "\U000110bd")  # signs of some scripts
    )


@given(TEXTS)
def test_one_line_is_one_line_that_nothing_executes(text: str) -> None:
    line = one_line(text)
    assert is_safe(line.replace("\t", ""))
    assert executed(line) == []
    assert len(line.splitlines()) <= 1
    assert one_line(line) == line
    line.encode()


@given(TEXTS)
def test_lines_stay_lines_that_nothing_executes(text: str) -> None:
    lines = printable(text)
    assert is_safe(lines.replace("\t", "").replace("\n", ""))
    assert executed(lines) == []
    assert lines.count("\n") == text.count("\n")
    assert printable(lines) == lines


@pytest.mark.parametrize("text", ORDINARY)
def test_ordinary_text_is_unchanged(text: str) -> None:
    assert one_line(text) == printable(text) == error_message(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m"),
        ("a\x9bb\x00\x7f", "a\\x9bb\\x00\\x7f"),
        ("a\u202eb\U000e0041", "a\\u202eb\\U000e0041"),
        ("\ud800", "\\ud800"),
        ("a\r\n  b\n\nc\u2028d\n", "a b c d"),
        ("a ##vso[task.complete]b", "a #\\#vso[task.complete]b"),
        ("###[error]b", "##\\#[error]b"),
        ("::error::b", ":\\:error::b"),
        ("a\n:::error::b", "a :\\:\\:error::b"),
    ],
)
def test_what_is_changed_stays_readable(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_an_error_keeps_the_lines_that_it_quotes() -> None:
    told = error_message("no\nway. Its last lines:\n  | one\x1b\n  | ::error::two\r\n  x\n")
    assert told == "no way. Its last lines:\n  | one\\x1b\n  | :\\:error::two x\n"


@given(st.lists(TEXTS, max_size=5))
def test_az_prints_no_result_that_is_executed(texts: list[str]) -> None:
    result = {"list": texts, "name": {text: text for text in texts}, "n": 1, "b": None}
    shown = printable_result(json.loads(json.dumps([result, *texts])))
    for name, formatter in OutputProducer._FORMAT_DICT.items():
        if name.endswith("c"):
            continue  # the same with colours
        output = formatter(CommandResultItem(shown))
        assert is_safe(output.replace("\n", "").replace("\t", "")), name
        assert executed(output) == [], name
    assert OutputProducer._FORMAT_DICT["tsv"](CommandResultItem(shown[1:])).count("\n") == len(
        texts
    )


@pytest.mark.parametrize(
    "piece",
    [
        "::",
        " ::a",
        "##",
        "\n",
        " \n",
        "\x1b",
        "##[",
        "\r",
        ": ",
        ":\u200d",
        "#\u200d",
        "::\u200d:x",
    ],
)
def test_the_time_grows_with_the_length(piece: str) -> None:
    began = time.monotonic()
    one_line(piece * 200_000)
    assert time.monotonic() - began < 3
