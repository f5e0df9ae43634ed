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
_ADDRESS_KEYS = ("endpoint", "listen_address")
# Receivers of the contrib release that listen on TCP, beside `otlp`.
_LISTENING = frozenset(
    {
        *("carbon", "datadog", "fluentforward", "influxdb", "jaeger", "loki"),
        *("prometheusremotewrite", "signalfx", "skywalking", "splunk_hec", "syslog", "tcplog"),
        *("webhookevent", "zipkin"),
    }
)
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
        return _address(self.endpoint) if self.endpoint else ("", 0)


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
    yield from _open_addresses(root, used, {id(one.settings.get("endpoint")) for one in listeners})
    ports = {port for _, port, _ in taken}
    if all(one.known for one in listeners) and not set(_PORTS.values()) & ports:
        yield Problem(
            None,
            "receivers",
            "Nothing listens on port 4318 (OTLP/HTTP) or 4317 (OTLP/gRPC), where OpenTelemetry "
            "SDKs send by default.",
            is_error=False,
        )


def ports(root: Node, used: frozenset[str]) -> dict[int, str]:
    """The ports that are listened on, as far as they are written, each with its component."""
    found = [(one.address, one.name) for one in _listeners(root, used) if one.known]
    found += [
        (_address(node.text or ""), path[1])
        for path, node in _addresses(root, used)
        if path[0] == "receivers" and component_type(path[1]) in _LISTENING
    ]
    return {address[1]: name for address, name in found if address and address[1]}


def _open_addresses(root: Node, used: frozenset[str], seen: set[int]) -> Iterator[Problem]:
    """A warning for each other address that every interface of the container has.

    A remote address has a host, so what has none, or 0.0.0.0, is one to listen on. `seen` are the
    nodes that are checked already.
    """
    for path, node in _addresses(root, used):
        address = _address(node.text or "")
        if address is None or address[0] not in _EVERY or id(node) in seen:
            continue
        yield Problem.of(
            node,
            path,
            f"'{path[1]}' listens on {node.text}, which is not only the container's localhost.",
            f"Write localhost:{address[1]} if only the app sends there.",
            is_error=False,
        )
    telemetry = root.find("service", "telemetry")
    for path, node in telemetry.leaves(("service", "telemetry")) if telemetry is not None else ():
        if path[-2:] == ("prometheus", "host") and node.text in _EVERY:
            yield Problem.of(
                node,
                path,
                "the collector's own metrics are served on every interface of the container.",
                "Write 'host: localhost'.",
                is_error=False,
            )


def _addresses(root: Node, used: frozenset[str]) -> Iterator[tuple[tuple[str, ...], Node]]:
    """The addresses, as `host:port`, in the settings of the components that run."""
    started = listed(root.find("service", "extensions")).identifiers
    for section in ("receivers", "exporters", "connectors", "extensions"):
        components = root.get(section)
        for text, component in components.items if components is not None else ():
            name = component_id(text) or ""
            if name not in (started if section == "extensions" else used):
                continue
            for path, node in component.leaves((section, text)):
                if path[-1] in _ADDRESS_KEYS and not unknown(node):
                    yield path, node


def _address(text: str) -> tuple[str, int] | None:
    """Host and port of `host:port`; None for other texts."""
    host, colon, number = text.rpartition(":")
    port = whole_number(number or "0", 65535)
    return (host, port) if port is not None and colon and _HOST.fullmatch(host) else None


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
