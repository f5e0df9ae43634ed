"""JSON that registries and their token servers answer with. None where it isn't what it should be.

Whoever asked knows how to say what that means.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def parsed(body: bytes | str) -> Any:
    """The value; None where none can be read."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def fields(body: bytes | str) -> dict[str, Any] | None:
    """An object's fields."""
    found = parsed(body)
    return found if isinstance(found, dict) else None


def tags(body: bytes) -> list[str] | None:
    """The tags on one page of a tag list."""
    listed = _list(body, "tags")
    named = listed is not None and all(isinstance(tag, str) for tag in listed)
    return listed if named else None


def manifests(body: bytes) -> list[Mapping[str, Any]] | None:
    """The descriptors in an image index; an entry that can't be one is left out."""
    listed = _list(body, "manifests")
    return None if listed is None else [entry for entry in listed if isinstance(entry, dict)]


def _list(body: bytes, name: str) -> list[Any] | None:
    found = fields(body)
    if found is None or name not in found:
        return None
    # Go's encoders, and with them many registries, write an empty list as null.
    listed = [] if found[name] is None else found[name]
    return listed if isinstance(listed, list) else None
