"""Writes a tree of nodes as YAML text that the collector's parser reads as the same tree.

For several configuration files: the image has one, with what the collector would merge of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from azext_otelembed.collector.yaml_document import Node, plain_type

# Text that no version of YAML reads as anything else, and words that some version does.
_PLAIN_TEXT = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*", re.ASCII)
_NOT_TEXT = re.compile(r"true|false|yes|no|on|off|y|n|null", re.IGNORECASE)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\t": "\\t", "\r": "\\r"}
_INDENT = "  "


def yaml_text(root: Node) -> bytes:
    """The YAML text of a mapping, in UTF-8: block style, the same bytes for the same tree."""
    return "".join(f"{line}\n" for line in _lines(root, "")).encode()


def _lines(node: Node, indent: str) -> Iterator[str]:
    for key, value in node.items:
        yield from _entry(f"{indent}{_quoted(key)}:", value, indent)
    for value in node.elements:
        # An entry of a list within a list, or of its mapping, begins on a line of its own.
        yield from _entry(f"{indent}-", value, indent)


def _entry(start: str, value: Node, indent: str) -> Iterator[str]:
    if value.items or value.elements:
        yield start
        yield from _lines(value, indent + _INDENT)
    else:
        yield f"{start} {_scalar(value)}"


def _scalar(node: Node) -> str:
    if node.kind != "text":
        return {"map": "{}", "list": "[]"}.get(node.kind, "null")
    text = node.text or ""
    if node.scalar in ("", "string"):
        return _quoted(text)
    # A type given by a tag: `!!float 1`.
    return (
        text if plain_type(text) == node.scalar else f"!!{node.scalar} {_quoted(text, always=True)}"
    )


def _quoted(text: str, *, always: bool = False) -> str:
    """The text as a plain scalar, else in double quotes (YAML 1.1, 5.6, "Escape Sequences")."""
    if not always and _PLAIN_TEXT.fullmatch(text) and not _NOT_TEXT.fullmatch(text):
        return text
    return f'"{"".join(map(_escaped, text))}"'


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable():
        return character
    code = ord(character)
    return f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"
