"""`${scheme:value}` in a configuration: which values the collector expands, and which it can't.

As open-telemetry/opentelemetry-collector, confmap/expand.go and provider/envprovider: the innermost
expression first, `$$` is a dollar sign, `${NAME}` is `${env:NAME}`, and keys are not expanded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from azext_otelembed.collector.problem import Problem
from azext_otelembed.collector.yaml_document import Node

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):(.*)", re.DOTALL)
_ENVIRONMENT_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*", re.ASCII)
_EXPANDED = "_"
"""Stands for the unknown value of an expression inside of another one."""


def is_expanded(text: str | None) -> bool:
    """Whether the collector replaces at least a part of the text: its value isn't known here."""
    return text is not None and next(expressions(text), None) is not None


def unknown(node: Node | None) -> bool:
    """Whether a value comes from an expression, and may be of any kind: a list, a mapping, null."""
    return node is not None and is_expanded(node.text)


def expressions(text: str) -> Iterator[str]:
    """What stands between `${` and `}`, in the order in which the collector expands it."""
    for _ in range(1000):
        found = _innermost(text)
        if found is None:
            return
        yield found[2:-1]
        text = text.replace(found, _EXPANDED)


def defaults(text: str) -> Iterator[str]:
    """The values that are written as `${env:NAME:-value}`, without those of other expressions."""
    for expression in expressions(text):
        scheme, _, value = _split(expression)
        default = value.partition(":-")[2]
        if scheme == "env" and default not in ("", _EXPANDED):
            yield default


def environment_names(root: Node) -> Iterator[tuple[str, bool, Node]]:
    """The environment variables that are read: name, whether it has a default, the value."""
    for _, node in root.leaves():
        for expression in expressions(node.text or ""):
            scheme, _, value = _split(expression)
            if scheme == "env":
                name, has_default, _ = value.partition(":-")
                yield name, bool(has_default), node


def check(root: Node, schemes: frozenset[str], origin: str) -> Iterator[Problem]:
    """The expressions that make the collector exit. `origin` is the release with the `schemes`."""
    for path, node in root.leaves():
        for expression in expressions(node.text or ""):
            wrong = _fault(expression, schemes, origin)
            if wrong is not None:
                message, advice = wrong
                yield Problem.of(node, path, message, advice)


def _fault(expression: str, schemes: frozenset[str], origin: str) -> tuple[str, str] | None:
    scheme, colon, value = _split(expression)
    if not colon:
        # What stands there may be a secret that holds `${`: it isn't repeated.
        return (
            "an expression has neither the form ${scheme:value} nor ${NAME}.",
            "Write ${env:NAME:-default} for an environment variable, and $$ for a dollar sign.",
        )
    if "$" in value:
        return ("a '$' stands inside of ${…}.", "Only another ${…} may stand inside.")
    if scheme not in schemes:
        return (
            f"the collector doesn't know '${{{scheme}:…}}'.",
            f"Known in {origin}: {', '.join(sorted(schemes))}. A dollar sign is written $$.",
        )
    name = value.partition(":-")[0]
    if scheme == "env" and not _ENVIRONMENT_NAME.fullmatch(name):
        return (
            "the name of an environment variable in ${…} has a character other than letters, "
            "digits and '_', or begins with a digit.",
            "Write ${env:NAME}. A dollar sign is written $$.",
        )
    return None


def _split(expression: str) -> tuple[str, str, str]:
    """Scheme, ":" and value; three empty texts for what is no URI."""
    found = _URI.fullmatch(expression if ":" in expression else f"env:{expression}")
    return (found[1], ":", found[2]) if found else ("", "", "")


def _innermost(text: str) -> str | None:
    """The next expression, with `${` and `}`.

    None also at one that `$$` escapes: the collector stops there (confmap.Resolver.findURI).
    """
    start = 0
    while (end := text.find("}", start)) >= 0:
        begin = text.rfind("${", start, end + 1)
        if begin >= 0:
            dollars = begin - len(text[start:begin].rstrip("$")) - start
            return None if dollars % 2 else text[begin : end + 1]
        start = end + 1
    return None
