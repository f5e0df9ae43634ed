"""Values of HTTP headers: dates, Retry-After and Link."""

from __future__ import annotations

import math
import re
import time
from email.utils import parsedate_to_datetime

_LINK = re.compile(r"<([^<>]*)>((?:\s*;\s*[^\s;,=\"]+(?:\s*=\s*(?:\"[^\"]*\"|[^\s;,\"]*))?)*)")
_REL = re.compile(r";\s*rel\s*=\s*(?:\"([^\"]*)\"|([^\s;,\"]*))", re.IGNORECASE)
_DAY = 86400.0
"""Seconds."""

_SECONDS = re.compile(r"[0-9]{1,100}(?:\.[0-9]{0,100})?")
_LONGEST = 10.0**9
_LONGEST_DATE = 100
"""Characters. The parser of dates calls `int` for each run of digits."""


def timestamp(header: str | None) -> float | None:
    """Seconds since the epoch (RFC 9110, 5.6.7); None for a value that isn't a date."""
    if len(header or "") > _LONGEST_DATE:
        return None
    try:
        return parsedate_to_datetime(header or "").timestamp()
    except (ValueError, OverflowError):
        return None


def retry_after_seconds(header: str | None) -> float | None:
    """Retry-After in seconds, from a number or a date (RFC 9110, 10.2.3)."""
    if not header:
        return None
    if _SECONDS.fullmatch(header.strip()):
        return min(float(header), _LONGEST)
    at = timestamp(header)
    return None if at is None else min(max(0.0, at - time.time()), _LONGEST)


def again_after(seconds: float | None) -> str:
    """The advice to wait as long as Retry-After asks; empty without one, or for over a day."""
    if not seconds or seconds > _DAY:
        return ""
    return f"Run the same command again in {math.ceil(seconds)} seconds."


def next_page(link: str | None) -> str | None:
    """The address of the next page in a Link header (RFC 8288, 3). ACR's is relative."""
    for found in _LINK.finditer(link or ""):
        relation = _REL.search(found.group(2))
        if relation and "next" in (relation.group(1) or relation.group(2) or "").lower().split():
            return found.group(1)
    return None
