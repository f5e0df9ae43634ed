"""Checks of single arguments, before a command starts."""

from __future__ import annotations

import re
from argparse import Namespace

from azure.cli.core.azclierror import InvalidArgumentValueError

from azext_otelembed.printable import one_line
from azext_otelembed.utf8_text import is_utf8

LONGEST_TIMEOUT = 86_400
TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
"""A tag, as the OCI distribution specification defines it."""


def validate_text(namespace: Namespace) -> None:
    """Every argument must be text that UTF-8 can encode, without NUL. Shows no value."""
    for name, value in sorted(vars(namespace).items()):
        texts = [value] if isinstance(value, str) else _flat(value)
        if any("\0" in text or not is_utf8(text) for text in texts):
            option = name.strip("_").replace("_", "-")
            raise InvalidArgumentValueError(
                f"The argument '{option}' has bytes that aren't text in UTF-8.",
                "Give it in UTF-8: `locale charmap` shows the encoding of your terminal.",
            )


def _flat(value: object) -> list[str]:
    """The texts in a list, and in the lists that are its members."""
    found: list[str] = []
    for one in value if isinstance(value, list) else ():
        found += [one] if isinstance(one, str) else _flat(one)
    return found


def validate_tag(namespace: Namespace) -> None:
    """--tag must be a tag alone, without repository or digest."""
    if namespace.tag is not None and not TAG.fullmatch(namespace.tag):
        raise InvalidArgumentValueError(
            f"--tag '{one_line(namespace.tag)}' isn't a valid image tag.",
            "Use at most 128 letters, digits, '_', '.' and '-', such as `--tag 1.4.2`.",
        )


def validate_timeout(namespace: Namespace) -> None:
    """--timeout must be a number of seconds above 0, up to a day."""
    if namespace.timeout is not None and not 0 < namespace.timeout <= LONGEST_TIMEOUT:
        raise InvalidArgumentValueError(
            f"--timeout {namespace.timeout} isn't a number of seconds from 1 to {LONGEST_TIMEOUT}.",
            "Give a number of seconds, such as `--timeout 600`, or omit the option.",
        )


def validate_telemetry_wait(namespace: Namespace) -> None:
    """--wait-for-telemetry must be a number of seconds above 0, up to a day."""
    seconds = namespace.wait_for_telemetry
    if seconds is not None and not 0 < seconds <= LONGEST_TIMEOUT:
        raise InvalidArgumentValueError(
            f"--wait-for-telemetry {seconds} isn't a number of seconds from 1 to "
            f"{LONGEST_TIMEOUT}.",
            "Give a number of seconds, such as `--wait-for-telemetry 300`.",
        )


def validate_wait(namespace: Namespace) -> None:
    """--wait must be a number of seconds, up to a day."""
    if not 0 <= namespace.wait <= LONGEST_TIMEOUT:
        raise InvalidArgumentValueError(
            f"--wait {namespace.wait} isn't a number of seconds from 0 to {LONGEST_TIMEOUT}.",
            "Give a number of seconds, such as `--wait 180`.",
        )


def validate_lines(namespace: Namespace) -> None:
    """--lines must be a number of lines, at least 1."""
    if namespace.lines < 1:
        raise InvalidArgumentValueError(
            f"--lines {namespace.lines} isn't a number of at least 1.",
            "Give the number of lines to print, such as `--lines 100`.",
        )


def validate_keep(namespace: Namespace) -> None:
    """--keep must be a number of releases, at least 1."""
    if namespace.keep < 1:
        raise InvalidArgumentValueError(
            f"--keep {namespace.keep} isn't a number of at least 1.",
            "Give the number of releases to keep, such as `--keep 3`.",
        )


def validate_max_failures(namespace: Namespace) -> None:
    """--max-failures must be a number of sites, at least 1."""
    if namespace.max_failures is not None and namespace.max_failures <= 0:
        raise InvalidArgumentValueError(
            f"--max-failures {namespace.max_failures} isn't a number of at least 1.",
            "Give a number of failed sites, such as `--max-failures 3`, or omit the option.",
        )


def validate_health_path(namespace: Namespace) -> None:
    """--health-path must be the path of a URL on the site itself."""
    path = namespace.health_path
    if not path.startswith("/") or path.startswith("//") or re.search(r"[\s\x00-\x1f]", path):
        raise InvalidArgumentValueError(
            f"--health-path '{one_line(path)}' isn't a URL path on the site.",
            "Start the path with one slash, such as `--health-path /health`.",
        )
