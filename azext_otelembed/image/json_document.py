"""JSON documents as registries store them: parsed strictly, rendered deterministically."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from azext_otelembed import strict_json
from azext_otelembed.errors import InvalidImage

Document = dict[str, Any]

# The OCI distribution spec lets registries refuse manifests above 4 MiB; configs stay far below.
MAX_BYTES = 4 * 1024 * 1024


def load(data: bytes, what: str) -> Document:
    """Read a JSON object. `what` names it in errors, e.g. "the image's manifest".

    Raises InvalidImage for anything but one well-formed UTF-8 object of at most 4 MiB.
    """
    if len(data) > MAX_BYTES:
        raise InvalidImage(f"{what} is {len(data)} bytes long; at most {MAX_BYTES} are read.")
    try:
        document = strict_json.parse(data)
    except ValueError as error:
        raise InvalidImage(f"{what} is not valid JSON: {error}.") from error
    if not isinstance(document, dict):
        raise InvalidImage(f"{what} is not a JSON object.")
    return document


def dump(document: Document) -> bytes:
    """Render a document compactly, in the order of its keys: equal documents give equal bytes."""
    return json.dumps(document, separators=(",", ":"), allow_nan=False).encode("ascii")


def object_at(document: Mapping[str, Any], key: str) -> Document:
    """A copy of the object under `key`; empty if there is none."""
    found = document.get(key)
    return dict(found) if isinstance(found, dict) else {}


def renderings(document: Document) -> Iterator[bytes]:
    """The usual renderings of a document, that of `dump` first.

    Docker (Go) escapes `<`, `>` and `&` and indents manifests by three spaces; other tools write
    plain UTF-8, indent by two spaces, or end with a newline.
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
    # In JSON these characters occur only in strings, so they can be replaced everywhere.
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text
