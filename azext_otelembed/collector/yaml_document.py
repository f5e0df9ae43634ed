"""Parses YAML into a tree of nodes with line numbers, as the collector's parser reads it.

The collector reads YAML with go.yaml.in/yaml/v3 (confmap/provider.go), a port of libyaml. It reads
the first document only, refuses `%YAML 1.2`, and takes duplicate keys for errors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import yaml

from azext_otelembed.errors import InvalidConfig

_MAX_DEPTH = 50
_MAX_NODES = 20_000
_DELIMITER = "::"
_TOO_LARGE = "The collector configuration is too large or nested too deeply."
_MERGE = "<<"
_TAG = "tag:yaml.org,2002:"
# The plain scalars that yaml/v3 doesn't read as text (resolve.go). `yes` and `on` are text.
_PLAIN = {
    "null": re.compile(r"(?:~|null|Null|NULL)?"),
    "bool": re.compile(r"true|True|TRUE|false|False|FALSE"),
    "int": re.compile(r"[-+]?(?:0x[0-9a-fA-F_]+|0b[01_]+|0o[0-7_]+|[0-9][0-9_]*)"),
    "float": re.compile(
        r"[-+]?(?:\.[0-9]+|[0-9][0-9_]*(?:\.[0-9_]*)?)(?:[eE][-+]?[0-9]+)?"
        r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
    ),
    "timestamp": re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}(?:[Tt ].*[0-9Zz])?", re.DOTALL),
}
# libyaml treats tabs as yaml/v3 does; PyYAML's own scanner refuses a tab behind a value.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True, slots=True)
class Node:
    """A value in the document. `line` counts from 1; a mapping's value has the line of its key.

    `kind` is "map", "list", "text" (any scalar, as written) or "null". `items` are a mapping's keys
    and values, `elements` a list's members; both are empty for other kinds. `scalar` is the type of
    a "text": "string", "bool", "int", "float" or "timestamp". `file` is the name of its file.
    """

    kind: str
    line: int
    text: str | None = None
    items: tuple[tuple[str, Node], ...] = ()
    elements: tuple[Node, ...] = ()
    scalar: str = ""
    file: str = ""

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


def merge(first: Node, second: Node) -> Node:
    """`second` over `first`: mappings are merged key by key, other values are replaced.

    So the collector merges several configurations, before it expands `${…}` (confmap/resolver.go,
    internal/conf.go; maps.Merge of koanf): an empty mapping changes nothing, null replaces.
    """
    if first.kind != "map" or second.kind != "map":
        return second
    merged = dict(first.items)
    for key, node in second.items:
        merged[key] = merge(merged[key], node) if key in merged else node
    return replace(second, items=tuple(merged.items()))


def plain_type(text: str) -> str:
    """The type that yaml/v3 gives a plain scalar: "string", "null", "bool", "int" and so on."""
    return next((kind for kind, plain in _PLAIN.items() if plain.fullmatch(text)), "string")


@dataclass(frozen=True, slots=True)
class Document:
    """The first document of a file, and the line where a second one begins, which isn't read."""

    root: Node
    second: int | None = None


def parse(source: str, file: str = "") -> Document:
    """Read the first document, whose top level is a mapping. Raises InvalidConfig with the line.

    Duplicate keys (the collector exits on them) and documents that are deeply nested, or very large
    through aliases, are errors as well.
    """
    try:
        # yaml/v3 ignores a byte order mark inside of the text; libyaml refuses it.
        composer = _Composer(source.replace("\ufeff", " "), file)
        root = composer.document()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        reason = error.problem or error.context or "it can't be read"
        line = mark.line + 1 if mark is not None else None
        raise InvalidConfig(f"not valid YAML: {reason}.", line=line) from error
    except yaml.reader.ReaderError as error:
        line = source.encode()[: error.position].count(b"\n") + 1
        raise InvalidConfig("not valid YAML: a control character.", line=line) from error
    except RecursionError as error:
        raise InvalidConfig("The collector configuration is nested too deeply.") from error
    except (ValueError, OverflowError) as error:
        # PyYAML's own: a version of thousands of digits in %YAML, a character above U+10FFFF.
        raise InvalidConfig("not valid YAML: a number is too large.") from error
    if root is None or root.kind == "null":
        raise InvalidConfig("The collector configuration is empty.")
    if root.kind != "map":
        raise InvalidConfig(
            "The collector configuration must be a mapping with receivers, exporters and service.",
            line=root.line,
        )
    return Document(_without_delimiters(root, 0), composer.second_document())


