"""The pipelines of a configuration: their components, and how connectors join them.

Rules: open-telemetry/opentelemetry-collector v0.150.0, otelcol/config.go,
service/pipelines/config.go and service/internal/graph.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from azext_otelembed.collector import settings_check as check
from azext_otelembed.collector.component_id import GRAMMAR, component_id, component_type
from azext_otelembed.collector.expansion import unknown
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node

_SIGNALS = ("traces", "metrics", "logs")
ROLES: Mapping[str, tuple[str, ...]] = {
    "receivers": ("receivers", "connectors"),
    "processors": ("processors",),
    "exporters": ("exporters", "connectors"),
}
"""The lists of a pipeline, and the sections that configure what they name."""


@dataclass(frozen=True, slots=True)
class Names:
    """A list of components. `all_known` is false where a name comes from `${…}`."""

    names: tuple[tuple[str, Node], ...] = ()
    all_known: bool = True

    @property
    def identifiers(self) -> tuple[str, ...]:
        """The names alone."""
        return tuple(name for name, _ in self.names)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A pipeline: its name (`traces/x`), its node, and its components by role."""

    name: str
    node: Node
    roles: Mapping[str, Names]


def pipelines(root: Node) -> tuple[Pipeline, ...]:
    """The pipelines, without those that can't be read."""
    found = []
    section = root.find("service", "pipelines")
    for text, node in section.items if section is not None else ():
        if node.kind in ("map", "null"):
            roles = {role: listed(node.get(role)) for role in ROLES}
            found.append(Pipeline(component_id(text) or text, node, roles))
    return tuple(found)


def listed(node: Node | None) -> Names:
    """The components that a list names, as far as they are known."""
    if node is None or node.kind != "list":
        return Names(all_known=not unknown(node))
    names = []
    all_known = True
    for element in node.elements:
        if unknown(element):
            all_known = False
        elif element.scalar == "string" and (name := component_id(element.text or "")):
            names.append((name, element))
    return Names(tuple(names), all_known)


def check_pipelines(root: Node) -> Iterator[Problem]:
    """Errors in the section `pipelines` and in the service's list of extensions."""
    service = root.get("service")
    if service is None or unknown(service):
        if service is None:
            yield Problem(
                None,
                "service",
                "The collector configuration has no 'service' section.",
                advice="It lists the pipelines: service: {pipelines: {traces: {receivers: [otlp], "
                "exporters: [azuremonitor]}}}.",
                file=root.file,
            )
        return
    configured = _configured(root)
    extensions = service.get("extensions")
    yield from _list_of_names(extensions, ("service", "extensions"), "'extensions' of the service")
    for name, node in listed(extensions).names:
        if _lacks(configured, ("extensions",), name):
            yield _undefined(node, ("service", "extensions"), "the service", "extension", name)
    section = service.get("pipelines")
    if unknown(section):
        return
    yield from check.mapping(section, ("service", "pipelines"))
    if section is None or section.kind == "null" or (section.kind == "map" and not section.items):
        yield Problem.of(
            service if section is None else section,
            ("service", "pipelines"),
            "the service has no pipelines.",
            "Write at least one, e.g. traces: {receivers: [otlp], exporters: [azuremonitor]}.",
        )
        return
    for text, node in section.items:
        yield from _check_name(text, node)
        yield from check.mapping(node, ("service", "pipelines", text))
    for pipeline in pipelines(root):
        yield from _check_pipeline(configured, pipeline)
    yield from _check_connectors(root)


def _check_name(text: str, node: Node) -> Iterator[Problem]:
    path = ("service", "pipelines", text)
    name = component_id(text)
    if name is None:
        yield Problem.of(node, path, f"'{text}' is not the name of a pipeline.", GRAMMAR)
    elif component_type(name) == "profiles":
        yield Problem.of(
            node,
            path,
            f"pipeline '{text}': the collector has profiles only behind a feature gate.",
            "Remove the pipeline.",
        )
    elif component_type(name) not in _SIGNALS:
        yield Problem.of(
            node,
            path,
            f"pipeline '{text}' has no known signal ({', '.join(_SIGNALS)}).",
            "Write a signal, or signal/name.",
        )


