"""JSON documents as registries store them: read strictly, written the same way every time."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

from azext_otelembed.errors import InvalidImage

Document = dict[str, Any]

# The OCI distribution spec lets registries refuse manifests above 4 MiB; configs stay far below.
LIMIT = 4 * 1024 * 1024


def load(data: bytes, what: str) -> Document:
    """Read a JSON object. `what` names it in errors, e.g. "the image's manifest".

    Raises InvalidImage for anything but one well-formed UTF-8 object of at most 4 MiB.
    """
    if len(data) > LIMIT:
        raise InvalidImage(f"{what} is {len(data)} bytes long; at most {LIMIT} are read.")
    try:
        document = json.loads(
            data.decode("utf-8"),
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_short,
        )
    except (ValueError, RecursionError) as error:
        raise InvalidImage(f"{what} is not valid JSON: {_reason(error)}.") from error
    if not isinstance(document, dict):
        raise InvalidImage(f"{what} is not a JSON object.")
    return document


def dump(document: Document) -> bytes:
    """Write a document compactly, keys in the order they have: equal documents, equal bytes."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _short(text: str) -> int:
    # Reading n digits takes n² steps, and Pythons before 3.11 have no limit of their own.
    if len(text) > 100:
        raise ValueError("a number has more than 100 digits")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"byte {error.start} is not UTF-8"
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    return str(error)


def renderings(document: Document) -> Iterator[bytes]:
    """The usual ways to write a document, ours first.

    Docker's Go escapes `<`, `>` and `&` and indents manifests by three spaces; others write UTF-8
    as it is, indent by two, or end with a newline.
    """
    for indent in (None, 3, 2, 4):
        separators = (",", ":") if indent is None else (",", ": ")
        for ascii_only in (True, False):
            text = json.dumps(
                document, indent=indent, separators=separators, ensure_ascii=ascii_only
            )
            variants = [text] if ascii_only else [text, _go_escaped(text)]
            for variant in dict.fromkeys(variants):
                data = variant.encode("utf-8", "surrogatepass")
                yield data
                yield data + b"\n"


def _go_escaped(text: str) -> str:
    # These characters can only stand inside strings, so replacing them anywhere is safe.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
