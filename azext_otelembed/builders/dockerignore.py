"""The files of a build context that a .dockerignore excludes, by Docker's rules.

The rules are those of https://docs.docker.com/build/concepts/context/#dockerignore-files: one
pattern a line as in Go's `filepath.Match`, plus `**` for any number of folders and `!` for
exceptions; a pattern that matches a folder also matches everything below it; the last match
decides. Paths here are relative to the context, with `/`, on every system.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

_SPECIAL = re.compile(r"[*?\[\]\\]")
_BOM = "\ufeff"
_SPACE = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)
"""The characters that Go's `strings.TrimSpace` removes; `str.strip` also removes four others."""
_MOST_PLACES = 1 << 20
"""Places in all nodes that are kept, some 40 MB; ordinary rules need some thousands."""


class InvalidPattern(ValueError):
    """A line is not a valid pattern; its number counts from 1."""

    def __init__(self, line: int, pattern: str, reason: str) -> None:
        super().__init__(f"line {line}: '{pattern}' {reason}")


@dataclass(frozen=True, slots=True)
class _Token:
    """A part of a pattern: one character, or any number of characters or of folders.

    A character is one of `ranges`, or with `negated` any but those and the slash.
    """

    ranges: tuple[tuple[str, str], ...] = ()
    negated: bool = False
    repeats: bool = False
    folders: bool = False

    def accepts(self, char: str) -> bool:
        """Whether `char` is such a character."""
        if self.negated and char == "/":
            return False
        return any(low <= char <= high for low, high in self.ranges) != self.negated


_ONE = _Token(negated=True)
_MANY = _Token(negated=True, repeats=True)
_EVERYTHING = _Token((("\0", "\U0010ffff"),), repeats=True)
_FOLDERS = _Token(folders=True)


@dataclass(frozen=True, slots=True)
class _Rule:
    exception: bool
    tokens: tuple[_Token, ...]


class _Node:
    """The places in the patterns at which the characters read so far can end."""

    __slots__ = ("ended", "next", "places")

    def __init__(self, places: frozenset[int], ended: int) -> None:
        self.places = places
        self.ended = ended
        """The last rule that matches exactly what was read; -1 for none."""
        self.next: dict[str, _Node] = {}


class IgnoreRules:
    """The rules of one file, in order: an automaton whose nodes are made when they are reached.

    It reads each path once, whatever the patterns are; regular expressions would backtrack.
    """

    def __init__(self, rules: Sequence[_Rule] = ()) -> None:
        self._rules = rules
        self._tokens: list[_Token | int] = []
        """The tokens of all rules, and after those of each rule its number."""
        self._entered: list[tuple[int, ...]] = []
        """The places that are reached with each token: a token that may be empty is passed too."""
        starts: list[int] = []
        for number, rule in enumerate(rules):
            starts.append(len(self._tokens))
            self._tokens += [*rule.tokens, number]
        for place in reversed(range(len(self._tokens))):
            token = self._tokens[place]
            optional = isinstance(token, _Token) and (token.repeats or token.folders)
            self._entered.append((place, *self._entered[-1]) if optional else (place,))
        self._entered.reverse()
        self._start = frozenset(place for start in starts for place in self._entered[start])
        self._forget()

    def excludes(self, path: str) -> bool:
        """Whether the file or folder at `path` is excluded."""
        node, matched = self._root, -1
        for char in path:
            if char == "/":
                matched = max(matched, node.ended)
            node = node.next.get(char) or self._read(node, char)
        matched = max(matched, node.ended)
        # A rule that matches a folder matches all below it, and the last rule that matches decides.
        return matched >= 0 and not self._rules[matched].exception

    def may_contain_exception(self, folder: str) -> bool:
        """Whether an excluded folder may contain a path that an exception includes."""
        node = self._root
        for char in f"{folder}/":
            node = node.next.get(char) or self._read(node, char)
        return any(self._rules[self._rule_of(place)].exception for place in node.places)

    def _rule_of(self, place: int) -> int:
        while isinstance(token := self._tokens[place], _Token):
            place += 1
        return token

    def _read(self, node: _Node, char: str) -> _Node:
        if self._size > _MOST_PLACES:
            self._forget()
        places: set[int] = set()
        for place in node.places:
            token = self._tokens[place]
            if not isinstance(token, _Token):
                continue
            if token.folders:
                places.add(place)
                if char == "/":
                    places.update(self._entered[place + 1])
            elif token.accepts(char):
                places.update(self._entered[place if token.repeats else place + 1])
        node.next[char] = found = self._node(frozenset(places))
        return found

    def _node(self, places: frozenset[int]) -> _Node:
        found = self._nodes.get(places)
        if found is None:
            ends = (self._tokens[place] for place in places)
            ended = max((end for end in ends if isinstance(end, int)), default=-1)
            found = self._nodes[places] = _Node(places, ended)
            self._size += len(places) + 1
        return found

    def _forget(self) -> None:
        self._nodes: dict[frozenset[int], _Node] = {}
        self._size = 0
        self._root = self._node(self._start)


