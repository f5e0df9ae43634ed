"""Recognises a collector in an image's own shell command: `otelcol … & exec node server.js`.

This is a common way to add a collector by hand, as CMD or ENTRYPOINT. Embedding would start a
second collector on the same ports. So it is recognised, and can be removed from the command. A
collector that a script file starts is not recognised: the configuration has the file's name, not
its content.
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
# Words that may precede a command's program.
_PREFIXES = {"exec", "nohup", "setsid", "command", "env", "sudo", "time"}
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
# Outside of quotes, these characters have a meaning to a shell.
_SPECIAL = re.compile(r"[$`*?\[\]{}()<>|;&#!~\n\\]")


@dataclass(frozen=True, slots=True)
class StartCommand:
    """The command that a container starts: the entrypoint, followed by the words of Cmd."""

    entrypoint: tuple[str, ...]
    cmd: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExistingCollector:
    """`collector` is the command that starts it, `app` the start command without it.

    `app` is None if the collector can't be removed from the command.
    """

    collector: str
    app: StartCommand | None


def find_collector(start: StartCommand) -> ExistingCollector | None:
    """The collector that the image's own shell command starts; None if there is none."""
    words = (*start.entrypoint, *start.cmd)
    indices = _shell_and_script(words)
    if indices is None:
        return None
    shell_index, script_index = indices
    commands = list(_split_script(words[script_index]))
    index = next((n for n, (text, _) in enumerate(commands) if _is_collector(text)), None)
    if index is None:
        return None
    app = _without_collector(start, shell_index, script_index, commands, index)
    return ExistingCollector(commands[index][0].strip(), app)


def _shell_and_script(words: Sequence[str]) -> tuple[int, int] | None:
    """The indices of a shell and of its `-c` script in a command line."""
    for number, word in enumerate(words):
        if posixpath.basename(word) not in _SHELLS:
            continue
        at = number + 1
        if posixpath.basename(word) == "busybox":
            at += 1
        while at < len(words) and re.fullmatch(r"-[a-z]+|-o|pipefail", words[at]):
            if words[at].startswith("-") and "c" in words[at]:
                return (number, at + 1) if at + 1 < len(words) else None
            at += 1
    return None


def _split_script(script: str) -> Iterator[tuple[str, str]]:
    """The commands of a script, each with the operator after it ("" at the end).

    Operators in quotes or parentheses don't count.
    """
    start = at = depth = 0
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
            operator = _operator_at(script, at)
            if operator:
                yield script[start:at], operator
                start = at = at + len(operator)
                continue
        at += 1
    yield script[start:], ""


def _operator_at(script: str, at: int) -> str:
    """The operator at this index; "" for the `&` of a redirection (`2>&1`, `&>file`)."""
    if script[at] == "&" and (script[at - 1 : at] in (">", "<") or script[at + 1 : at + 2] == ">"):
        return ""
    doubled = script[at : at + 2]
    return doubled if doubled in ("&&", "||", "|&") else script[at]


def _is_collector(command: str) -> bool:
    for word in command.replace("(", " ").replace("{", " ").split():
        quoted = re.fullmatch(r"(['\"])(.*)\1", word)
        bare = quoted[2] if quoted else word
        if _ASSIGNMENT.match(bare) or bare in _PREFIXES:
            continue
        return _COLLECTOR.fullmatch(posixpath.basename(bare)) is not None
    return False


def _without_collector(
    start: StartCommand,
    shell_index: int,
    script_index: int,
    commands: Sequence[tuple[str, str]],
    index: int,
) -> StartCommand | None:
    """The start command without the collector, which must run in the background (`&`).

    Commands before it (`set -e;`) stay; None if one of them is a condition for the collector.
    """
    before, (_, operator) = commands[:index], commands[index]
    if operator != "&" or (before and before[-1][1] not in (";", "&", "\n")):
        return None
    rest = [*before, *commands[index + 1 :]]
    if any(_is_collector(text) or text.split()[:1] == ["wait"] for text, _ in rest):
        return None
    script = "".join(text + operator for text, operator in rest).strip()
    if not script:
        return None
    words = [*start.entrypoint, *start.cmd]
    app_words = _simple_command(script)
    if app_words == ["$@"]:
        # `exec "$@"`: the app is the words after the script and its `$0`.
        remaining = [*words[:shell_index], *words[script_index + 2 :]]
    elif app_words is not None:
        remaining = [*words[:shell_index], *app_words]
    else:
        remaining = [*words[:script_index], script, *words[script_index + 1 :]]
    return _divide(start, remaining, shell_index, script_index, app_words)


def _divide(
    start: StartCommand,
    remaining: Sequence[str],
    shell_index: int,
    script_index: int,
    app_words: Sequence[str] | None,
) -> StartCommand | None:
    """The words divided into entrypoint and Cmd, so that a startup command replaces the same part.

    App Service's startup command replaces Cmd.
    """
    entrypoint_length = len(start.entrypoint)
    if shell_index >= entrypoint_length:  # shell and script are in Cmd
        return StartCommand(start.entrypoint, tuple(remaining[entrypoint_length:]))
    if script_index >= entrypoint_length:  # the shell is in the entrypoint, its script in Cmd
        return None
    if app_words == ["$@"]:
        removed = script_index + 2 - shell_index
        return StartCommand(tuple(remaining[: max(entrypoint_length - removed, 0)]), start.cmd)
    if app_words is not None:
        return StartCommand(tuple(remaining), ())  # the script ignored Cmd
    return StartCommand(tuple(remaining[:entrypoint_length]), start.cmd)


def _simple_command(script: str) -> list[str] | None:
    """The words of a simple command, without `exec`; None if it needs a shell."""
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
