"""What is shown of a container log: the lines that tell most, without secrets. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

NOISE = re.compile(r"State: \w+, Action: ")
"""Lines of the platform that say again what the ones around them say."""
LONGEST = 30
BEGINNING = 10
"""How many of these lines are of the beginning of a start that is longer."""
OLD = 1000
"""The newest lines from before a start that tell what the old container says all the time."""
TROUBLE = re.compile(
    r"err(?:or|no)?\b|\w+(?:error|exception)|fail|fatal|panic|trace|refused|denied|exit"
    r"|terminat|\bnot\b|n't\b|unable|missing",
    re.I,
)


def newest(lines: Sequence[str]) -> list[str]:
    """The newest lines, LONGEST at most."""
    return _telling(lines)[-LONGEST:]


def of_start(lines: Sequence[str], old: Sequence[str]) -> list[str]:
    """What a log says of a container's start: LONGEST lines at most, and how many it leaves out.

    The container that serves meanwhile logs its requests in between. Where there is too much,
    lines like those from before the start, which are `old`, go first, unless they tell of trouble.
    """
    told = _telling(lines)
    if len(told) > LONGEST:
        known = {_kind(line) for line in old[-OLD:]}
        new = (line for line in told[1:] if TROUBLE.search(line) or _kind(line) not in known)
        told = [told[0], *new]
    between = len(told) - LONGEST
    if between <= 0:
        return told
    return [*told[:BEGINNING], f"[{between} lines more]", *told[BEGINNING - LONGEST :]]


def redact(lines: Iterable[str], secrets: Iterable[str]) -> tuple[str, ...]:
    """The lines with every secret value, and what looks like one, replaced."""
    hidden = sorted({value for value in secrets if value}, key=len, reverse=True)
    shown: list[str] = []
    for line in lines:
        text = line
        for value in hidden:
            # A short value is one only as a word of its own: `true` is no part of `structure`.
            edge = "" if len(value) >= _LONG else r"(?<![\w.-])"
            end = "" if len(value) >= _LONG else r"(?![\w.-])"
            text = re.sub(f"{edge}{re.escape(value)}{end}", "***", text)
        for pattern, instead in _SECRETS:
            text = pattern.sub(instead, text)
        shown.append(text)
    return tuple(shown)


def secrets_of(settings: Mapping[str, str]) -> tuple[str, ...]:
    """The values of app settings, line by line, and the parts of those that are key=value lists.

    Left out are those that tell nothing and would hide a lot: switches, ports, everyday words.
    """
    values: set[str] = set()
    for name, whole in settings.items():
        for value in whole.splitlines():
            parts = [part.partition("=")[2] for part in value.split(";") if "=" in part]
            values.update(one.strip() for one in (value, *parts) if _is_secret(name, one.strip()))
    return tuple(values)


_LONG = 8
_SECRETS = (
    (re.compile(r"(\s-e\s+\w+=)\S*"), r"\1***"),
    # What a Key Vault reference stands for isn't known here.
    (re.compile(r"(InstrumentationKey=)[^;\s\"']+", re.I), r"\1***"),
    (re.compile(r"\beyJ[\w-]{8,}\.[\w.-]{8,}"), "***"),
    (re.compile(r"\b(bearer\s+)[\w.~+/-]{8,}=*", re.I), r"\1***"),
    (re.compile(r"([?&]sig=)[^&\s\"']+", re.I), r"\1***"),
)
"""What is a secret wherever it comes from."""
_PLAIN_NAMES = re.compile(r"PORT|^WEBSITES?_|^SCM_|^DOCKER_(?!.*PASSWORD)|_(LEVEL|ENV|MODE)$", re.I)
_PLAIN_VALUES = re.compile(r"true|false|yes|no|on|off|none|null|\d{1,3}|production|staging", re.I)


def _is_secret(name: str, value: str) -> bool:
    if len(value) < 4 or _PLAIN_VALUES.fullmatch(value):
        return False
    return not (_PLAIN_NAMES.search(name) and len(value) < _LONG)


def _kind(line: str) -> str:
    """What stays of a line from one request to the next: all but paths, numbers and ids."""
    return re.sub(r"/[^\s\"',]*|[\da-f-]*\d[\da-f-]*", "0", line)


def _telling(lines: Sequence[str]) -> list[str]:
    return [line for line in lines if not NOISE.search(line)]
