"""What can go wrong when an image is made."""

from __future__ import annotations


class BuildError(Exception):
    """A tool is missing or failed. The message says what to do about it."""
