"""Turns the arguments of commands into checked values; reads files and standard input."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from azext_otelembed.errors import InvalidInput, about
from azext_otelembed.utf8_text import NotUtf8, decode_utf8

if TYPE_CHECKING:
    from azext_otelembed.collector.config import CollectorConfig, Config
    from azext_otelembed.collector.problem import Problem
    from azext_otelembed.image.launcher import Launcher
    from azext_otelembed.image.reference import Reference
    from azext_otelembed.registry.auth import Basic
    from azext_otelembed.target.embed_target import EmbedOptions
    from azext_otelembed.validation.binary_cache import BinaryCache
    from azext_otelembed.validation.otelcol_validate import Validation
    from azext_otelembed.webapp.setting import SettingOptions

LARGEST_FILE = 1 << 20
"""Bytes. Every file that is read here is far smaller."""

LONGEST_WINDOW = 30 * 86_400
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

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
            "--ids and --apps-file exclude each other, and also -g, -n, --slot and --swap.",
            "Name many Web Apps with --ids or --apps-file alone. A slot has an id of its own.",
        )
    if ids is not None:
        return ids
    if apps_file == "-":
        return _standard_input().splitlines()
    data = _file(apps_file, "--apps-file") or b""
    return _guarded(lambda: decode_utf8(data), f"--apps-file: '{apps_file}'").splitlines()


def seconds_of(span: str) -> int:
    """The seconds of a span such as `90s`, `15m`, `2h` or `1d`. Raises `InvalidInput`."""
    match = re.fullmatch(r"([0-9]{1,7})([smhd])", span)
    seconds = int(match[1]) * _UNITS[match[2]] if match else 0
    if not 0 < seconds <= LONGEST_WINDOW:
        raise InvalidInput(
            f"--window '{span}' isn't a time span of up to 30 days.",
            "Give a number and a unit (s, m, h, d), such as `--window 15m`.",
        )
    return seconds


def login_of(username: str | None, password: str | None, other: str | None = None) -> Basic | None:
    """The sign-in to the collector image's registry; None for none.

    `password` may be `-` for standard input, which one option alone can read: `other` is the one
    that may be `-` too. Raises `InvalidInput`.
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


def launcher_of(kind: str, logs: str, grace: int | None) -> Launcher:
    """The launcher of --launcher, --collector-logs and --grace. Raises `InvalidInput`."""
    from azext_otelembed.image.launcher import DEFAULT_GRACE, Launcher

    if grace is not None and kind != "drain":
        raise InvalidInput(
            "--grace requires --launcher drain.", "Add --launcher drain, or omit --grace."
        )
    return Launcher(kind, collector_logs=logs, grace=DEFAULT_GRACE if grace is None else grace)


def embed_options(
    collector_image: str,
    config: CollectorConfig,
    launcher: Launcher | None = None,
    *,
    tag: str | None = None,
    unwrap: bool = False,
    shell_image: str | None = None,
    login: Basic | None = None,
    validation: tuple[str | None, str] = (None, ""),
) -> EmbedOptions:
    """The options of an embedding. Raises InvalidImage for a malformed image name.

    `validation` has the value of --validate, and az's configuration folder.
    """
    from azext_otelembed.image.launcher import Launcher
    from azext_otelembed.target.app_image import parse_reference
    from azext_otelembed.target.embed_target import EmbedOptions

    shell = parse_reference(shell_image, "--shell-image").or_latest() if shell_image else None
    collector = parse_reference(collector_image, "--collector-image").or_latest()
    where, folder = validation
    return EmbedOptions(
        collector=collector,
        config=config.data,
        launcher=replace(launcher or Launcher(), memory_mib=config.memory_mib),
        tag=tag,
        unwrap=unwrap,
        shell_image=shell,
        collector_login=login,
        warnings=config.warnings,
        validation=validation_of(where, config.source, collector, folder, login) if where else None,
    )


def validation_of(
    where: str,
    config: Config | None,
    collector: Reference,
    folder: str,
    login: Basic | None = None,
) -> Validation:
    """What --validate asks for. `config` is None for the default one; `folder` is az's own."""
    from azext_otelembed.collector.config import read
    from azext_otelembed.validation.otelcol_validate import Validation

    cache = binary_cache(folder).folder
    return Validation(where, config or read([]), collector, cache, login)


