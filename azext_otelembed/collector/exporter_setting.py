"""The azuremonitor exporter: its names, its sign-in, and what its environment variable overrides.

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

EXPORTER = "azuremonitor"
TYPES = (EXPORTER, "azure_monitor")
"""Its type, and that of releases after 0.150.0, which know the former one as well (`type` and
`deprecated_type` in metadata.yaml of exporter/azuremonitorexporter)."""
VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"
_OVERRIDDEN = ("connection_string", "instrumentation_key", "endpoint")


def signs_in(root: Node, used: frozenset[str]) -> bool:
    """Whether each of these exporters in a pipeline signs in with an extension, such as azure_auth.

    Since release 0.139.0 (open-telemetry/opentelemetry-collector-contrib#41107).
    """
    found = [exporter for _, exporter in _exporters(root, used)]
    return bool(found) and all(one.find("auth", "authenticator") for one in found)


def check(root: Node, used: frozenset[str]) -> Iterator[Problem]:
    """A warning for each setting of an exporter in a pipeline that has no effect."""
    for text, exporter in _exporters(root, used):
        name = component_id(text)
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


def _exporters(root: Node, used: frozenset[str]) -> Iterator[tuple[str, Node]]:
    exporters = root.get("exporters")
    for text, exporter in exporters.items if exporters is not None else ():
        name = component_id(text) or ""
        if component_type(name) in TYPES and name in used:
            yield text, exporter


def _is_the_variable(node: Node) -> bool:
    return [name for name, _, _ in environment_names(node)] == [VARIABLE]
