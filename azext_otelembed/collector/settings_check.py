"""Checks that sections share: unknown keys, kinds of values, numbers and durations.

A value that comes from `${…}` is not known here: every check accepts it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator

from azext_otelembed.collector.expansion import unknown
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node

Path = tuple[str, ...]

LARGEST_UINT32 = 2**32 - 1
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
_QUANTITY = re.compile(r"([0-9]{0,19}(?:\.[0-9]{0,19})?)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_LONGEST_NUMBER = 40


def unknown_keys(
    node: Node | None, known: Iterable[str], path: Path, removed: dict[str, str] | None = None
) -> Iterator[Problem]:
    """An error for each key that the collector doesn't know; `removed` says what replaces one."""
    names = sorted(known)
    for key, value in node.items if node is not None else ():
        if key in names:
            continue
        advice = (removed or {}).get(key, "")
        near = difflib.get_close_matches(key, names, 1, 0.6)
        if not advice and near:
            advice = f"Did you mean '{near[0]}'?"
        advice = advice or f"Known keys are {', '.join(names)}."
        place = f" in {'::'.join(path)}" if path else ""
        yield Problem.of(value, (*path, key), f"the key '{key}' is unknown{place}.", advice)


def mapping(node: Node | None, path: Path) -> Iterator[Problem]:
    """An error if a value is neither a mapping nor empty."""
    if node is not None and node.kind not in ("map", "null") and not unknown(node):
        yield Problem.of(
            node,
            path,
            f"'{path[-1]}' must be a mapping.",
            f"Write '{path[-1]}:' and its keys below.",
        )


def number(node: Node | None) -> float | None:
    """The value of a number as go.yaml.in/yaml/v3 reads it: 010 is 8. None for other values."""
    if node is None or node.scalar not in ("int", "float") or node.text is None:
        return None
    text = node.text.replace("_", "")
    if len(text) > _LONGEST_NUMBER:
        return None
    sign = -1 if text.startswith("-") else 1
    digits = text.lstrip("+-")
    for prefix, base in (("0x", 16), ("0b", 2), ("0o", 8), ("0", 8)):
        if node.scalar == "int" and digits.startswith(prefix):
            try:
                return sign * int(digits.removeprefix(prefix) or "0", base)
            except ValueError:
                continue
    try:
        return sign * (float(digits) if node.scalar == "float" else int(digits))
    except ValueError:
        return None


def uint32(node: Node | None, path: Path, least: int = 0) -> Iterator[Problem]:
    """An error for a value that is no whole number from `least` to 2³²-1."""
    if node is None or node.kind == "null" or unknown(node):
        return
    value = number(node)
    if value is None or not least <= value <= LARGEST_UINT32:
        yield Problem.of(
            node,
            path,
            f"'{path[-1]}' of '{path[-2]}' must be a number from {least} to {LARGEST_UINT32}.",
            f"Write a whole number without quotes and unit, e.g. '{path[-1]}: 512'.",
        )


def duration(node: Node | None) -> float | None:
    """A duration in seconds, as Go's time.ParseDuration reads it; None if it can't.

    A plain number is nanoseconds, and nothing is 0.
    """
    if node is None or node.kind == "null":
        return 0.0
    nanoseconds = number(node)
    if nanoseconds is not None:
        return nanoseconds * 1e-9
    if node.scalar != "string" or node.text is None:
        return None
    text = node.text[1:] if node.text[:1] in ("+", "-") else node.text
    if text == "0":
        return 0.0
    seconds, end = 0.0, 0
    while end < len(text):
        found = _QUANTITY.match(text, end)
        if found is None or found[1] in ("", "."):
            return None
        seconds += float(found[1]) * _UNITS[found[2]]
        end = found.end()
    if not text:
        return None
    return -seconds if node.text.startswith("-") else seconds


def durations(node: Node | None, keys: Iterable[str], path: Path) -> Iterator[Problem]:
    """An error for each of the keys whose value is no duration."""
    for key in keys:
        value = node.get(key) if node is not None else None
        if value is not None and not unknown(value) and duration(value) is None:
            yield Problem.of(
                value,
                (*path, key),
                f"'{key}' of '{path[-1]}' is not a duration.",
                f"Write a number and a unit (ms, s, m, h), e.g. '{key}: 1s'.",
            )
