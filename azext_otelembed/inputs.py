"""Values that come out of files and standard input, checked."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from azext_otelembed.errors import InvalidInput

LARGEST_FILE = 1 << 20
"""Bytes. Nothing that is read here is as large as that when it is right."""

Content = TypeVar("Content", str, bytes)


def named_sites(
    ids: list[str] | None, apps_file: str | None, alone: tuple[object, ...]
) -> list[str] | None:
    """The lines that name many sites, or None where -g and -n name one."""
    if ids is None and apps_file is None:
        if alone[0] is None or alone[1] is None:
            raise InvalidInput(
                "No Web App was named.",
                "Name one with -g and -n, or many with --ids or --apps-file.",
            )
        return None
    if any(one is not None for one in alone) or (ids is not None and apps_file is not None):
        raise InvalidInput(
            "--ids and --apps-file each name the Web Apps by themselves.",
            "Leave out -g, -n, --slot and --swap, and give one of the two. A slot has an id too.",
        )
    if ids is not None:
        return ids
    if apps_file == "-":
        return _guarded(lambda: sys.stdin.read(LARGEST_FILE), "Standard input").splitlines()
    data = _file(apps_file, "--apps-file") or b""
    return _guarded(lambda: data.decode(), f"--apps-file: '{apps_file}'").splitlines()


def login_of(username: str | None, password: str | None, other: str | None = None) -> Any:
    """Who asks the collector image's registry; None where nobody is told. `other` is a secret too.

    Each takes `-` for standard input, which there is only one of.
    """
    if (username is None) != (password is None):
        raise InvalidInput(
            "--collector-username and --collector-password go together.",
            "Give both, such as `--collector-username robot --collector-password @file`.",
        )
    if username is None:
        return None
    if password == "-" and other == "-":  # noqa: S105
        raise InvalidInput(
            "--connection-string and --collector-password can't both be read from standard input.",
            "Give one of them as @file.",
        )
    from azext_otelembed.registry.auth import Basic

    return Basic(username, from_stdin(password, "--collector-password") or "")


def launcher_of(kind: str, logs: str, grace: int | None) -> Any:
    """The launcher that --launcher, --collector-logs and --grace mean. Raises `InvalidInput`."""
    from azext_otelembed.image.launcher import DEFAULT_GRACE, Launcher

    if grace is not None and kind != "drain":
        raise InvalidInput(
            "--grace is what the launcher 'drain' leaves the collector; 'exec' has none to give.",
            "Add --launcher drain, or leave --grace out.",
        )
    return Launcher(kind, collector_logs=logs, grace=DEFAULT_GRACE if grace is None else grace)


def from_stdin(value: str | None, option: str) -> str | None:
    """The value, or what standard input holds for `-`. Raises `InvalidInput`."""
    if value != "-":
        return value.strip() if value is not None else None
    if sys.stdin.isatty():
        raise InvalidInput(
            f"{option} - reads standard input, which is a terminal.",
            "Pipe the value in, or give @file.",
        )
    return _guarded(lambda: sys.stdin.read(LARGEST_FILE), "Standard input").strip()


def checked_config(path: str | None) -> bytes | None:
    """The content of --collector-config's file, checked: what is wrong in it names the file."""
    data = _file(path, "--collector-config")
    if data is not None:
        from azext_otelembed.collector.config import inspect
        from azext_otelembed.errors import InvalidConfig

        try:
            inspect(data)
        except InvalidConfig as problem:
            message = f"--collector-config: '{path}': {problem.message}"
            raise InvalidInput(message, problem.recommendation) from None
    return data


def _file(path: str | None, option: str) -> bytes | None:
    if path is None:
        return None

    def read() -> bytes:
        with Path(path).open("rb") as file:
            return file.read(LARGEST_FILE + 1)

    data = _guarded(read, f"{option}: '{path}'")
    if len(data) > LARGEST_FILE:
        raise InvalidInput(f"{option}: '{path}' is larger than {LARGEST_FILE} bytes.")
    return data


def _guarded(read: Callable[[], Content], what: str) -> Content:
    try:
        return read()
    except OSError as error:
        raise InvalidInput(f"{what} can't be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{what} isn't text in UTF-8.") from None
