"""The log of a run, cut into lines."""

from __future__ import annotations

import pytest

from azext_otelembed.builders.task_log import LineSplitter


@pytest.mark.parametrize(
    ("data", "lines"),
    [
        (b"one\r\ntwo\r\n", ["one", "two"]),
        (b"one\ntwo\r\n\r\nthree", ["one", "two", "", "three"]),
        (b"10%\r50%\r100%\r\r\nnext\r\n", ["100%", "next"]),
        ("größe\r\n".encode(), ["größe"]),
        (b"\xff\r\n", ["\ufffd"]),
        (b"\x1b[91mred\x1b[0m and \x1b]0;title\x07\r\n", ["red and ]0;title"]),
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


def test_a_line_without_an_end_is_cut() -> None:
    reading = LineSplitter()
    found = [line for _ in range(100) for line in reading.feed(b"x" * 10_000)]
    assert max(map(len, found)) < 80_000
    assert sum(map(len, found + reading.flush())) == 1_000_000
