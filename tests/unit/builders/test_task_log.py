"""The log of a run, cut into lines."""

from __future__ import annotations

import pytest

from azext_otelembed.builders.task_log import LineSplitter
from azext_otelembed.redaction import LEFT_OUT


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"one\ntwo\r\n\r\nthree", ["one", "two", "", "three"]),
        (b"10%\r50%\r100%\r\r\nnext\r\n", ["100%", "next"]),
        ("größe\r\n".encode(), ["größe"]),
        (b"\xff\r\n", ["\ufffd"]),
        (b"\x1b[91mred\x1b[0m and \x1b]0;title\x07\r\n", ["red and \x1b]0;title\x07"]),
        (b"  indented\t\r\n", ["  indented"]),
        (b"", []),
    ],
)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_lines_are_the_same_however_they_arrive(data: bytes, lines: list[str], size: int) -> None:
    reading = LineSplitter()
    found = [
        line for at in range(0, len(data), size) for line in reading.feed(data[at : at + size])
    ]
    assert found + reading.flush() == lines


@pytest.mark.parametrize("size", [10_000, 1_000_000])
def test_a_line_that_would_have_to_be_cut_is_left_out_as_a_whole(size: int) -> None:
    # A secret across a cut wouldn't be recognised in either half.
    reading = LineSplitter()
    data = b"first\n" + b"x" * 1_000_000 + b"\nnext\n" + b"y" * 1_000_000
    found = [
        line for at in range(0, len(data), size) for line in reading.feed(data[at : at + size])
    ]
    assert found + reading.flush() == ["first", LEFT_OUT, "next", LEFT_OUT]
