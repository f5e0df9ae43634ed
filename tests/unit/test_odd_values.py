"""Odd values in settings, headers, arguments, files and folders give a value or a clear error."""

from __future__ import annotations

import inspect
import io
import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path

import pytest
from azure.cli.core.azclierror import InvalidArgumentValueError

from azext_otelembed import _validators, inputs
from azext_otelembed.builders.build_context import PackStatistics, pack, read_context
from azext_otelembed.builders.source import Source, find_source
from azext_otelembed.errors import InvalidImage, InvalidInput
from azext_otelembed.image.dockerfile_template import instruction_words
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.registry.auth import challenges
from azext_otelembed.registry.http_headers import retry_after_seconds, timestamp
from azext_otelembed.release.dockerfile import write
from azext_otelembed.urls import resolve_safe
from azext_otelembed.verification.time_limits import START_LIMIT_SETTING, start_limit
from azext_otelembed.webapp.preflight import STOP_LIMIT_SETTING, check_grace

ID = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/shop"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("0" * 5000 + "300", 300),
        *((odd, 230) for odd in ("9" * 5000, "²", "٣", "1_0", "-1", "1e3", "0", "")),
        ("1801", 1800),
    ],
)
def test_a_start_limit_is_a_number_in_ascii_digits(value: str, expected: int) -> None:
    assert start_limit({START_LIMIT_SETTING: value}) == expected


@pytest.mark.parametrize("value", ["9" * 5000, "²", "٣", "1_0"])
def test_a_stop_limit_that_is_no_number_is_the_default(value: str) -> None:
    assert "5 s after the stop signal" in str(
        check_grace(Launcher("drain", grace=9), {STOP_LIMIT_SETTING: value})
    )
    zeros = {STOP_LIMIT_SETTING: "0" * 5000 + "30"}
    assert check_grace(Launcher("drain", grace=9), zeros) is None


@pytest.mark.parametrize("value", ["²", "٣", "1_0", "nan", "inf", "-1", "9" * 5000, "0x1"])
def test_retry_after_is_a_number_in_ascii_digits(value: str) -> None:
    assert retry_after_seconds(value) is None
    assert retry_after_seconds("9" * 100) == 1e9
    assert timestamp(f"Sun, {'9' * 5000} Nov 2026 12:00:00 GMT") is None


@pytest.mark.parametrize(
    "address",
    [
        *("file:///etc/passwd", "ftp://a/b", "https://user:pw@a/b"),
        *("https://a\\@b/c", "https://a\0/", "https://a b/", "https://a:99999/", "https://a:²/"),
        *("https://[::1/", "https://ä/", "/a\r\nb"),
    ],
)
def test_an_address_that_parsers_read_in_different_ways_is_not_followed(address: str) -> None:
    assert resolve_safe("https://localhost/v2/", address) is None
    assert resolve_safe("http://localhost/v2/", address) is None


def test_the_time_for_a_challenge_grows_with_its_length() -> None:
    began = time.process_time()
    challenges(" " * 60_000)
    challenges("Bearer" + " " * 60_000 + "!")
    assert time.process_time() - began < 2


@pytest.mark.parametrize("memory", ["9" * 5000, "8796093022208"])
def test_a_memory_limit_that_go_cannot_read_is_refused(memory: str) -> None:
    with pytest.raises(InvalidImage):
        Launcher.parse(f"exec/3,memory={memory}")
    assert Launcher.parse("exec/3,memory=8796093022207").memory_mib == (2**63 - 1) >> 20


@pytest.mark.parametrize("text", ['["\\ud800"]', "[" * 100_000, f"[{'9' * 5000}]", '["\udcff"]'])
def test_words_that_no_dockerfile_can_hold_are_refused(text: str) -> None:
    with pytest.raises(InvalidImage) as raised:
        instruction_words(text)
    assert len(raised.value.message) < 200


def test_a_folder_may_be_nested_deeper_than_the_stack(tmp_path: Path) -> None:
    depth = 300
    before, limit = Path.cwd(), sys.getrecursionlimit()
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    os.chdir(tmp_path)
    try:
        for _ in range(depth):
            Path("d").mkdir()
            os.chdir("d")
        context = read_context(Source(tmp_path, tmp_path / "Dockerfile"))
        statistics = PackStatistics()
        sys.setrecursionlimit(len(inspect.stack(0)) + 150)
        assert b"".join(pack(context, 1 << 20, statistics))
        assert statistics.files == 2
        # pytest removes folders recursively.
        for _ in range(depth):
            os.chdir("..")
            Path("d").rmdir()
    finally:
        sys.setrecursionlimit(limit)
        os.chdir(before)


@pytest.mark.parametrize("path", ["~no-such-user/a", "a" * 5000, "a\0b"])
def test_a_path_that_cannot_be_used_is_an_error(path: str, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    with pytest.raises(InvalidInput):
        find_source(path, None, (), None)
    with pytest.raises(InvalidInput):
        find_source(str(tmp_path), path, (), None)
    with pytest.raises(InvalidInput):
        inputs.named_sites(None, path, (None, None))
    with pytest.raises(InvalidInput):
        write("FROM a", b"", path, own_config=False)


def test_files_may_begin_with_a_byte_order_mark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = f"\ufeff{ID}\r\n".encode()
    (tmp_path / "apps").write_bytes(data)
    assert inputs.named_sites(None, str(tmp_path / "apps"), (None, None)) == [ID]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert inputs.named_sites(None, "-", (None, None)) == [ID]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    assert inputs.from_stdin("-", "--connection-string") == ID


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be"])
def test_utf_16_is_named(encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = f"\ufeff{ID}".encode(encoding)
    (tmp_path / "apps").write_bytes(data)
    with pytest.raises(InvalidInput, match="it is UTF-16"):
        inputs.named_sites(None, str(tmp_path / "apps"), (None, None))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    with pytest.raises(InvalidInput, match="it is UTF-16"):
        inputs.from_stdin("-", "--connection-string")


def test_a_closed_standard_input_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InvalidInput, match="Standard input is closed"):
        inputs.from_stdin("-", "--connection-string")
    with pytest.raises(InvalidInput, match="Standard input is closed"):
        inputs.named_sites(None, "-", (None, None))


def test_a_timeout_is_at_most_a_day() -> None:
    _validators.validate_timeout(Namespace(timeout=86_400))
    for seconds in (0, -1, 86_401, 10**400):
        with pytest.raises(InvalidArgumentValueError, match="from 1 to 86400"):
            _validators.validate_timeout(Namespace(timeout=seconds))


@pytest.mark.parametrize("value", ["a\udcff", "a\0", ["a\ud800"], [["a", "b\udcff"]]])
def test_an_argument_that_is_not_utf_8_is_named_and_not_shown(value: object) -> None:
    with pytest.raises(InvalidArgumentValueError, match="The argument 'build-arg'") as raised:
        _validators.validate_text(Namespace(build_arg=value, name="ä", slot=None))
    assert "udc" not in ascii(str(raised.value))


@pytest.mark.parametrize(
    ("check", "name"),
    [(_validators.validate_tag, "tag"), (_validators.validate_health_path, "health_path")],
)
def test_the_message_about_an_argument_is_printable(
    check: Callable[[Namespace], None], name: str
) -> None:
    with pytest.raises(InvalidArgumentValueError) as raised:
        check(Namespace(**{name: "a\x1b[2J\n##vso[task.setvariable variable=a]b"}))
    assert "\x1b" not in str(raised.value)
    assert "\n" not in str(raised.value)
    assert "##vso[" not in str(raised.value)
