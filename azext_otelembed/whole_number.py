"""Whole numbers in text of others: app settings, labels, headers, configurations."""

from __future__ import annotations

import re

_DIGITS = re.compile(r"[0-9]+")


def whole_number(text: str, largest: int) -> int | None:
    """The number from 0 to `largest` that ASCII digits write; None for any other text.

    `int` isn't meant for text of others: it accepts other scripts' digits, spaces and underscores,
    `str.isdigit` accepts `²`, and with more than 4300 digits `int` raises (Python 3.11, "Integer
    string conversion length limitation") or takes n² steps.
    """
    if not _DIGITS.fullmatch(text):
        return None
    digits = text.lstrip("0") or "0"
    if len(digits) > len(str(largest)):
        return None
    number = int(digits)
    return number if number <= largest else None
