"""The addresses on which a configuration makes the collector listen."""

from __future__ import annotations

import re
from collections.abc import Iterator

from azext_otelembed.collector.yaml_document import Node
from azext_otelembed.errors import InvalidConfig

# Default ports of components that listen. An `endpoint` of other components is a remote address.
_PORTS = {"grpc": 4317, "http": 4318}
_EXTENSIONS = {"health_check": 13133, "zpages": 55679, "pprof": 1777}
_LOCAL = ("localhost", "127.0.0.1", "[::1]")


def check(root: Node, used: set[str]) -> list[str]:
    """Warnings about listen addresses. Raises InvalidConfig if two components use the same port.

    `used` are the components in pipelines: the collector starts no others.
    """
    warnings: list[str] = []
    taken: dict[int, str] = {}
    for name, node, endpoint, port in _listeners(root, used):
        host, _, number = endpoint.rpartition(":")
        if "${" in endpoint:
            continue
        if not re.fullmatch("[0-9]{1,5}", number) or int(number) > 65535:
            raise InvalidConfig(
                f"'{name}' must listen on host:port, e.g. localhost:{port}.", line=node.line
            )
        if int(number) in taken:
            raise InvalidConfig(
                f"'{name}' and '{taken[int(number)]}' both listen on port {number}.", line=node.line
            )
        if int(number):
            taken[int(number)] = name
        if host not in _LOCAL:
            warnings.append(
                f"'{name}' listens on {endpoint}, which is not only the container's localhost; "
                f"localhost:{number} is enough for an app in the same container."
            )
    known = any("${" in endpoint for *_, endpoint, _ in _listeners(root, used))
    if not known and not set(_PORTS.values()) & set(taken):
        warnings.append(
            "Nothing listens on port 4318 (OTLP/HTTP) or 4317 (OTLP/gRPC), where OpenTelemetry "
            "SDKs send by default."
        )
    return warnings


def _listeners(root: Node, used: set[str]) -> Iterator[tuple[str, Node, str, int]]:
    """Component, node, endpoint and default port of each listener."""
    receivers = root.get("receivers")
    for name, receiver in receivers.items if receivers is not None else ():
        if name.partition("/")[0] == "otlp" and name in used:
            yield from _otlp(name, receiver)
    started = root.find("service", "extensions")
    for item in started.elements if started is not None else ():
        name = item.text or ""
        port = _EXTENSIONS.get(name.partition("/")[0])
        extension = root.find("extensions", name)
        if port is not None and extension is not None:
            yield name, extension, _endpoint(extension, port), port


def _otlp(name: str, receiver: Node) -> Iterator[tuple[str, Node, str, int]]:
    protocols = receiver.get("protocols")
    if protocols is None or not protocols.items:
        raise InvalidConfig(
            f"receiver '{name}' must specify at least one protocol (grpc, http).",
            line=receiver.line,
        )
    for protocol, settings in protocols.items:
        port = _PORTS.get(protocol)
        if port is None:
            raise InvalidConfig(
                f"receiver '{name}' has an unknown protocol '{protocol}' (known: grpc, http).",
                line=settings.line,
            )
        yield f"{name}/{protocol}", settings, _endpoint(settings, port), port


def _endpoint(settings: Node, port: int) -> str:
    node = settings.get("endpoint")
    return node.text if node is not None and node.text is not None else f"localhost:{port}"
