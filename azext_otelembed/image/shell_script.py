"""Reads a shell script as far as its commands can be told apart: tokens, commands, jobs. Pure.

The grammar is that of POSIX ("Shell Command Language", sections 2.2 to 2.10), with bash's `&>`,
`|&`, `[[`, `<<<`, `<(` and `function`. Nothing is expanded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_DEPTH = 20
"""Levels of substitutions and groups that are read."""
MAX_LENGTH = 128 << 10
"""Linux runs no command with a longer argument (MAX_ARG_STRLEN, execve(2))."""
_OPERATORS = re.compile(r"&&|\|\||\|&|;;&|;;|;&|[&|;()]")
_REDIRECTION = re.compile(r"\d*(?:&>>|&>|<<<|<<-|<<|<>|<&|>&|>>|>\||<(?!\()|>(?!\())")
_CLOSES = {"fi": "if", "done": "loop", "esac": "case", "}": "{"}
_OPENS = {"if": "if", "while": "loop", "until": "loop", "{": "{"}
_CONTINUES = {"then", "else", "elif", "do", "!"}


class Unreadable(Exception):
    """The script isn't read: a quote or a group doesn't end, or it is too deep or too long."""


@dataclass(frozen=True, slots=True)
class Token:
    """A word, an operator (";", "&", "(", "\\n" …) or a redirection with its target, as written.

    `start` and `end` are its place in the script. `inner` are the scripts of its substitutions.
    """

    kind: str
    text: str
    start: int
    end: int
    inner: tuple[str, ...] = ()


@dataclass(slots=True)
class Command:
    """A simple command: its words and redirections, as written."""

    words: list[Token] = field(default_factory=list)
    redirections: list[Token] = field(default_factory=list)


@dataclass(slots=True)
class Job:
    """What lies between two of `;`, `&` and newline outside of groups, and that operator.

    `commands` has the commands of its groups as well; "" ends the last one.
    """

    tokens: list[Token] = field(default_factory=list)
    commands: list[Command] = field(default_factory=list)
    operator: str = ""
    end: int = 0


def read_jobs(script: str) -> list[Job]:
    """The jobs of a script. Raises `Unreadable`."""
    return _Jobs().read(tokens(script))


def tokens(script: str) -> list[Token]:
    """The tokens of a script, without its comments. Raises `Unreadable`."""
    if len(script) > MAX_LENGTH:
        raise Unreadable
    return list(_Lexer(script).read())


def unquoted(word: str) -> str:
    """A word without its quotes; its expansions stay as written."""
    text, at, quote = [], 0, ""
    while at < len(word):
        character = word[at]
        if character == "\\" and quote != "'" and at + 1 < len(word):
            at += 1
            text.append("" if word[at] == "\n" else word[at])
        elif character == quote:
            quote = ""
        elif not quote and character in "'\"":
            quote = character
        else:
            text.append(character)
        at += 1
    return "".join(text)


class _Lexer:
    def __init__(self, script: str) -> None:
        self.script = script
        self.at = 0
        self.heredocs: list[tuple[str, bool]] = []
        self.depth = 0

    def read(self) -> Iterator[Token]:
        script = self.script
        while self.at < len(script):
            start, character = self.at, script[self.at]
            if character in " \t":
                self.at += 1
            elif script.startswith("\\\n", start):
                self.at += 2
            elif character == "#":
                end = script.find("\n", start)
                self.at = len(script) if end < 0 else end
            elif character == "\n":
                self.at += 1
                self._skip_heredocs()
                yield Token("operator", "\n", start, start + 1)
            elif redirection := _REDIRECTION.match(script, start):
                yield self._redirection(start, redirection[0], redirection.end())
            elif operator := _OPERATORS.match(script, start):
                self.at = operator.end()
                yield Token("operator", operator[0], start, self.at)
            else:
                inner = self._word()
                yield Token("word", script[start : self.at], start, self.at, inner)
        if self.heredocs:
            raise Unreadable

    def _redirection(self, start: int, sign: str, at: int) -> Token:
        while self.script[at : at + 1] in (" ", "\t") and at < len(self.script):
            at += 1
        self.at = at
        inner = self._word()
        if self.at == at:
            raise Unreadable
        bare = sign.lstrip("0123456789")
        if bare in ("<<", "<<-"):
            self.heredocs.append((unquoted(self.script[at : self.at]), bare == "<<-"))
        return Token("redirection", self.script[start : self.at], start, self.at, inner)

    def _skip_heredocs(self) -> None:
        for delimiter, tabs in self.heredocs:
            while True:
                if self.at >= len(self.script):
                    raise Unreadable
                end = self.script.find("\n", self.at)
                end = len(self.script) if end < 0 else end
                line = self.script[self.at : end]
                self.at = min(end + 1, len(self.script))
                if (line.lstrip("\t") if tabs else line) == delimiter:
                    break
        self.heredocs = []

    def _word(self) -> tuple[str, ...]:
        """Goes to the end of the word; returns the scripts of its substitutions."""
        script, inner = self.script, list[str]()
        while self.at < len(script):
            character = script[self.at]
            if script.startswith(("<(", ">("), self.at):
                self.at += 1
                inner.append(self._group("(", ")"))
            elif character in " \t\n&|;()<>":
                break
            elif character == "'":
                self.at = self._find("'", self.at + 1)
            elif character == '"':
                self._double_quoted(inner)
            else:
                self._piece(inner)
        return tuple(inner)

    def _double_quoted(self, inner: list[str]) -> None:
        self.at += 1
        while self.script[self.at : self.at + 1] != '"':
            if self.at >= len(self.script):
                raise Unreadable
            self._piece(inner)
        self.at += 1

    def _piece(self, inner: list[str]) -> None:
        """Goes past a character, an escaped one, or an expansion."""
        script = self.script
        if script[self.at] == "\\":
            if self.at + 1 >= len(script):
                raise Unreadable
            self.at += 2
        elif script[self.at] == "`":
            start = self.at + 1
            self.at += 1
            while script[self.at : self.at + 1] != "`":
                if self.at >= len(script):
                    raise Unreadable
                self.at += 2 if script[self.at] == "\\" else 1
            inner.append(re.sub(r"\\([`$\\])", r"\1", script[start : self.at]))
            self.at += 1
        elif script.startswith("$(", self.at):
            self.at += 1
            inner.append(self._group("(", ")"))
        elif script.startswith("${", self.at):
            self.at += 1
            inner.append(": " + self._group("{", "}"))
        elif script.startswith("$'", self.at):
            raise Unreadable  # bash's own quotes, which dash doesn't have
        else:
            self.at += 1

    def _group(self, opening: str, closing: str) -> str:
        """The text between brackets, which may contain quotes and brackets."""
        start, depth = self.at + 1, 0
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable
        while self.at < len(self.script):
            character = self.script[self.at]
            if character == "\\":
                self.at += 1
            elif character == "'":
                self.at = self._find("'", self.at + 1) - 1
            elif character == '"':
                self._double_quoted([])
                self.at -= 1
            depth += (character == opening) - (character == closing)
            self.at += 1
            if depth == 0:
                self.depth -= 1
                return self.script[start : self.at - 1]
        raise Unreadable

    def _find(self, text: str, start: int) -> int:
        found = self.script.find(text, start)
        if found < 0:
            raise Unreadable
        return found + 1


class _Jobs:
    """Divides tokens into jobs, and the jobs into simple commands."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []
        self.job = Job()
        self.command: Command | None = None
        self.groups: list[str] = []
        self.skipping = ""
        """What ends the words of `case`, `for` and `[[`, which are no commands."""

    def read(self, found: list[Token]) -> list[Job]:
        for token in found:
            if token.kind == "operator" and not self._is_in_test(token):
                self._operator(token)
                continue
            self.job.tokens.append(token)
            if token.kind == "word":
                self._word(token)
            elif token.kind == "redirection":
                self._of_command().redirections.append(token)
        if self.groups or self.skipping:
            raise Unreadable
        self._end_job("", found[-1].end if found else 0)
        return self.jobs

    def _is_in_test(self, token: Token) -> bool:
        return self.skipping == "]]" and token.text != "\n"

    def _of_command(self) -> Command:
        if self.command is None:
            self.command = Command()
            self.job.commands.append(self.command)
        return self.command

    def _word(self, token: Token) -> None:
        text = token.text
        if self.skipping:
            if text == self.skipping:
                self.skipping = ""
            # The words may have substitutions.
            if token.inner:
                self.job.commands.append(Command([Token("word", ":", 0, 0), token]))
        elif self.command is not None and self.command.words:
            self.command.words.append(token)
        elif text in _OPENS:
            self._open(_OPENS[text])
        elif text in _CLOSES:
            self._close(_CLOSES[text])
        elif text == "case":
            self._open("case")
            self.skipping = "in"
        elif text == "for":
            self._open("loop")
            self.skipping = "do"
        elif text == "[[":
            self.skipping = "]]"
        elif text == "function" or text in _CONTINUES:
            pass
        else:
            self._of_command().words.append(token)

    def _operator(self, token: Token) -> None:
        text = token.text
        if self.skipping:
            self.job.tokens.append(token)
            return
        if text == "(":
            self._open("(")
        elif text == ")":
            if self.groups[-1:] == ["case"]:
                if self.command is not None and self.job.commands[-1] is self.command:
                    self.job.commands.pop()  # it was a pattern
            else:
                self._close("(")
        elif text in (";", "&", "\n") and not self.groups:
            self._end_job(text, token.end)
            return
        self.job.tokens.append(token)
        self.command = None

    def _open(self, group: str) -> None:
        if len(self.groups) >= MAX_DEPTH:
            raise Unreadable
        self.groups.append(group)

    def _close(self, group: str) -> None:
        if self.groups[-1:] != [group]:
            raise Unreadable
        self.groups.pop()

    def _end_job(self, operator: str, end: int) -> None:
        if operator == "\n" and self.job.tokens and self.job.tokens[-1].text in ("&&", "||", "|"):
            self.command = None
            return  # the list goes on in the next line
        self.job.operator, self.job.end = operator, end
        self.jobs.append(self.job)
        self.job, self.command = Job(), None
