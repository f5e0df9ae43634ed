"""The error of image builds."""

from __future__ import annotations


class BuildError(Exception):
    """A tool is missing or failed. The message says how to fix it."""
