"""JSON of services and images, read strictly: one value, or the reason why it isn't valid."""

from __future__ import annotations

import json
import math
import re
from typing import Any

MAX_DEPTH = 100
"""Objects and lists inside of each other. Documents of Azure and of registries have about ten."""
MAX_PARTS = 250_000
"""Objects and lists of a document: each costs some hundred bytes of memory, and two of text."""
MAX_DIGITS = 100
"""Parsing n digits takes n² steps, and Python before 3.11 has no limit."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_TOO_DEEP = "it is nested too deeply"


def parse(data: bytes | str) -> Any:
    """The value of a JSON document in UTF-8 (RFC 8259).

    Raises `ValueError` with the reason, which quotes nothing of the document. Beyond Python's own
    parser it refuses what two readers may understand differently (RFC 8259, sections 4, 6 and 8):
    a name that occurs twice in an object, NaN and infinities, numbers that are too long, lone
    surrogates; and more than `MAX_DEPTH` levels, which later recursive code can't process, or more
    than `MAX_PARTS`.
    """
    try:
        if isinstance(data, str):
            data.encode("utf-8")
        text = data if isinstance(data, str) else data.decode("utf-8")
        _check_text(text)
        value = DECODER.decode(text)
        check_value(text, value)
    except (ValueError, RecursionError) as error:
        raise ValueError(_reason(error)) from None
    return value


def check_value(text: str, value: Any) -> None:
    """Checks what `DECODER` doesn't: the depth of a value, and surrogates in its `text`.

    Raises `ValueError`.
    """
    if _count_parts(text) > MAX_DEPTH:
        _check_depth(value)
    if _SURROGATE.search(text):
        # A pair of them has become one character, which UTF-8 can encode.
        json.dumps(value, ensure_ascii=False).encode("utf-8")


def _check_text(text: str) -> None:
    if text.startswith("\ufeff"):
        raise ValueError("it begins with a byte order mark (BOM)")
    if _count_parts(text) > MAX_PARTS:
        raise ValueError(f"it has more than {MAX_PARTS} objects and lists")


def _count_parts(text: str) -> int:
    return text.count("[") + text.count("{")


def _parse_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _parse_int(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise ValueError(f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _parse_float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _check_depth(value: Any) -> None:
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        inner: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                inner += one.values()
            elif isinstance(one, list):
                inner += one
        level = [one for one in inner if isinstance(one, dict | list)]
        if not level:
            return
    raise ValueError(_TOO_DEEP)


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    if isinstance(error, UnicodeEncodeError):
        return "it has half of a surrogate pair"
    if isinstance(error, RecursionError):
        return _TOO_DEEP
    return str(error)


DECODER = json.JSONDecoder(
    object_pairs_hook=_parse_object,
    parse_constant=_refuse_constant,
    parse_float=_parse_float,
    parse_int=_parse_int,
)
"""The decoder of `parse`, for readers of parts of a document; see `check_value`."""
