"""Dates in HTTP headers (RFC 9110, 5.6.7)."""

from __future__ import annotations

from email.utils import parsedate_to_datetime


def timestamp(header: str | None) -> float | None:
    """Seconds since the epoch; None for what isn't a date."""
    try:
        return parsedate_to_datetime(header or "").timestamp()
    except (ValueError, OverflowError):
        return None
