"""Settings with which memory_limiter, batch and otlp make the collector exit at start.

Rules: open-telemetry/opentelemetry-collector v0.150.0. A value that comes from `${…}` is not known.
"""

from __future__ import annotations

from collections.abc import Iterator

from azext_otelembed.collector import settings_check as check
from azext_otelembed.collector.component_id import component_id, component_type
from azext_otelembed.collector.expansion import unknown
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node


def check_settings(root: Node) -> Iterator[Problem]:
    """Errors in the settings of the components of every default configuration."""
    for section, kind, checked in (
        ("processors", "memory_limiter", _memory_limiter),
        ("processors", "batch", _batch),
        ("receivers", "otlp", _otlp),
    ):
        node = root.get(section)
        for text, component in node.items if node is not None else ():
            if component_type(component_id(text) or "") == kind and component.kind != "text":
                yield from checked(component, (section, text))


def _memory_limiter(node: Node, path: tuple[str, ...]) -> Iterator[Problem]:
    """internal/memorylimiter/config.go: uint32 fields, percentages up to 100, spike below limit."""
    name = path[-1]
    limits = ("limit_mib", "spike_limit_mib", "limit_percentage", "spike_limit_percentage")
    soft, hard = (f"min_gc_interval_when_{kind}_limited" for kind in ("soft", "hard"))
    yield from check.unknown_keys(node, (*limits, "check_interval", soft, hard), path)
    yield from check.durations(node, ("check_interval", soft, hard), path)
    interval = node.get("check_interval")
    seconds = check.duration(interval)
    if not unknown(interval) and seconds is not None and seconds <= 0:
        yield Problem.of(
            interval or node,
            (*path, "check_interval"),
            f"'check_interval' of '{name}' must be greater than zero.",
            "Write 'check_interval: 1s'.",
        )
    given = {key: value for key in limits if (value := node.get(key)) and value.kind != "null"}
    alone = len(given.keys() & {"limit_mib", "limit_percentage"}) == 1
    for key, value in given.items():
        yield from check.uint32(value, (*path, key), 1 if alone and key.startswith("limit") else 0)
    values = {key: check.number(given.get(key)) or 0 for key in limits}
    if not alone and not any(unknown(given.get(key)) or values[key] >= 1 for key in limits[::2]):
        yield Problem.of(
            node,
            path,
            f"'{name}' has neither a 'limit_mib' nor a 'limit_percentage' greater than zero.",
            "Write e.g. 'limit_mib: 256'.",
        )
    for limit, spike in (limits[:2], limits[2:]):
        for key in (limit, spike):
            if "percentage" in key and values[key] > 100:
                message = f"'{key}' of '{name}' must be a number from 1 to 100."
                yield Problem.of(given.get(key, node), (*path, key), message, f"Write '{key}: 80'.")
        if 0 < values[limit] <= values[spike]:
            yield Problem.of(
                given.get(spike, node),
                (*path, spike),
                f"'{spike}' of '{name}' must be smaller than its '{limit}'.",
                f"Omit '{spike}': it is a fifth of the limit then.",
            )
    yield from _gc_intervals(node, path, soft, hard)


def _gc_intervals(node: Node, path: tuple[str, ...], soft: str, hard: str) -> Iterator[Problem]:
    given = node.get(soft)
    least = check.duration(given) if given is not None and given.kind != "null" else 10.0
    longest = check.duration(node.get(hard))
    if unknown(given) or unknown(node.get(hard)) or least is None or longest is None:
        return
    if least < longest:
        yield Problem.of(
            node.get(hard) or node,
            (*path, hard),
            f"'{hard}' of '{path[-1]}' must not be longer than '{soft}' (default: 10s).",
            f"Write '{hard}: 0s'.",
        )


def _batch(node: Node, path: tuple[str, ...]) -> Iterator[Problem]:
    """processor/batchprocessor/config.go; send_batch_size is 8192 by default."""
    name, size, largest = path[-1], "send_batch_size", "send_batch_max_size"
    numbers = (size, largest, "metadata_cardinality_limit")
    yield from check.unknown_keys(node, (*numbers, "timeout", "metadata_keys"), path)
    yield from check.durations(node, ("timeout",), path)
    if not unknown(node.get("timeout")) and (check.duration(node.get("timeout")) or 0) < 0:
        message = f"'timeout' of '{name}' must not be negative."
        yield Problem.of(node.get("timeout") or node, (*path, "timeout"), message, "Write '1s'.")
    for key in numbers:
        yield from check.uint32(node.get(key), (*path, key))
    given = node.get(size)
    least = check.number(given) if given is not None and given.kind != "null" else 8192
    most = check.number(node.get(largest))
    if least is not None and most is not None and 0 < most < least:
        default = " (default: 8192)" if given is None else ""
        yield Problem.of(
            node.get(largest) or node,
            (*path, largest),
            f"'{largest}' of '{name}' is smaller than '{size}'{default}.",
            f"Write '{size}: {int(most)}' as well, or a larger '{largest}'.",
        )
    keys: set[str] = set()
    metadata = node.get("metadata_keys")
    for element in metadata.elements if metadata is not None else ():
        key = (element.text or "").lower()
        if key in keys and not unknown(element):
            message = f"'metadata_keys' of '{name}' has '{key}' twice (in any case)."
            yield Problem.of(element, (*path, "metadata_keys"), message, "Remove one of them.")
        keys.add(key)


def _otlp(node: Node, path: tuple[str, ...]) -> Iterator[Problem]:
    """receiver/otlpreceiver/config.go: one key, two protocols."""
    yield from check.unknown_keys(node, ("protocols",), path)
    protocols = node.get("protocols")
    if unknown(protocols):
        return
    yield from check.mapping(protocols, (*path, "protocols"))
    if protocols is None or not protocols.items:
        yield Problem.of(
            protocols or node,
            (*path, "protocols"),
            f"receiver '{path[-1]}' must specify at least one protocol (grpc, http).",
            "Write 'protocols: {grpc: , http: }'.",
        )
        return
    for protocol, settings in protocols.items:
        yield from check.mapping(settings, (*path, "protocols", protocol))
        if protocol not in ("grpc", "http"):
            yield Problem.of(
                settings,
                (*path, "protocols", protocol),
                f"receiver '{path[-1]}' has an unknown protocol '{protocol}' (known: grpc, http).",
                "Write 'grpc:' or 'http:'.",
            )
