"""Paths that arguments name."""

from __future__ import annotations

from pathlib import Path

from azext_otelembed.errors import InvalidInput


def local_path(text: str, option: str) -> Path:
    """The path, with `~` expanded. Raises `InvalidInput`, naming `option`, for an invalid path."""
    try:
        path = Path(text).expanduser()
        path.exists()
    except (OSError, RuntimeError, ValueError) as error:
        # A part that is too long or can't be read; `~name` of an unknown user; a NUL.
        shown = text if len(text) <= 100 else f"{text[:100]}…"
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(
            f"{option} '{shown}' isn't a path that can be used: {reason}.",
            "Check the path and its permissions.",
        ) from None
    return path
