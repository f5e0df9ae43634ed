"""A collector that somebody's own shell command starts: `otelcol … & exec node server.js`.

This is the well-known way to put one into an image by hand, as CMD or ENTRYPOINT. Embedding another
beside it would run two, which fight for the same ports. So it is recognised, and its half of the
command can be left out. A collector that is started within a script file isn't seen: a
configuration names the file, and doesn't hold it.
"""

from __future__ import annotations

import posixpath
import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_SHELLS = {"sh", "ash", "bash", "dash", "busybox"}
_COLLECTOR = re.compile(
    r"otelcol(?:[-_].*)?|otel(?:contrib|core)col(?:[-_].*)?"
    r"|(?:aws-|splunk-|grafana-)?(?:otel|opentelemetry|otlp)[-_]collector(?:[-_].*)?",
    re.ASCII,
)
# What may stand before a command's own word.
_BEFORE = {"exec", "nohup", "setsid", "command", "env", "sudo", "time"}
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
# Anything here, outside of quotes, asks for a shell.
_SPECIAL = re.compile(r"[$`*?\[\]{}()<>|;&#!~\n\\]")


@dataclass(frozen=True, slots=True)
class Start:
    """What a container starts: the entrypoint and the words of Cmd that follow it."""

    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExistingCollector:
    """`collector` is the command that starts it, `app` what is left without.

    `app` is None where the two can't be told apart.
    """

    collector: str
    app: Start | None


@dataclass(frozen=True, slots=True)
class _Part:
    """One command of a script, and the operator after it ("" at the end)."""

    text: str
    operator: str


def find(start: Start) -> ExistingCollector | None:
    """Recognise a collector that the image's own shell command starts; None where there is none."""
    words = (*start.entrypoint, *start.cmd)
    place = _script_at(words)
    if place is None:
        return None
    parts = list(_parts(words[place]))
    number = next((n for n, part in enumerate(parts) if _is_collector(part.text)), None)
    if number is None:
        return None
    collector = parts[number].text.strip()
    return ExistingCollector(collector, _without(start, place, parts, number))


def _script_at(words: Sequence[str]) -> int | None:
    """Where a shell's `-c` script stands in a command line."""
    for number, word in enumerate(words):
        if posixpath.basename(word) not in _SHELLS:
            continue
        at = number + 1
        if posixpath.basename(word) == "busybox":
            at += 1
        while at < len(words) and re.fullmatch(r"-[a-z]+|-o|pipefail", words[at]):
            if words[at].startswith("-") and "c" in words[at]:
                return at + 1 if at + 1 < len(words) else None
            at += 1
    return None


def _parts(script: str) -> Iterator[_Part]:
    """The commands of a script, as far as operators outside of quotes and parentheses tell."""
    begun = at = depth = 0
    quote = ""
    while at < len(script):
        character = script[at]
        if character == "\\" and quote != "'":
            at += 2
            continue
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"`":
            quote = character
        elif character in "({":
            depth += 1
        elif character in ")}":
            depth -= 1
        elif character in "&|;\n" and depth <= 0:
            operator = _operator(script, at)
            if operator:
                yield _Part(script[begun:at], operator)
                begun = at = at + len(operator)
                continue
        at += 1
    yield _Part(script[begun:], "")


def _operator(script: str, at: int) -> str:
    """The operator at this place; "" for the `&` of a redirection (`2>&1`, `&>file`)."""
    if script[at] == "&" and (script[at - 1 : at] in (">", "<") or script[at + 1 : at + 2] == ">"):
        return ""
    doubled = script[at : at + 2]
    return doubled if doubled in ("&&", "||", "|&") else script[at]


def _is_collector(command: str) -> bool:
    for word in command.replace("(", " ").replace("{", " ").split():
        quoted = re.fullmatch(r"(['\"])(.*)\1", word)
        bare = quoted[2] if quoted else word
        if _ASSIGNMENT.match(bare) or bare in _BEFORE:
            continue
        return _COLLECTOR.fullmatch(posixpath.basename(bare)) is not None
    return False


def _without(start: Start, place: int, parts: Sequence[_Part], number: int) -> Start | None:
    """The start without the collector's part, which has to be one of its own, put behind by `&`.

    What comes before it (`set -e;`) stays; nothing may depend on whether it succeeded.
    """
    before, part = parts[:number], parts[number]
    if part.operator != "&" or (before and before[-1].operator not in (";", "&", "\n")):
        return None
    rest = [*before, *parts[number + 1 :]]
    if any(_is_collector(other.text) or other.text.split()[:1] == ["wait"] for other in rest):
        return None
    script = "".join(other.text + other.operator for other in rest).strip()
    if not script:
        return None
    words = [*start.entrypoint, *start.cmd]
    inner = _words(script)
    shell = _shell_begins(words, place)
    if inner == ["$@"]:
        # `exec "$@"` behind a `$0`: what it runs are the words that follow.
        kept = [*words[:shell], *words[place + 2 :]]
    elif inner is not None:
        kept = [*words[:shell], *inner]
    else:
        kept = [*words[:place], script, *words[place + 1 :]]
    return _split(start, kept, shell, place, inner)


def _split(
    start: Start, kept: Sequence[str], shell: int, place: int, inner: Sequence[str] | None
) -> Start | None:
    """The words as entrypoint and Cmd again, so that a startup command replaces what it did."""
    border = len(start.entrypoint)
    if shell >= border:  # all of it was Cmd
        return Start(start.entrypoint, tuple(kept[border:]))
    if place >= border:  # the shell is the entrypoint, its script the Cmd
        return None
    if inner == ["$@"]:
        gone = place + 2 - shell
        return Start(tuple(kept[: max(border - gone, 0)]), start.cmd)
    if inner is not None:
        return Start(tuple(kept), ())  # the old Cmd was arguments that nobody looked at
    return Start(tuple(kept[:border]), start.cmd)


def _shell_begins(words: Sequence[str], place: int) -> int:
    for number in range(place - 1, -1, -1):
        if posixpath.basename(words[number]) in _SHELLS:
            return number
    return 0


def _words(script: str) -> list[str] | None:
    """The words of a simple command, without `exec`; None where it takes a shell to read it."""
    text = script.rstrip("; \n")
    if re.fullmatch(r'(?:exec\s+)?"\$@"', text):
        return ["$@"]
    unquoted = re.sub(r"'[^']*'|\"[^\"$`\\]*\"", "", text)
    if _SPECIAL.search(unquoted):
        return None
    try:
        words = shlex.split(text)
    except ValueError:
        return None
    if words[:1] == ["exec"]:
        words = words[1:]
    if not words or words[0].startswith("-") or _ASSIGNMENT.match(words[0]):
        return None
    return words
