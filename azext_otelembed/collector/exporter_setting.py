"""Settings of the azuremonitor exporter that its environment variable overrides.

It takes APPLICATIONINSIGHTS_CONNECTION_STRING of the environment first; `connection_string`,
`instrumentation_key` and `endpoint` count only without it (opentelemetry-collector-contrib,
exporter/azuremonitorexporter/connection_string_parser.go). A site always has that app setting.
"""

from __future__ import annotations

from collections.abc import Iterator

from azext_otelembed.collector.component_id import component_id, component_type
from azext_otelembed.collector.expansion import environment_names
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node

VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
_OVERRIDDEN = ("connection_string", "instrumentation_key", "endpoint")


def check(root: Node, used: frozenset[str]) -> Iterator[Problem]:
    """A warning for each setting of an exporter in a pipeline that has no effect."""
    exporters = root.get("exporters")
    for text, exporter in exporters.items if exporters is not None else ():
        name = component_id(text) or ""
        if component_type(name) != "azuremonitor" or name not in used:
            continue
        for key, node in exporter.items:
            if key not in _OVERRIDDEN or not node.text or _is_the_variable(node):
                continue
            yield Problem.of(
                node,
                ("exporters", text, key),
                f"'{key}' of '{name}' has no effect: the exporter takes the connection string from "
                f"the app setting {VARIABLE}.",
                "Remove it. A deploy with --app-insights or --connection-string sets the app "
                "setting. Telemetry for a second component needs another exporter, such as "
                "otlp_http.",
                is_error=False,
            )


def _is_the_variable(node: Node) -> bool:
    return [name for name, _, _ in environment_names(node)] == [VARIABLE]
