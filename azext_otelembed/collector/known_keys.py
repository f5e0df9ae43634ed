"""The keys of often used components: a misspelt one makes the collector exit at start.

From open-telemetry/opentelemetry-collector v0.150.0: config/confighttp, config/configgrpc,
config/confignet, receiver/otlpreceiver, exporter/debugexporter, exporter/otlphttpexporter; and from
its contrib: exporter/azuremonitorexporter/config.schema.yaml, which is of a later release.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from azext_otelembed.collector import settings_check as check
from azext_otelembed.collector.component_id import component_id, component_type
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node

_LISTEN = ("endpoint", "transport", "dialer", "auth", "tls", "include_metadata", "middlewares")
_HTTP_SERVER = (
    *_LISTEN,
    *("compression_algorithms", "cors", "idle_timeout", "keep_alives_enabled"),
    *("max_request_body_size", "read_header_timeout", "read_timeout", "response_headers"),
    *("write_timeout", "traces_url_path", "metrics_url_path", "logs_url_path"),
)
_GRPC_SERVER = (
    *_LISTEN,
    *("keepalive", "max_concurrent_streams", "max_recv_msg_size_mib"),
    *("read_buffer_size", "write_buffer_size"),
)
_HTTP_CLIENT = (
    *("endpoint", "timeout", "headers", "auth", "tls", "proxy_url", "compression"),
    *("compression_params", "cookies", "disable_keep_alives", "middlewares"),
    *("force_attempt_http2", "http2_ping_timeout", "http2_read_idle_timeout"),
    *("idle_conn_timeout", "max_conns_per_host", "max_idle_conns", "max_idle_conns_per_host"),
    *("read_buffer_size", "write_buffer_size"),
)
_OTLP_HTTP = (
    *_HTTP_CLIENT,
    *("encoding", "traces_endpoint", "metrics_endpoint", "logs_endpoint", "profiles_endpoint"),
    *("retry_on_failure", "sending_queue"),
)
_DEBUG = (
    *("verbosity", "sampling_initial", "sampling_thereafter", "use_internal_logger"),
    *("output_paths", "sending_queue"),
)
_AZUREMONITOR = (
    *_HTTP_CLIENT,
    *("connection_string", "instrumentation_key", "maxbatchsize", "maxbatchinterval"),
    *("sending_queue", "shutdown_timeout", "spaneventsenabled", "custom_events_enabled"),
    "exception_events_enabled",
)
KEYS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("receivers", "otlp", "protocols", "http"): _HTTP_SERVER,
    ("receivers", "otlp", "protocols", "grpc"): _GRPC_SERVER,
    ("exporters", "debug"): _DEBUG,
    ("exporters", "otlp_http"): _OTLP_HTTP,
    ("exporters", "otlphttp"): _OTLP_HTTP,
    ("exporters", "azuremonitor"): _AZUREMONITOR,
}
"""Section, type and keys of a mapping, and its keys."""
_NOT_COMPLETE = ("azuremonitor",)


def check_keys(root: Node, *, exact: bool) -> Iterator[Problem]:
    """Unknown keys: errors if they are misspelt or `exact`, else warnings (releases add keys)."""
    for (section, kind, *inner), keys in KEYS.items():
        components = root.get(section)
        for text, component in components.items if components is not None else ():
            if component_type(component_id(text) or "") != kind:
                continue
            for problem in check.unknown_keys(
                component.find(*inner), keys, (section, text, *inner)
            ):
                misspelt = difflib.get_close_matches(problem.path.rpartition("::")[2], keys, 1, 0.8)
                certain = exact and kind not in _NOT_COMPLETE
                yield replace(problem, is_error=certain or bool(misspelt))
