"""The sections of components: their names, types and addresses.

Rules: open-telemetry/opentelemetry-collector v0.150.0, otelcol/config.go,
otelcol/internal/configunmarshaler. The collector checks components that no pipeline uses as well.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from azext_otelembed.collector import settings_check as check
from azext_otelembed.collector.component_id import GRAMMAR, component_id, component_type
from azext_otelembed.collector.component_types import Release
from azext_otelembed.collector.expansion import unknown
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node

SECTIONS = ("receivers", "processors", "exporters", "connectors", "extensions")
# Components that listen on an `endpoint` and have no `port` beside it: the length of that path.
_LISTENERS = {
    ("receivers", "otlp"): 5,  # below protocols::http
    **{("extensions", kind): 3 for kind in ("health_check", "zpages", "pprof")},
}
# Keys whose value is an address in every component that has them.
_ADDRESSES = ("endpoint", "listen_address", "http_endpoint")


def check_sections(root: Node) -> Iterator[Problem]:
    """Errors in the sections themselves: unknown ones, empty ones, components with one name."""
    for text, value in root.items:
        if text not in (*SECTIONS, "service"):
            near = difflib.get_close_matches(text, (*SECTIONS, "service"), 1, 0.6)
            yield Problem.of(
                value,
                (text,),
                f"'{text}' is not a section of a collector configuration.",
                f"Did you mean '{near[0]}'?"
                if near
                else f"Sections are {', '.join(sorted(SECTIONS))} and service.",
            )
    for section in ("receivers", "exporters"):
        node = root.get(section)
        if node is None or node.kind == "null" or (node.kind == "map" and not node.items):
            yield Problem(
                node.line if node is not None else None,
                section,
                f"The collector configuration has no {section}.",
                advice=f"Configure at least one in the section '{section}'.",
                file=root.file,
            )
    names: dict[str, set[str]] = {}
    for section in SECTIONS:
        node = root.get(section)
        yield from check.mapping(node, (section,))
        names[section] = set()
        for text, component in node.items if node is not None else ():
            name = component_id(text)
            path = (section, text)
            if name is None:
                message = f"'{text}' is not a component name (type or type/name)."
                yield Problem.of(component, path, message, GRAMMAR)
            elif name in names[section]:
                message = f"'{name}' is configured twice: spaces around a name don't count."
                yield Problem.of(component, path, message, "Remove one of them.")
            elif component.kind not in ("map", "null") and not unknown(component):
                message = f"the settings of '{text}' must be a mapping."
                yield Problem.of(component, path, message, f"Write '{text}:' and its keys below.")
            names[section].add(name or text)
    yield from _ambiguous(root, names)


def _ambiguous(root: Node, names: dict[str, set[str]]) -> Iterator[Problem]:
    connectors = root.get("connectors")
    for text, node in connectors.items if connectors is not None else ():
        for section in ("exporters", "receivers"):
            if component_id(text) in names[section]:
                yield Problem.of(
                    node,
                    ("connectors", text),
                    f"'{text}' is the name of a connector and of one of the {section}.",
                    f"Rename the connector, e.g. to '{text}/connector'.",
                )


def check_types(root: Node, release: Release, *, exact: bool) -> Iterator[Problem]:
    """Components whose type the release doesn't have: errors, or warnings for another collector.

    `exact` says that the collector image is that release.
    """
    for section in SECTIONS:
        node = root.get(section)
        for text, component in node.items if node is not None else ():
            kind = component_type(component_id(text) or "")
            has = release.has(section, kind) if kind else True
            if has:
                continue
            where = "may lack" if has is None else "has no"
            instead = release.instead(section, kind) if has is False else ""
            yield Problem.of(
                component,
                (section, text),
                f"{release.name} {where} {section[:-1]} '{kind}'.",
                instead or "Its --collector-image must contain the component.",
                is_error=exact and has is False,
            )


def check_addresses(root: Node) -> Iterator[Problem]:
    """Addresses that are written as numbers: the collector expects text."""
    for section in SECTIONS:
        node = root.get(section)
        for path, leaf in node.leaves((section,)) if node is not None else ():
            kind = component_type(path[1].strip()) if len(path) > 2 else ""
            if kind and path[-1] in _ADDRESSES and leaf.scalar != "string":
                given = "a number" if leaf.scalar in ("int", "float") else "true or false"
                message = f"'{path[-1]}' of '{path[1]}' must be an address, not {given}."
                port = leaf.text if leaf.scalar == "int" else "PORT"
                advice = f"Write '{path[-1]}: localhost:{port}'."
                yield Problem.of(leaf, path, message, advice)
            elif path[-1] == "port" and len(path) == _LISTENERS.get((section, kind)):
                message = f"'{path[1]}' has no setting 'port'."
                yield Problem.of(leaf, path, message, f"Write 'endpoint: localhost:{leaf.text}'.")
