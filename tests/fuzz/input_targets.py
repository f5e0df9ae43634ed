"""Parsers of app settings, labels, arguments, files and container logs, with their seeds."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from azure.cli.core.azclierror import InvalidArgumentValueError

from azext_otelembed import _validators, strict_json, utf8_text
from azext_otelembed.azure.arm_errors import error_text
from azext_otelembed.azure.arm_policies import is_arm_address
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.builders import dockerignore
from azext_otelembed.builders.task_log import LineSplitter
from azext_otelembed.collector import config, connection_string
from azext_otelembed.image.dockerfile_template import App, instruction_words, make_dockerfile
from azext_otelembed.image.drain_script import trappable_signal
from azext_otelembed.image.existing_collector import StartCommand, find_collector
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.prepared_shell import EMBEDDED_SHELL
from azext_otelembed.image.provenance import read_provenance
from azext_otelembed.image.reference import Reference
from azext_otelembed.registry.http_headers import timestamp
from azext_otelembed.release.fleet import read_sites
from azext_otelembed.target.app_image import host_as_configured
from azext_otelembed.verification import platform_log, time_limits
from azext_otelembed.verification.container_log import ContainerLog
from azext_otelembed.verification.start_log import StartLog
from azext_otelembed.webapp import front_door, preflight
from azext_otelembed.webapp.setting import SECRET_URI, linked_component

_COLLECTOR = Reference.parse("docker.io/otel/opentelemetry-collector-contrib:1")


def _words(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def app_settings(data: bytes) -> None:
    """The settings that are read have any value; none of them fails, or takes long."""
    text = _words(data)
    assert 0 < time_limits.start_limit({time_limits.START_LIMIT_SETTING: text}) <= 1800
    time_limits.default_timeout({time_limits.START_LIMIT_SETTING: text})
    preflight.check_grace(Launcher("drain"), {preflight.STOP_LIMIT_SETTING: text})
    host_as_configured("localhost", {"DOCKER_REGISTRY_SERVER_URL": text})
    connection_string.mask(text)
    SECRET_URI.fullmatch(text)
    linked_component({text: text})


def labels(data: bytes) -> None:
    """Names and values of labels, separated by NUL."""
    parts = data.decode("utf-8", "replace").split("\0")
    found = dict(zip(parts[::2], parts[1::2], strict=False))
    settings = {"Labels": found, "Entrypoint": [EMBEDDED_SHELL, "-c", "x", "otelembed"]}
    read_provenance(ImageConfig({"config": settings}, b""))


def command(data: bytes) -> None:
    words = instruction_words(_words(data))
    find_collector(StartCommand(tuple(words), ()))
    find_collector(StartCommand(("/bin/sh", "-c"), tuple(words)))
    made = make_dockerfile(_COLLECTOR, b"", Launcher(), App("a", words, words))
    if utf8_text.is_utf8(_words(data)):
        made.encode()


def arguments(data: bytes) -> None:
    text = _words(data)
    lines = text.splitlines()
    for site in read_sites(lines):
        assert SiteId.parse(site.resource_id) == site
    checks: tuple[tuple[Callable[[Namespace], None], Namespace], ...] = (
        (_validators.validate_tag, Namespace(tag=text)),
        (_validators.validate_health_path, Namespace(health_path=text)),
        (_validators.validate_text, Namespace(a=text, b=[[text]])),
    )
    for check, namespace in checks:
        with suppress(InvalidArgumentValueError):
            check(namespace)


def headers(data: bytes) -> None:
    text = data.decode("latin-1")
    timestamp(text)
    is_arm_address("https://management.azure.com", text)
    front_door.is_front_door_answer(front_door.NOT_READ, 302, text)


def container_log(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    starts = StartLog("localhost/a:1", "0" * 12)
    for event in platform_log.parse(text):
        starts.take(event)
    platform_log.newest_stamp(text)
    log = ContainerLog()
    half = len(text) // 2
    log.update(text[:half])
    log.update(text)


def task_log(data: bytes) -> None:
    lines = LineSplitter()
    for start in range(0, len(data), 7):
        lines.feed(data[start : start + 7])
    lines.flush()


def _json(data: bytes) -> None:
    with suppress(ValueError):
        strict_json.parse(data)


def _rules(data: bytes) -> None:
    with suppress(dockerignore.InvalidPattern):
        rules = dockerignore.parse(_words(data))
        rules.excludes("a/b/c")
        rules.may_contain_exception("a/b")


def _utf8(data: bytes) -> None:
    with suppress(utf8_text.NotUtf8):
        utf8_text.decode_utf8(data).encode()


TARGETS: Mapping[str, Callable[[bytes], object]] = {
    "app-settings": app_settings,
    "labels": labels,
    "command": command,
    "arguments": arguments,
    "headers": headers,
    "container-log": container_log,
    "task-log": task_log,
    "collector-config": config.load,
    "connection-string": lambda data: connection_string.parse(_words(data)),
    "dockerignore": _rules,
    "json": _json,
    "utf8": _utf8,
    "arm-error": lambda data: error_text(data.decode("utf-8", "replace")),
    "stop-signal": lambda data: trappable_signal(_words(data)),
}

_LONG = b"9" * 5000
_ID = b"/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/a"
_LOG = b"2026-11-22T12:00:00.0000000Z "

SEEDS: Mapping[str, Sequence[bytes]] = {
    "app-settings": (
        *(b"230", b"0" * 5000 + b"1", _LONG, "²".encode(), "٣".encode(), b"1_0", b" 5 ", b"-1"),
        b"https://localhost",
        b"@Microsoft.KeyVault(SecretUri=https://a.vault.azure.net/secrets/b)",
    ),
    "labels": (b"dev.otelembed.version\0" + _LONG,),
    "command": (
        b'["sh", "-c", "otelcol & exec node a"]',
        b"node 'a b'",
        b'["\\ud800"]',
        b'["\xff"]',
    ),
    "arguments": (_ID, b"# all\n\n" + _ID + b"/slots/b\n", b"/health", b"1.4.2", b"a\xff", b"a\0"),
    "headers": (
        b"Sun, 22 Nov 2026 12:00:00 GMT",
        b"Sun, " + _LONG + b" Nov 2026 12:00:00 GMT",
        b"https://management.azure.com:" + _LONG,
        b"https://a@management.azure.com\\b",
        b"https://login.microsoftonline.com/a?redirect_uri=%2flogin%2fa%2fcallback",
    ),
    "container-log": (
        _LOG + b"INFO  - Starting container for site\n",
        _LOG + b"INFO  - Container a_0_1 for site a initialized successfully and is ready.\n",
        b"9999-99-99T99:99:99.999Z x\n",
        "٢٠٢٦-11-22T12:00:00.²Z x\n".encode(),
    ),
    "task-log": ("a\nb\r\nä\n".encode(), b"\x1b[1m\xff"),
    "collector-config": (
        config.default(),
        b"%YAML " + _LONG + b".1\n---\na: 1\n",
        b'a: "\\UFFFFFFFF"\n',
    ),
    "connection-string": (
        b"InstrumentationKey=00000000-0000-0000-0000-000000000000;"
        b"IngestionEndpoint=https://a.in.applicationinsights.azure.com/",
        b"InstrumentationKey=00000000-0000-0000-0000-000000000000;"
        b"IngestionEndpoint=https://a:" + _LONG[:3000],
    ),
    "dockerignore": (b"a\n!a/b\n**/*.log\n[a-z]?\n", b"\xef\xbb\xbfa", b"\xff"),
    "json": (b'{"a": [1, 2.5, "\\ud83d\\ude00"]}', b'"\\ud800"', _LONG, b"1e999", b"NaN"),
    "utf8": (b"a", b"\xef\xbb\xbfa", "a".encode("utf-16")),
    "arm-error": (json.dumps({"error": {"code": "Conflict", "message": "no"}}).encode(),),
    "stop-signal": (b"SIGTERM", b"RTMIN+3", _LONG, "²".encode()),
}
