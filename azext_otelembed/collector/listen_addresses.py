"""The addresses on which a configuration makes the collector listen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from azext_otelembed.collector.component_id import component_id, component_type
from azext_otelembed.collector.expansion import unknown
from azext_otelembed.collector.pipelines import listed
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node
from azext_otelembed.whole_number import whole_number

# Default ports of components that listen. An `endpoint` of other components is a remote address.
_PORTS = {"grpc": 4317, "http": 4318}
_OWN_METRICS = 8888
_EXTENSIONS = {"health_check": 13133, "zpages": 55679, "pprof": 1777}
_HOST = re.compile(r"[\w.-]*|\[[0-9A-Fa-f:.]+(%\w+)?\]")
_LOCAL = ("localhost", "127.0.0.1", "[::1]")
_EVERY = ("", "0.0.0.0", "[::]")  # noqa: S104
_SAME = {"localhost": "127.0.0.1"}


@dataclass(frozen=True, slots=True)
class _Listener:
    """A listener: its name in messages, the path of its settings, these, the default port."""

    name: str
    path: tuple[str, ...]
    settings: Node
    port: int

    @property
    def known(self) -> bool:
        """Whether it listens on a TCP address that is written in the configuration."""
        kinds = [self.settings.get(key) for key in ("transport", "endpoint")]
        transport = (kinds[0].text or "tcp") if kinds[0] is not None else "tcp"
        return transport.startswith("tcp") and not any(map(unknown, (*kinds, self.settings)))

    @property
    def endpoint(self) -> str:
        """`host:port`, as written or by default. With null, the collector takes any port."""
        node = self.settings.get("endpoint")
        return f"localhost:{self.port}" if node is None else node.text or ""

    @property
    def address(self) -> tuple[str, int] | None:
        """Host and port; None for what isn't `host:port`."""
        host, colon, number = self.endpoint.rpartition(":")
        port = whole_number(number or "0", 65535)
        if port is None or (self.endpoint and not colon) or not _HOST.fullmatch(host):
            return None
        return host, port


def check(root: Node, used: frozenset[str]) -> Iterator[Problem]:
    """Errors for two listeners on one port and for what is no address; warnings of open ones.

    `used` are the components in pipelines: the collector starts no others.
    """
    taken: list[tuple[str, int, str]] = []
    listeners = list(_listeners(root, used))
    for one in listeners:
        node, path = one.settings.get("endpoint") or one.settings, (*one.path, "endpoint")
        if not one.known or (node is not one.settings and node.scalar not in ("", "string")):
            continue
        if one.address is None:
            message = f"'{one.name}' must listen on host:port, e.g. localhost:{one.port}."
            yield Problem.of(node, path, message, f"Write 'endpoint: localhost:{one.port}'.")
            continue
        host, port = one.address
        for host_of_other, port_of_other, other in taken:
            if port and port == port_of_other and _overlap(host, host_of_other):
                message = f"'{one.name}' and '{other}' both listen on port {port}."
                yield Problem.of(node, path, message, "Give one of them another port.")
        taken.append((host, port, one.name))
        if not port:
            message = f"'{one.name}' listens on a random port, to which nothing can send."
            advice = f"Write 'endpoint: localhost:{one.port}'."
            yield Problem.of(node, path, message, advice, is_error=False)
        elif host not in _LOCAL:
            yield Problem.of(
                node,
                path,
                f"'{one.name}' listens on {one.endpoint}, which is not only the container's "
                f"localhost; localhost:{port} is enough for an app in the same container.",
                is_error=False,
            )
    yield from _own_metrics(root, taken)
    ports = {port for _, port, _ in taken}
    if all(one.known for one in listeners) and not set(_PORTS.values()) & ports:
        yield Problem(
            None,
            "receivers",
            "Nothing listens on port 4318 (OTLP/HTTP) or 4317 (OTLP/gRPC), where OpenTelemetry "
            "SDKs send by default.",
            is_error=False,
        )


def ports(root: Node, used: frozenset[str]) -> frozenset[int] | None:
    """The ports of all listeners; None if one of them isn't known."""
    listeners = list(_listeners(root, used))
    if not all(one.known for one in listeners):
        return None
    return frozenset(one.address[1] for one in listeners if one.address)


def _own_metrics(root: Node, taken: list[tuple[str, int, str]]) -> Iterator[Problem]:
    """An error if the collector's own metrics need a port that is taken: localhost:8888 by default.

    (service/telemetry/otelconftelemetry/factory.go)
    """
    metrics = root.find("service", "telemetry", "metrics")
    level = metrics.get("level") if metrics is not None else None
    given = (metrics, level, root.find("service", "telemetry"))
    off = level is not None and (level.text or "").lower() == "none"
    if off or any(map(unknown, given)) or (metrics is not None and metrics.get("readers")):
        return
    for host, port, name in taken:
        if port == _OWN_METRICS and _overlap(host, "localhost"):
            yield Problem(
                None,
                "service::telemetry::metrics",
                f"'{name}' and the collector's own metrics both listen on port {port}.",
                advice="Write 'telemetry: {metrics: {level: none}}' in the section 'service'.",
                file=root.file,
            )


def _overlap(host: str, other: str) -> bool:
    return _SAME.get(host, host) == _SAME.get(other, other) or host in _EVERY or other in _EVERY


def _listeners(root: Node, used: frozenset[str]) -> Iterator[_Listener]:
    receivers = root.get("receivers")
    for text, receiver in receivers.items if receivers is not None else ():
        name = component_id(text) or ""
        if component_type(name) == "otlp" and name in used:
            path = ("receivers", text, "protocols")
            protocols = receiver.get("protocols")
            if unknown(receiver) or unknown(protocols):
                yield _Listener(name, path, protocols or receiver, _PORTS["http"])
            for protocol, settings in protocols.items if protocols is not None else ():
                if protocol in _PORTS:
                    port = _PORTS[protocol]
                    yield _Listener(f"{name}/{protocol}", (*path, protocol), settings, port)
    extensions = root.get("extensions")
    started = listed(root.find("service", "extensions")).identifiers
    for text, extension in extensions.items if extensions is not None else ():
        name = component_id(text) or ""
        extension_port = _EXTENSIONS.get(component_type(name))
        if name in started and extension_port is not None:
            yield _Listener(name, ("extensions", text), extension, extension_port)
