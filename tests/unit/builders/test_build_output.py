"""What a builder's output says about the cause of a failure."""

from __future__ import annotations

import time

import pytest

from azext_otelembed.builders.build_output import NO_BASE
from azext_otelembed.redaction import MAX_LINE


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("ERROR: FROM from.example/a: 401 Unauthorized", True),
        ("FROM a\nmkdir: permission denied", False),
        ("pull access denied for shop", True),
        ("fromage: denied", False),
    ],
)
def test_a_base_that_is_refused_is_found_in_its_own_line(text: str, refused: bool) -> None:
    assert bool(NO_BASE.search(text)) == refused


def test_a_long_line_of_an_engine_takes_little_time() -> None:
    began = time.process_time()
    assert NO_BASE.search("from " * (MAX_LINE // 5)) is None
    assert time.process_time() - began < 1
