"""Parses YAML into a tree of nodes with line numbers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import yaml

from azext_otelembed.errors import InvalidConfig

_MAX_DEPTH = 50
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Node:
    """A value in the document. `line` counts from 1; a mapping's value has the line of its key.

    `kind` is "map", "list", "text" (any scalar, as written) or "null". `items` are a mapping's keys
    and values, `elements` a list's members; both are empty for other kinds.
    """

    kind: str
    line: int
    text: str | None = None
    items: tuple[tuple[str, Node], ...] = ()
    elements: tuple[Node, ...] = ()

    def get(self, key: str) -> Node | None:
        """The value of a mapping's key."""
        return next((node for name, node in self.items if name == key), None)

    def find(self, *path: str) -> Node | None:
        """The value at a path of keys."""
        node: Node | None = self
        for key in path:
            node = node.get(key) if node is not None else None
        return node

    def leaves(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
        """All scalars, each with its path of keys."""
        if self.kind == "text":
            yield path, self
        for key, node in self.items:
            yield from node.leaves((*path, key))
        for node in self.elements:
            yield from node.leaves(path)


def parse(source: str) -> Node:
    """Read a document whose top level is a mapping. Raises InvalidConfig with the line.

    Duplicate keys (the collector exits on them) and documents that are deeply nested, or very large
    through aliases, are errors as well.
    """
    try:
        found = yaml.compose(source, Loader=yaml.SafeLoader)
        if found is None:
            raise InvalidConfig("The collector configuration is empty.")
        root = _Converter().convert(found, 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "it can't be read"
        line = mark.line + 1 if mark is not None else None
        raise InvalidConfig(f"not valid YAML: {reason}.", line=line) from error
    except yaml.reader.ReaderError as error:
        line = source[: error.position].count("\n") + 1
        raise InvalidConfig("not valid YAML: a control character.", line=line) from error
    except RecursionError as error:
        raise InvalidConfig("The collector configuration is nested too deeply.") from error
    except (ValueError, OverflowError) as error:
        # PyYAML's own: a version of thousands of digits in %YAML, a character above U+10FFFF.
        raise InvalidConfig("not valid YAML: a number is too large.") from error
    if root.kind != "map":
        raise InvalidConfig(
            "The collector configuration must be a mapping with receivers, exporters and service.",
            line=root.line,
        )
    return root


class _Converter:
    """Converts PyYAML's nodes to Nodes, up to a maximum number."""

    def __init__(self) -> None:
        self._left = 20_000

    def convert(self, node: yaml.Node, depth: int) -> Node:
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            raise InvalidConfig("The collector configuration is too large or nested too deeply.")
        line = node.start_mark.line + 1
        if isinstance(node, yaml.ScalarNode):
            if node.tag == _NULL:
                return Node("null", line)
            return Node("text", line, node.value)
        if isinstance(node, yaml.SequenceNode):
            members = tuple(self.convert(child, depth + 1) for child in node.value)
            return Node("list", line, elements=members)
        return Node("map", line, items=self._items(node, depth))

    def _items(self, mapping: yaml.Node, depth: int) -> tuple[tuple[str, Node], ...]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in mapping.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                node = self.convert(value, depth + 1)
                for source in node.elements or (node,):
                    if source.kind != "map":
                        raise InvalidConfig("'<<' can only merge mappings.", line=line)
                    for name, child in source.items:
                        merged.setdefault(name, child)
                continue
            if not isinstance(key, yaml.ScalarNode):
                raise InvalidConfig("a key must be plain text.", line=line)
            if key.value in own:
                raise InvalidConfig(f"the key '{key.value}' is duplicated.", line=line)
            own[key.value] = replace(self.convert(value, depth + 1), line=line)
        return tuple({**merged, **own}.items())
