"""JSON in shapes that nobody expects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

OTHERS: tuple[Any, ...] = (None, True, 5, 10**400, "", "words", [], [1], [None], {}, {"a": 1})
"""One of each shape that a value can have, and some that are odd."""


def reshaped(value: Any) -> Iterator[Any]:
    """A document as often as it has values, each time with another one in place of one, or none."""
    yield from OTHERS
    if isinstance(value, dict):
        for key in value:
            yield {name: kept for name, kept in value.items() if name != key}
            for other in reshaped(value[key]):
                yield {**value, key: other}
    if isinstance(value, list):
        for number, entry in enumerate(value):
            for other in reshaped(entry):
                yield [*value[:number], other, *value[number + 1 :]]
