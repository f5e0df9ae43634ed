"""Names of components and pipelines: `type` or `type/name`."""

from __future__ import annotations

import re
import unicodedata

_TYPE = re.compile(r"[A-Za-z][0-9A-Za-z_]{0,62}", re.ASCII)
_LONGEST_NAME = 1024
GRAMMAR = (
    "A name is a type (letters, digits and '_') or type/name; the part behind '/' has no spaces, "
    "control characters or symbols such as + < $."
)


def component_id(text: str) -> str | None:
    """The name as the collector reads it, without spaces around its parts; None if it refuses it.

    A name has 1 to 1024 bytes in UTF-8 (open-telemetry/opentelemetry-collector,
    component/identifiable.go; pipeline/pipeline.go for pipelines).
    """
    kind, slash, name = text.partition("/")
    kind, name = kind.strip(), name.strip()
    if not _TYPE.fullmatch(kind):
        return None
    if not slash:
        return kind
    if not name or len(name.encode("utf-8", "replace")) > _LONGEST_NAME:
        return None
    if any(unicodedata.category(character)[0] in "ZCS" for character in name):
        return None
    return f"{kind}/{name}"


def component_type(identifier: str) -> str:
    """The part before the slash."""
    return identifier.partition("/")[0]
