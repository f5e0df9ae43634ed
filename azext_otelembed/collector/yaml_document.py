"""A YAML document as a tree that knows the line of everything in it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from azext_otelembed.errors import InvalidConfig

if TYPE_CHECKING:
    import yaml

_MAX_DEPTH = 50
_NULL = "tag:yaml.org,2002:null"
_MERGE = "tag:yaml.org,2002:merge"


@dataclass(frozen=True, slots=True)
class Node:
    """A value in the document. `line` counts from 1; a mapping's value has that of its key.

    `kind` is "map", "list", "text" (any scalar, as it is written) or "null".
    """

    kind: str
    line: int
    text: str | None = None
    fields: tuple[tuple[str, Node], ...] = ()
    members: tuple[Node, ...] = ()

    @property
    def is_map(self) -> bool:
        """Whether it is a mapping."""
        return self.kind == "map"

    @property
    def is_list(self) -> bool:
        """Whether it is a sequence."""
        return self.kind == "list"

    @property
    def is_null(self) -> bool:
        """Whether nothing was written there."""
        return self.kind == "null"

    def items(self) -> tuple[tuple[str, Node], ...]:
        """Keys and values of a mapping; nothing for anything else."""
        return self.fields

    def elements(self) -> tuple[Node, ...]:
        """The elements of a list; nothing for anything else."""
        return self.members

    def get(self, key: str) -> Node | None:
        """The value of a mapping's key."""
        return next((node for name, node in self.fields if name == key), None)

    def find(self, *path: str) -> Node | None:
        """The value that a path of keys leads to."""
        node: Node | None = self
        for key in path:
            node = node.get(key) if node is not None else None
        return node

    def leaves(self, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Node]]:
        """All scalars, each with the keys that lead to it."""
        if self.kind == "text":
            yield path, self
        for key, node in self.fields:
            yield from node.leaves((*path, key))
        for node in self.members:
            yield from node.leaves(path)


def parse(source: str) -> Node:
    """Read a document whose top level is a mapping. Raises InvalidConfig with the line.

    Refused besides what isn't YAML: duplicate keys (the collector exits on them) and documents that
    are deep, or large by repeating themselves through aliases.
    """
    import yaml

    try:
        found = yaml.compose(source, Loader=yaml.SafeLoader)
        if found is None:
            raise InvalidConfig("The collector configuration is empty.")
        root = _Converter(yaml).convert(found, 0)
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
    if not root.is_map:
        raise InvalidConfig(
            "The collector configuration must be a mapping with receivers, exporters and service.",
            line=root.line,
        )
    return root


class _Converter:
    """Makes Nodes of PyYAML's, a bounded number of them."""

    def __init__(self, yaml_module: Any) -> None:
        self._yaml = yaml_module
        self._left = 20_000

    def convert(self, node: yaml.Node, depth: int) -> Node:
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            raise InvalidConfig("The collector configuration is too large or nested too deeply.")
        line = node.start_mark.line + 1
        if isinstance(node, self._yaml.ScalarNode):
            if node.tag == _NULL:
                return Node("null", line)
            return Node("text", line, node.value)
        if isinstance(node, self._yaml.SequenceNode):
            members = tuple(self.convert(child, depth + 1) for child in node.value)
            return Node("list", line, members=members)
        return Node("map", line, fields=self._fields(node, depth))

    def _fields(self, node: yaml.Node, depth: int) -> tuple[tuple[str, Node], ...]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                for name, child in self._merged(self.convert(value, depth + 1), line):
                    merged.setdefault(name, child)
                continue
            if not isinstance(key, self._yaml.ScalarNode):
                raise InvalidConfig("a key must be plain text.", line=line)
            if key.value in own:
                raise InvalidConfig(f"the key '{key.value}' is there twice.", line=line)
            own[key.value] = replace(self.convert(value, depth + 1), line=line)
        return tuple({**merged, **own}.items())

    def _merged(self, node: Node, line: int) -> Iterator[tuple[str, Node]]:
        for source in node.elements() or (node,):
            if not source.is_map:
                raise InvalidConfig("'<<' can only merge mappings.", line=line)
            yield from source.items()
