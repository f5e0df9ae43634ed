"""Checks of single arguments, before a command starts."""

from __future__ import annotations

import re
from argparse import Namespace

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
"""A tag, as the OCI distribution specification defines it."""


def validate_tag(namespace: Namespace) -> None:
    """--tag must be a tag alone, without repository or digest."""
    from azure.cli.core.azclierror import InvalidArgumentValueError

    if namespace.tag is not None and not TAG.fullmatch(namespace.tag):
        raise InvalidArgumentValueError(
            f"--tag '{namespace.tag}' isn't a valid image tag.",
            "Use letters, digits, '_', '.' and '-', 128 characters at most, such as `--tag 1.4.2`.",
        )


def validate_timeout(namespace: Namespace) -> None:
    """--timeout is a number of seconds above 0."""
    from azure.cli.core.azclierror import InvalidArgumentValueError

    if namespace.timeout <= 0:
        raise InvalidArgumentValueError(
            f"--timeout {namespace.timeout} leaves no time to verify.",
            "Give seconds, such as `--timeout 300`.",
        )


def validate_keep(namespace: Namespace) -> None:
    """--keep is a number of releases, at least the one that runs."""
    from azure.cli.core.azclierror import InvalidArgumentValueError

    if namespace.keep < 1:
        raise InvalidArgumentValueError(
            f"--keep {namespace.keep} would leave nothing to go back to.",
            "Give a number from 1 on, such as `--keep 3`.",
        )


def validate_max_failures(namespace: Namespace) -> None:
    """--max-failures is a number above 0."""
    from azure.cli.core.azclierror import InvalidArgumentValueError

    if namespace.max_failures is not None and namespace.max_failures <= 0:
        raise InvalidArgumentValueError(
            f"--max-failures {namespace.max_failures} would begin no Web App at all.",
            "Give a number from 1 on, or leave it out.",
        )


def validate_health_path(namespace: Namespace) -> None:
    """--health-path is the path of an address on the site itself."""
    from azure.cli.core.azclierror import InvalidArgumentValueError

    path = namespace.health_path
    if not path.startswith("/") or path.startswith("//") or re.search(r"[\s\x00-\x1f]", path):
        raise InvalidArgumentValueError(
            f"--health-path '{path}' isn't a path on the site.",
            "Start it with one slash, such as `--health-path /health`.",
        )
