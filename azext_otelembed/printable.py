"""Untrusted text, such as logs, messages of Azure and labels of images, made printable.

Control characters become visible escapes such as `\\x1b`, and workflow commands are broken:

- The Azure Pipelines agent executes `##vso[area.event …]` anywhere in a line (microsoft/
  azure-pipelines-agent, Microsoft.VisualStudio.Services.Agent/Command.cs, `TryParse`), and its log
  view formats `##[group]` and the like.
- GitHub's runner executes `::name …::` after leading white space, and `##[name …]` anywhere in a
  line (actions/runner, Runner.Common/ActionCommand.cs, `TryParseV2` and `TryParse`).
- TeamCity executes `##teamcity[…]`.

Both compare these words by the rules of a culture, which skip some invisible characters (until
microsoft/azure-pipelines-agent pull request 5663), so those are allowed anywhere in them.

Other text is returned unchanged, and so is the result of an earlier call. Pure.
"""

from __future__ import annotations

import re
from typing import Any

UNPRINTABLE = re.compile(
    "["
    "\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f"  # C0 without tab and newline, DEL, C1
    "\\xad\\u061c\\u180e\\u200b\\u200e\\u200f\\u2060-\\u206f\\ufeff"  # invisible; direction
    "\\u115f\\u1160\\u3164\\uffa0"  # letters that aren't visible
    "\\u2028-\\u202e"  # separators of lines and paragraphs; embedding and override of direction
    "\\ufff9-\\ufffb\\U000e0000-\\U000e007f"  # annotations, tags
    "\\ud800-\\udfff\\ufdd0-\\ufdef\\ufffe\\uffff"  # lone surrogates, noncharacters
    "]"
)
"""Characters that a terminal executes or doesn't show, that reorder the text around them, that end
a line, or that can't be encoded."""
_SKIPPED = "[\u034f\u17b4\u17b5\u180b-\u180f\u200c\u200d\ufe00-\ufe0f\U000e0100-\U000e01ef]*"
"""Printable characters that a comparison skips: joiners and variation selectors (Unicode,
`Default_Ignorable_Code_Point`)."""
AGENT_COMMAND = re.compile(
    f"#(?={_SKIPPED}#{_SKIPPED}(?:\\[|v{_SKIPPED}s{_SKIPPED}o|teamcity\\[))", re.IGNORECASE
)
"""The first character of a command of the Azure Pipelines agent, GitHub's runner, or TeamCity."""
_RUNNER_COMMAND = re.compile(rf"(?<![\w)\]>}}:]):(?:{_SKIPPED}:){{1,3}}(?={_SKIPPED}[^\W\d_])")
"""The beginning of a command of GitHub's runner. A command is at the beginning of a line, and az's
YAML breaks lines at spaces; its end may be in another text of the line. Inside of words
(`std::fmt::Write`) or before a digit (`::1`) is none."""
_MARGIN = "  | "
"""The beginning of a quoted line in an error message."""


def printable(text: str) -> str:
    """The text, of any number of lines."""
    visible = UNPRINTABLE.sub(_escape, text.replace("\r\n", "\n"))
    broken = AGENT_COMMAND.sub(r"#\\", visible)
    return _RUNNER_COMMAND.sub(lambda found: found[0].replace(":", "\\:")[1:], broken)


def one_line(text: str) -> str:
    """The text on one line."""
    lines = text.splitlines()
    if len(lines) == 1 and lines[0] == text:
        return printable(text)
    first, *others = lines or [""]
    kept = (line.strip() for line in others)
    return printable(" ".join([first.rstrip(), *(line for line in kept if line)]))


def error_message(text: str) -> str:
    """The message of an error on one line, except for quoted lines at its end: `  | line`."""
    message, *quoted = text.split(f"\n{_MARGIN}")
    end = "\n" if quoted and text.endswith("\n") else ""
    return "".join([one_line(message), *(f"\n{_MARGIN}{one_line(line)}" for line in quoted), end])


def printable_result(value: Any) -> Any:
    """A result object with each of its texts on one line: az prints some formats unescaped."""
    if isinstance(value, str):
        return one_line(value).replace("\t", " ")
    if isinstance(value, dict):
        return {printable_result(name): printable_result(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [printable_result(each) for each in value]
    return value


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"
