"""Which lines of a log the CI systems execute, by the rules in the sources of their agents.

- Azure Pipelines: microsoft/azure-pipelines-agent, src/Microsoft.VisualStudio.Services.Agent/
  Command.cs (`TryParse`): `##vso[area.event …]` anywhere in a line; and src/Agent.Worker/
  WorkerCommandManager.cs (`TryProcessCommand`): it warns of any other line with `##vso`.
- GitHub: actions/runner, src/Runner.Common/ActionCommand.cs (`TryParseV2`, then `TryParse`), and
  the commands that src/Runner.Worker/ActionCommandManager.cs registers, ignoring case.

Both find these words by the rules of a culture, which skip characters that aren't visible (the
agent until pull request 5663): the rules are applied to lines without these, too.

Both get their lines from .NET's `StreamReader.ReadLine`, which ends them at CR, LF and CRLF.
"""

from __future__ import annotations

import re

REGISTERED = {
    *("add-mask", "add-matcher", "add-path", "debug", "echo", "endgroup", "error", "group"),
    *("internal-set-repo-path", "notice", "remove-matcher", "save-state", "set-env", "set-output"),
    *("stop-commands", "warning"),
}
SKIPPED = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
HOSTILE = (
    "##vso[task.setvariable variable=PATH]/tmp/evil",
    "fine ##vso[task.complete result=Succeeded;]done",
    "##[group]folded",
    "##[error]red",
    "x ##[set-output name=a;]b",
    "##[add-mask]a",
    "::set-output name=a::b",
    "  ::error file=a.py,line=1::wrong",
    "\t::add-mask::otelembed",
    "::stop-commands::resume",
    ":::error::three",
    "#\u200d#\ufe0fv\u200cs\u034fo[task.complete]joined",
    ":\u200d:error:\u200d:joined",
    "\u200d::error::joined",
    "##teamcity[setParameter name='a' value='b']",
    "one\n::warning::two",
    "one\r##vso[task.logissue type=error]two",
    "one\u2028::error::two\x85::error::three\x0b::error::four",
    "\x1b[2J\x1b[1;1Hcleared",
    "\x1b]8;;https://example.com/\x1b\\a link\x1b]8;;\x1b\\",
    "\x1b]0;title\x07",
    "\x9b31mred\x9c",
    "bell \x07, backspace \x08\x08\x08, delete \x7f, nul \x00",
    "user\u202etxt.exe \u2066isolated\u2069 \u200f\u061c",
    "invisible \u200b\u2060\ufeff\xad, tags \U000e0041",
    "half a pair \ud800, no character \uffff",
    "[bold]not bold[/bold] [link=https://example.com]no link[/link] :warning:",
)
"""Texts that a terminal or one of the agents would execute."""


def executed(log: str) -> list[str]:
    """The lines of a log that one of the two executes, or warns about."""
    lines = re.split(r"\r\n|\r|\n", log)
    return [
        line
        for line in lines
        if any("##vso" in seen or _v2(seen) or _v1(seen) for seen in (line, SKIPPED.sub("", line)))
    ]


def _v2(line: str) -> bool:
    text = line.lstrip()
    if not text.startswith("::"):
        return False
    command, end, _ = text[2:].partition("::")
    return bool(end) and command.partition(" ")[0].lower() in REGISTERED


def _v1(line: str) -> bool:
    _, found, rest = line.partition("##[")
    command, end, _ = rest.partition("]")
    return bool(found and end) and command.partition(" ")[0].lower() in REGISTERED