def binary_cache(folder: str) -> BinaryCache:
    """The binaries of collectors below `folder`, az's own."""
    from azext_otelembed.validation.binary_cache import BinaryCache

    return BinaryCache(Path(folder) / "otelembed" / "collectors")


def setting_options(
    connection_string: str | None, secret_uri: str | None, app_insights: str | None
) -> SettingOptions:
    """Where the telemetry is to go. Raises `InvalidInput` for more than one answer."""
    from azext_otelembed.webapp.setting import SettingOptions

    given = [connection_string, secret_uri, app_insights]
    if sum(one is not None for one in given) > 1:
        raise InvalidInput(
            "--connection-string, --connection-string-secret and --app-insights exclude each "
            "other.",
            "Give one of them.",
        )
    value = from_stdin(connection_string, "--connection-string")
    return SettingOptions(value, app_insights, secret_uri)


def from_stdin(value: str | None, option: str) -> str | None:
    """The value, or the content of standard input for `-`. Raises `InvalidInput`."""
    if value != "-":
        return value.strip() if value is not None else None
    if sys.stdin is not None and sys.stdin.isatty():
        raise InvalidInput(
            f"{option} - reads standard input, which is a terminal.",
            "Pipe the value in, or give @file.",
        )
    return _standard_input().strip()


def _standard_input() -> str:
    if sys.stdin is None:
        raise InvalidInput("Standard input is closed.", "Pipe the value in, or give a file.")
    data = _guarded(lambda: sys.stdin.buffer.read(LARGEST_FILE + 1), "Standard input")
    if len(data) > LARGEST_FILE:
        raise InvalidInput(
            f"Standard input is longer than {LARGEST_FILE} bytes.", "Pipe in another file."
        )
    return _guarded(lambda: decode_utf8(data), "Standard input")


def read_config(
    paths: Sequence[Sequence[str]] | None, collector_image: str, option: str = "--collector-config"
) -> CollectorConfig:
    """The collector configuration in files, merged and checked; the default one without a file.

    `paths` are those of each use of the option. Raises `InvalidInput`, naming option and files.
    """
    from azext_otelembed.collector.config import ConfigFile, check, load, read

    names = [name for use in paths or () for name in use]
    if not names:
        return load(None)
    files = [ConfigFile(name, _file(name, option) or b"") for name in names]
    listed = ", ".join(f"'{name}'" for name in names)
    with about(f"{option}: {listed}"):
        return check(read(files), exact=_is_release(collector_image))


def config_problems(
    paths: Sequence[str], collector_image: str
) -> tuple[Config, tuple[Problem, ...], bool]:
    """Configuration files, merged in their order, their problems, and whether the collector image
    is the release whose components are known.

    Raises `InvalidInput` for a file that can't be read.
    """
    from azext_otelembed.collector.config import ConfigFile, problems, read

    config = read([ConfigFile(path, _file(path, "FILE") or b"") for path in paths])
    exact = _is_release(collector_image)
    return config, problems(config, exact=exact), exact


def _is_release(collector_image: str) -> bool:
    from azext_otelembed.collector.component_types import is_release
    from azext_otelembed.target.app_image import parse_reference

    reference = parse_reference(collector_image, "--collector-image")
    return is_release(reference.repository, reference.tag)


def _file(path: str | None, option: str) -> bytes | None:
    if path is None:
        return None

    def read() -> bytes:
        with Path(path).open("rb") as file:
            return file.read(LARGEST_FILE + 1)

    data = _guarded(read, f"{option}: '{path}'")
    if len(data) > LARGEST_FILE:
        raise InvalidInput(
            f"{option}: '{path}' is larger than {LARGEST_FILE} bytes.", "Give another file."
        )
    return data


def _guarded(read: Callable[[], Content], what: str) -> Content:
    try:
        return read()
    except OSError as error:
        raise InvalidInput(
            f"{what} can't be read: {error.strerror or error}.", "Check its path and permissions."
        ) from None
    except NotUtf8 as error:
        raise InvalidInput(f"{what} isn't text in UTF-8: {error}.", "Save it as UTF-8.") from None
    except ValueError:  # a NUL or a lone surrogate
        raise InvalidInput(f"{what} isn't the path of a file.", "Check its path.") from None
