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


class InvalidPattern(ValueError):
    """A line is not a valid pattern; its number counts from 1."""

    def __init__(self, line: int, pattern: str, reason: str) -> None:
        super().__init__(f"line {line}: '{pattern}' {reason}")


@dataclass(frozen=True, slots=True)
class _Rule:
    exception: bool
    whole: re.Pattern[str]
    parts: tuple[re.Pattern[str] | None, ...]
    """The pattern folder by folder, None where it spans any number; for `may_contain_exception`."""

    def matches_below(self, folders: Sequence[str]) -> bool:
        """Whether it can match a path below this folder, apart from the folder itself."""
        for part, folder in zip(self.parts, folders, strict=False):
            if part is None:
                return True
            if not part.fullmatch(folder):
                return False
        return len(self.parts) > len(folders)


@dataclass(frozen=True, slots=True)
class IgnoreRules:
    """The rules of one file, in order."""

    rules: tuple[_Rule, ...] = ()

    def excludes(self, path: str) -> bool:
        """Whether the file or folder at `path` is excluded."""
        folders = path.split("/")
        # `a/b/c` as `a`, `a/b`, `a/b/c`.
        prefixes = ["/".join(folders[: position + 1]) for position in range(len(folders))]
        excluded = False
        for rule in self.rules:
            # A rule that would not change the result is skipped.
            if rule.exception == excluded and any(map(rule.whole.fullmatch, prefixes)):
                excluded = not rule.exception
        return excluded

    def may_contain_exception(self, folder: str) -> bool:
        """Whether an excluded folder may contain a path that an exception includes."""
        folders = folder.split("/")
        return any(rule.exception and rule.matches_below(folders) for rule in self.rules)


def parse(text: str) -> IgnoreRules:
    """The rules of a .dockerignore. Raises `InvalidPattern`."""
    rules: list[_Rule] = []
    for number, line in enumerate(text.removeprefix(_BOM).split("\n"), 1):
        if line.startswith("#"):
            continue
        pattern = line.strip()
        exception = pattern.startswith("!")
        if exception:
            pattern = pattern[1:].strip()
            if not pattern:
                raise InvalidPattern(number, "!", "is an exception from nothing.")
        if not pattern:
            continue
        # `a/./b/../c/` as `a/c`; a leading slash has no effect.
        cleaned = posixpath.normpath(pattern).lstrip("/") or "/"
        try:
            parts = tuple(
                None if "**" in part else re.compile(_expression(part), re.DOTALL)
                for part in cleaned.split("/")
            )
            whole = re.compile(_expression(cleaned), re.DOTALL)
        except ValueError as problem:
            raise InvalidPattern(number, line.strip(), str(problem)) from None
        rules.append(_Rule(exception, whole, parts))
    return IgnoreRules(tuple(rules))


def _expression(pattern: str) -> str:
    """The regular expression of a pattern. Raises ValueError."""
    expression: list[str] = []
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
            expression.append(".*" if everything else "(?:.*/)?")
        elif char == "*":
            expression.append("[^/]*")
        elif char == "?":
            expression.append("[^/]")
        elif char == "[":
            members, position = _members(pattern, position)
            expression.append(members)
        elif char == "\\":
            if position >= len(pattern):
                raise ValueError("ends with a backslash that escapes nothing.")
            expression.append(re.escape(pattern[position]))
            position += 1
        else:
            expression.append(re.escape(char))
    return "".join(expression)


def _members(pattern: str, position: int) -> tuple[str, int]:
    """A character class (`[a-z]`, `[^a]`) from after its bracket, as an expression; its end."""
    negated = pattern.startswith("^", position)
    position += negated
    ranges: list[str] = []
    while position < len(pattern) and (pattern[position] != "]" or not ranges):
        low, position = _member(pattern, position)
        high = low
        if pattern.startswith("-", position):
            high, position = _member(pattern, position + 1)
        if low > high:
            raise ValueError(f"has a range that runs backwards, from '{low}' to '{high}'.")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if position >= len(pattern):
        raise ValueError("has a '[' without its ']'.")
    return f"(?!/)[{'^' if negated else ''}{''.join(ranges)}]", position + 1


def _member(pattern: str, position: int) -> tuple[str, int]:
    escaped = pattern.startswith("\\", position)
    position += escaped
    if position >= len(pattern) or (not escaped and pattern[position] in "-]"):
        raise ValueError("has a '[' that isn't a set of characters.")
    return pattern[position], position + 1