def parse(text: str) -> IgnoreRules:
    """The rules of a .dockerignore. Raises `InvalidPattern`."""
    rules: list[_Rule] = []
    for number, line in enumerate(text.removeprefix(_BOM).split("\n"), 1):
        if line.startswith("#"):
            continue
        pattern = line.strip(_SPACE)
        exception = pattern.startswith("!")
        if exception:
            pattern = pattern[1:].strip(_SPACE)
            if not pattern:
                raise InvalidPattern(number, "!", "is an exception from nothing.")
        if not pattern:
            continue
        # `a/./b/../c/` as `a/c`; a leading slash has no effect.
        cleaned = posixpath.normpath(pattern).lstrip("/").strip(_SPACE) or "/"
        try:
            rules.append(_Rule(exception, tuple(_tokens(cleaned))))
        except ValueError as problem:
            raise InvalidPattern(number, line.strip(_SPACE), str(problem)) from None
    return IgnoreRules(tuple(rules))


def _tokens(pattern: str) -> list[_Token]:
    """The tokens of a pattern. Raises ValueError."""
    tokens: list[_Token] = []
    position = 0
    while position < len(pattern):
        char = pattern[position]
        position += 1
        if char == "*" and pattern.startswith("*", position):
            position += 1
            if pattern.startswith("/", position):
                position += 1
            # `**` at the end matches everything; elsewhere any number of whole folders, or none.
            # In Docker `**.log` matches any path that ends in .log, if the rest isn't special.
            everything = position >= len(pattern) or (
                position == 2 and not _SPECIAL.search(pattern, position)
            )
            token = _EVERYTHING if everything else _FOLDERS
            if tokens[-1:] != [token]:  # any number of folders, twice, is any number of folders
                tokens.append(token)
        elif char == "*":
            tokens.append(_MANY)
        elif char == "?":
            tokens.append(_ONE)
        elif char == "[":
            members, position = _members(pattern, position)
            tokens.append(members)
        elif char == "\\":
            if position >= len(pattern):
                raise ValueError("ends with a backslash that escapes nothing.")
            tokens.append(_literal(pattern[position]))
            position += 1
        else:
            tokens.append(_literal(char))
    return tokens


def _literal(char: str) -> _Token:
    return _Token(((char, char),))


def _members(pattern: str, position: int) -> tuple[_Token, int]:
    """A character class (`[a-z]`, `[^a]`) from after its bracket, and its end."""
    negated = pattern.startswith("^", position)
    position += negated
    ranges: list[tuple[str, str]] = []
    while position < len(pattern) and (pattern[position] != "]" or not ranges):
        low, position = _member(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _member(pattern, position + 1)
        if low > high:
            raise ValueError(f"has a range that runs backwards, from '{low}' to '{high}'.")
        # In no set of characters the slash is one.
        ranges += [(low, min(high, ".")), (max(low, "0"), high)]
    if position >= len(pattern):
        raise ValueError("has a '[' without its ']'.")
    return _Token(tuple(ranges), negated), position + 1


def _member(pattern: str, position: int) -> tuple[str, int]:
    escaped = pattern.startswith("\\", position)
    position += escaped
    if position >= len(pattern) or (not escaped and pattern[position] in "-]"):
        raise ValueError("has a '[' that isn't a set of characters.")
    return pattern[position], position + 1