def _check_pipeline(
    configured: Mapping[str, frozenset[str] | None], pipeline: Pipeline
) -> Iterator[Problem]:
    path = ("service", "pipelines", pipeline.name)
    misspelt = list(check.unknown_keys(pipeline.node, ROLES, path))
    yield from misspelt
    for role, sections in ROLES.items():
        node, names = pipeline.node.get(role), pipeline.roles[role]
        wrong = list(_list_of_names(node, (*path, role), f"'{role}' of pipeline '{pipeline.name}'"))
        yield from wrong
        missing = not names.names and names.all_known and role != "processors"
        if missing and not wrong and not misspelt:
            yield Problem.of(
                pipeline.node,
                (*path, role),
                f"pipeline '{pipeline.name}' has no {role}.",
                f"Write '{role}: [NAME]'.",
            )
        for name, element in names.names:
            if _lacks(configured, sections, name):
                whose = f"pipeline '{pipeline.name}'"
                yield _undefined(element, (*path, role), whose, role[:-1], name)
    seen: set[str] = set()
    for name, element in pipeline.roles["processors"].names:
        if name in seen:
            yield Problem.of(
                element,
                (*path, "processors"),
                f"pipeline '{pipeline.name}' has the processor '{name}' twice.",
                f"Remove one, or configure a second one, such as '{name}/2'.",
            )
        seen.add(name)


def _list_of_names(node: Node | None, path: tuple[str, ...], what: str) -> Iterator[Problem]:
    if node is None or node.kind == "null" or unknown(node):
        return
    for element in node.elements if node.kind == "list" else (node,):
        if unknown(element) and node.kind == "list":
            continue
        if node.kind != "list" or element.scalar != "string":
            advice = f"Write [{node.text}]." if node.scalar == "string" else "Write [NAME, NAME]."
            yield Problem.of(element, path, f"{what} must be a list of names.", advice)
        elif component_id(element.text or "") is None:
            message = f"'{element.text}' is not the name of a component."
            yield Problem.of(element, path, message, GRAMMAR)


def _configured(root: Node) -> dict[str, frozenset[str] | None]:
    """The names in each section; None for a section that comes from an expression."""
    found: dict[str, frozenset[str] | None] = {}
    for section in (*ROLES, "connectors", "extensions"):
        node = root.get(section)
        names = (component_id(text) for text, _ in node.items) if node is not None else ()
        found[section] = None if unknown(node) else frozenset(filter(None, names))
    return found


def _lacks(
    configured: Mapping[str, frozenset[str] | None], sections: Iterable[str], name: str
) -> bool:
    known = [configured[section] for section in sections]
    return all(names is not None and name not in names for names in known)


def _undefined(node: Node, path: tuple[str, ...], whose: str, role: str, name: str) -> Problem:
    return Problem.of(
        node,
        path,
        f"{whose} references {role} '{name}', which is not configured.",
        f"Add '{name}:' to the section '{role}s', or remove it here.",
    )


def _check_connectors(root: Node) -> Iterator[Problem]:
    """Connectors that are used on one side only, and pipelines that feed themselves."""
    found = pipelines(root)
    sides = {
        role: {name for pipeline in found for name in pipeline.roles[role].identifiers}
        for role in ("receivers", "exporters")
    }
    known = all(pipeline.roles[role].all_known for pipeline in found for role in sides)
    section = root.get("connectors")
    for text, node in section.items if section is not None and known else ():
        name = component_id(text)
        for role, other in (("exporters", "receivers"), ("receivers", "exporters")):
            if name in sides[role] and name not in sides[other]:
                yield Problem.of(
                    node,
                    ("connectors", text),
                    f"connector '{text}' is among the {role} of a pipeline, "
                    f"and among the {other} of none.",
                    f"Add it to the {other} of the pipeline that it joins, or remove it.",
                )
    connectors = {component_id(text) for text, _ in section.items} if section is not None else set()
    behind = {
        pipeline.name: {
            before.name
            for before in found
            if connectors.intersection(before.roles["exporters"].identifiers)
            & set(pipeline.roles["receivers"].identifiers)
        }
        for pipeline in found
    }
    try:
        TopologicalSorter(behind).prepare()
    except CycleError as error:
        names = " → ".join(reversed(error.args[1]))
        yield Problem(
            next(one.node.line for one in found if one.name == error.args[1][0]),
            "service::pipelines",
            f"connectors send telemetry in a circle: {names}.",
            advice="Let the connector end in another pipeline.",
            file=root.file,
        )
