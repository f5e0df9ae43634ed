"""The `service` section, but for its pipelines: keys, extensions, the collector's own telemetry.

Keys and values: open-telemetry/opentelemetry-collector v0.150.0, service/config.go and
service/telemetry/otelconftelemetry.
"""

from __future__ import annotations

from collections.abc import Iterator

from azext_otelembed.collector import settings_check as check
from azext_otelembed.collector.expansion import unknown
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node

_TELEMETRY = ("service", "telemetry")
_KEYS = {
    "logs": (
        *("level", "development", "encoding", "disable_caller", "disable_stacktrace", "sampling"),
        *("output_paths", "error_output_paths", "initial_fields", "processors"),
        "disable_zap_resource",
    ),
    "metrics": ("level", "readers", "views"),
    "traces": ("level", "propagators", "processors", "sampler", "limits"),
}
_SAMPLING = ("enabled", "tick", "initial", "thereafter")
_LEVELS = ("none", "basic", "normal", "detailed")
_LOG_LEVELS = ("debug", "info", "warn", "warning", "error", "dpanic", "panic", "fatal")
_ENCODINGS = ("console", "json")
_PROPAGATORS = ("tracecontext", "b3")
_READERS = (
    "Write it below readers: [{pull: {exporter: {prometheus: {host: localhost, port: 8888}}}}]."
)
_REMOVED = {"metrics": {"address": f"It was removed. {_READERS}"}}


def check_service(service: Node) -> Iterator[Problem]:
    """Errors in the keys of the section and in its `telemetry`."""
    yield from check.unknown_keys(service, ("telemetry", "extensions", "pipelines"), ("service",))
    telemetry = service.get("telemetry")
    yield from check.mapping(telemetry, _TELEMETRY)
    yield from check.unknown_keys(telemetry, (*_KEYS, "resource"), _TELEMETRY)
    for part, keys in _KEYS.items():
        node = telemetry.get(part) if telemetry is not None else None
        path = (*_TELEMETRY, part)
        yield from check.mapping(node, path)
        yield from check.unknown_keys(node, keys, path, _REMOVED.get(part))
        if node is not None:
            yield from _values(part, node, path)
    yield from _resource(telemetry)


def _values(part: str, node: Node, path: tuple[str, ...]) -> Iterator[Problem]:
    levels = _LOG_LEVELS if part == "logs" else _LEVELS
    yield from _one_of(node.get("level"), levels, (*path, "level"))
    if part == "logs":
        yield from _one_of(node.get("encoding"), _ENCODINGS, (*path, "encoding"))
        yield from check.unknown_keys(node.get("sampling"), _SAMPLING, (*path, "sampling"))
    if part == "metrics":
        yield from _metrics(node, path)
    propagators = node.get("propagators")
    for element in propagators.elements if propagators is not None else ():
        yield from _one_of(element, _PROPAGATORS, (*path, "propagators"))


def _one_of(node: Node | None, known: tuple[str, ...], path: tuple[str, ...]) -> Iterator[Problem]:
    # A number is a level as well: zap's and configtelemetry's levels are numbers.
    if node is None or node.scalar != "string" or unknown(node):
        return
    text = node.text or ""
    if (text.lower() if path[-1] == "level" else text) not in known:
        yield Problem.of(
            node,
            path,
            f"'{path[-1]}' of {path[-2]} has an unknown value.",
            f"Known values are {', '.join(known)}.",
        )


def _metrics(node: Node, path: tuple[str, ...]) -> Iterator[Problem]:
    level = node.get("level")
    if unknown(level):
        return
    value = (level.text or "").lower() if level is not None else ""
    readers, views = node.get("readers"), node.get("views")
    if readers is not None and readers.kind == "list":
        if not readers.elements and value != "none":
            yield Problem.of(
                readers,
                (*path, "readers"),
                "metrics without readers need the level none.",
                _READERS,
            )
        for reader in readers.elements:
            known = ("periodic", "pull", "producers")
            yield from check.unknown_keys(reader, known, (*path, "readers"))
    if views is not None and views.kind != "null" and value != "detailed":
        yield Problem.of(
            views, (*path, "views"), "views need the level detailed.", "Write 'level: detailed'."
        )


def _resource(telemetry: Node | None) -> Iterator[Problem]:
    resource = telemetry.get("resource") if telemetry is not None else None
    path = (*_TELEMETRY, "resource")
    yield from check.mapping(resource, path)
    for key, value in resource.items if resource is not None else ():
        text = value.kind == "text" and value.scalar == "string"
        if not text and value.kind != "null" and not unknown(value):
            yield Problem.of(
                value,
                (*path, key),
                f"the attribute '{key}' must be text.",
                "Put its value in quotes.",
            )
