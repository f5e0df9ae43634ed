"""Which files of a build context a .dockerignore leaves out, by Docker's rules.

The rules are those of https://docs.docker.com/build/concepts/context/#dockerignore-files: one
pattern a line as in Go's `filepath.Match`, plus `**` for any number of folders and `!` for
exceptions; a pattern also takes what lies below a folder that it names; the last one that fits
decides. Paths here are relative to the context, with `/`, on every system.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence
from dataclasses import dataclass

_SPECIAL = re.compile(r"[*?\[\]\\]")
_BOM = "\ufeff"


class IgnoreProblem(ValueError):
    """A line that isn't a pattern; `line` counts from 1."""

    def __init__(self, line: int, pattern: str, why: str) -> None:
        super().__init__(f"line {line}: '{pattern}' {why}")
        self.line = line


@dataclass(frozen=True, slots=True)
class _Rule:
    exception: bool
    whole: re.Pattern[str]
    parts: tuple[re.Pattern[str] | None, ...]
    """The pattern folder by folder, None where it spans any number; for `might_hold`."""

    def fits(self, paths: Sequence[str]) -> bool:
        return any(self.whole.fullmatch(path) for path in paths)

    def reaches_below(self, folders: Sequence[str]) -> bool:
        """Whether it can fit something below this folder, though not the folder itself."""
        for part, folder in zip(self.parts, folders, strict=False):
            if part is None:
                return True
            if not part.fullmatch(folder):
                return False
        return len(self.parts) > len(folders)


@dataclass(frozen=True, slots=True)
class Ignore:
    """The rules of one file, in order."""

    rules: tuple[_Rule, ...] = ()

    def leaves_out(self, path: str) -> bool:
        """Whether the file or folder at `path` is left out."""
        parents = _with_parents(path)
        out = False
        for rule in self.rules:
            # Only a rule that would change the verdict needs to be tried.
            if rule.exception == out and rule.fits(parents):
                out = not rule.exception
        return out

    def might_hold(self, folder: str) -> bool:
        """Whether a folder that is left out may hold something that an exception brings back."""
        folders = folder.split("/")
        return any(rule.exception and rule.reaches_below(folders) for rule in self.rules)


def parse(text: str) -> Ignore:
    """The rules of a .dockerignore. Raises `IgnoreProblem`."""
    rules: list[_Rule] = []
    for number, line in enumerate(text.removeprefix(_BOM).split("\n"), 1):
        if line.startswith("#"):
            continue
        pattern = line.strip()
        exception = pattern.startswith("!")
        if exception:
            pattern = pattern[1:].strip()
            if not pattern:
                raise IgnoreProblem(number, "!", "is an exception from nothing.")
        if not pattern:
            continue
        cleaned = _clean(pattern)
        try:
            parts = tuple(
                None if "**" in part else re.compile(_expression(part), re.DOTALL)
                for part in cleaned.split("/")
            )
            whole = re.compile(_expression(cleaned), re.DOTALL)
        except ValueError as problem:
            raise IgnoreProblem(number, line.strip(), str(problem)) from None
        rules.append(_Rule(exception, whole, parts))
    return Ignore(tuple(rules))


def _clean(pattern: str) -> str:
    """`a/./b/../c/` as `a/c`; a leading slash means the context's root, as none does."""
    cleaned = posixpath.normpath(pattern)
    return cleaned.lstrip("/") or "/"


def _with_parents(path: str) -> list[str]:
    """`a/b/c` as `a`, `a/b`, `a/b/c`."""
    folders = path.split("/")
    return ["/".join(folders[: at + 1]) for at in range(len(folders))]


def _expression(pattern: str) -> str:
    """The regular expression that a pattern stands for. Raises ValueError."""
    written: list[str] = []
    at = 0
    while at < len(pattern):
        char = pattern[at]
        at += 1
        if char == "*" and pattern.startswith("*", at):
            at += 1
            if pattern.startswith("/", at):
                at += 1
            # `**` at the end takes everything; elsewhere any number of whole folders, also none.
            # Docker takes `**.log` for "whatever ends in .log", if nothing else in it is special.
            everything = at >= len(pattern) or (at == 2 and not _SPECIAL.search(pattern, at))
            written.append(".*" if everything else "(?:.*/)?")
        elif char == "*":
            written.append("[^/]*")
        elif char == "?":
            written.append("[^/]")
        elif char == "[":
            members, at = _members(pattern, at)
            written.append(members)
        elif char == "\\":
            if at >= len(pattern):
                raise ValueError("ends with a backslash that escapes nothing.")
            written.append(re.escape(pattern[at]))
            at += 1
        else:
            written.append(re.escape(char))
    return "".join(written)


def _members(pattern: str, at: int) -> tuple[str, int]:
    """A character class (`[a-z]`, `[^a]`) from after its bracket: as an expression, and its end."""
    negated = pattern.startswith("^", at)
    at += negated
    ranges: list[str] = []
    while at < len(pattern) and (pattern[at] != "]" or not ranges):
        low, at = _member(pattern, at)
        high = low
        if pattern.startswith("-", at):
            high, at = _member(pattern, at + 1)
        if low > high:
            raise ValueError(f"has a range that runs backwards, from '{low}' to '{high}'.")
        ranges.append(f"{re.escape(low)}-{re.escape(high)}")
    if at >= len(pattern):
        raise ValueError("has a '[' without its ']'.")
    return f"(?!/)[{'^' if negated else ''}{''.join(ranges)}]", at + 1


def _member(pattern: str, at: int) -> tuple[str, int]:
    escaped = pattern.startswith("\\", at)
    at += escaped
    if at >= len(pattern) or (not escaped and pattern[at] in "-]"):
        raise ValueError("has a '[' that isn't a set of characters.")
    return pattern[at], at + 1
