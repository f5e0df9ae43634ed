"""Extensions that settings of components name: the collector exits at start if they don't run.

As open-telemetry/opentelemetry-collector v0.150.0: config/configauth (`auth::authenticator`),
exporter/exporterhelper (`sending_queue::storage`) and config/configmiddleware (`middlewares`).
"""

from __future__ import annotations

from collections.abc import Iterator

from azext_otelembed.collector.component_id import component_id
from azext_otelembed.collector.expansion import unknown
from azext_otelembed.collector.pipelines import listed
from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node

_SETTINGS = (("auth", "authenticator"), ("sending_queue", "storage"), ("middlewares", "id"))
_SECTIONS = ("receivers", "exporters")


def check(root: Node, used: frozenset[str]) -> Iterator[Problem]:
    """An error for each extension that a component of a pipeline names and the service lacks."""
    started = listed(root.find("service", "extensions"))
    if not started.all_known:
        return
    for section in _SECTIONS:
        components = root.get(section)
        for text, component in components.items if components is not None else ():
            if component_id(text) not in used:
                continue
            for path, leaf in component.leaves((section, text)):
                name = component_id(leaf.text or "")
                if path[-2:] not in _SETTINGS or unknown(leaf) or name in started.identifiers:
                    continue
                yield Problem.of(
                    leaf,
                    path,
                    f"'{text}' uses the extension '{leaf.text}', which the service doesn't start.",
                    "Configure it in the section 'extensions', and add it to 'extensions' of the "
                    "service.",
                )
