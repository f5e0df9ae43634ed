"""JSON of registries and token servers. Functions return None for JSON of another shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from azext_otelembed import strict_json


def parse(body: bytes | str) -> Any:
    """The value; None for invalid JSON."""
    try:
        return strict_json.parse(body)
    except ValueError:
        return None


def parse_object(body: bytes | str) -> dict[str, Any] | None:
    """A JSON object."""
    found = parse(body)
    return found if isinstance(found, dict) else None


def tags(body: bytes) -> list[str] | None:
    """The tags on one page of a tag list."""
    listed = _list(body, "tags")
    named = listed is not None and all(isinstance(tag, str) for tag in listed)
    return listed if named else None


def manifests(body: bytes) -> list[Mapping[str, Any]] | None:
    """The descriptors in an image index."""
    listed = _list(body, "manifests")
    described = listed is not None and all(isinstance(entry, dict) for entry in listed)
    return listed if described else None


def entries(body: bytes, name: str) -> list[Any] | None:
    """The array `name` of a JSON object."""
    return _list(body, name)


def _list(body: bytes, name: str) -> list[Any] | None:
    found = parse_object(body)
    if found is None or name not in found:
        return None
    # Go's encoders, and with them many registries, write an empty list as null.
    listed = [] if found[name] is None else found[name]
    return listed if isinstance(listed, list) else None