class _Composer:
    """Builds Nodes from the events of a YAML parser, up to a maximum number and depth."""

    def __init__(self, source: str, file: str) -> None:
        self._events = yaml.parse(source, Loader=_LOADER)
        self._file = file
        self._left = _MAX_NODES
        self._anchors: dict[str, tuple[Node, int]] = {}

    def document(self) -> Node | None:
        """The root of the first document; None for an empty file."""
        for event in self._events:
            if isinstance(event, yaml.DocumentStartEvent):
                if event.version not in (None, (1, 1)):
                    raise InvalidConfig(
                        "the collector doesn't read YAML of this version.",
                        "Remove the line that begins with %YAML.",
                        _line(event),
                    )
                return self._node(next(self._events), 0)
        return None

    def second_document(self) -> int | None:
        """The line of the next document, or of what can't be read behind the first one."""
        try:
            for event in self._events:
                if isinstance(event, yaml.DocumentStartEvent):
                    return _line(event)
        except yaml.MarkedYAMLError as error:
            return error.problem_mark.line + 1 if error.problem_mark is not None else None
        return None

    def _node(self, event: yaml.Event, depth: int) -> Node:
        self._left -= 1
        if self._left < 0 or depth > _MAX_DEPTH:
            raise InvalidConfig(_TOO_LARGE, line=_line(event))
        line = _line(event)
        if isinstance(event, yaml.AliasEvent):
            return self._alias(event.anchor or "", line)
        before = self._left
        if isinstance(event, yaml.ScalarEvent):
            node = self._scalar(event, line)
        elif isinstance(event, yaml.SequenceStartEvent):
            members = []
            while not isinstance(member := next(self._events), yaml.SequenceEndEvent):
                members.append(self._node(member, depth + 1))
            node = Node("list", line, elements=tuple(members), file=self._file)
        else:
            node = Node("map", line, items=self._items(depth), file=self._file)
        if isinstance(event, yaml.NodeEvent) and event.anchor is not None:
            self._anchors[event.anchor] = (node, before - self._left + 1)
        return node

    def _alias(self, anchor: str, line: int) -> Node:
        if anchor not in self._anchors:
            raise InvalidConfig(
                # The name may be a password that begins with an asterisk: it isn't repeated.
                "not valid YAML: undefined alias, or one inside of its own anchor.",
                "A value that begins with * is an alias: put it in quotes.",
                line,
            )
        node, size = self._anchors[anchor]
        self._left -= size
        return replace(node, line=line)

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Node:
        scalar = "string"
        if event.tag is not None and event.tag.startswith(_TAG):
            scalar = {"str": "string", "binary": "string"}.get(
                event.tag.removeprefix(_TAG), event.tag.removeprefix(_TAG)
            )
        elif event.tag is None and event.implicit[0]:
            scalar = plain_type(event.value)
        if scalar == "null":
            return Node("null", line, file=self._file)
        return Node("text", line, event.value, scalar=scalar, file=self._file)

    def _items(self, depth: int) -> tuple[tuple[str, Node], ...]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        written: set[str] = set()
        while not isinstance(key := next(self._events), yaml.MappingEndEvent):
            line = _line(key)
            name = self._key(key, depth, written)
            value = self._node(next(self._events), depth + 1)
            if name == _MERGE and isinstance(key, yaml.ScalarEvent) and key.implicit[0]:
                for source in value.elements or (value,):
                    if source.kind != "map":
                        raise InvalidConfig("'<<' can only merge mappings.", line=line)
                    for child_name, child in source.items:
                        merged.setdefault(child_name, child)
            else:
                own[name] = replace(value, line=line)
        return tuple({**merged, **own}.items())

    def _key(self, event: yaml.Event, depth: int, written: set[str]) -> str:
        node = self._node(event, depth + 1)
        if node.kind not in ("text", "null"):
            raise InvalidConfig("a key must be plain text.", line=node.line)
        name = node.text or ""
        if depth == 0 and node.scalar != "string":
            raise InvalidConfig("a section's name must be text.", line=node.line)
        if name in written:
            raise InvalidConfig(f"the key '{name}' is duplicated.", line=node.line)
        written.add(name)
        return name


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark is not None else 1


def _without_delimiters(node: Node, depth: int) -> Node:
    """`a::b: 1` as `a: {b: 1}`: confmap's key delimiter (confmap/internal/conf.go)."""
    if node.elements:
        members = (_without_delimiters(member, depth + 1) for member in node.elements)
        return replace(node, elements=tuple(members))
    if not node.items:
        return node
    found = Node("map", node.line, file=node.file)
    for key, value in node.items:
        *outer, last = key.split(_DELIMITER)
        inner_depth = depth + len(outer) + 1
        if inner_depth > _MAX_DEPTH:
            raise InvalidConfig(_TOO_LARGE, line=value.line)
        inner = _without_delimiters(value, inner_depth)
        inner = Node("map", value.line, items=((last, inner),), file=node.file)
        for name in reversed(outer):
            inner = Node("map", value.line, items=((name, inner),), file=node.file)
        found = merge(found, inner)
    return replace(node, items=found.items)
