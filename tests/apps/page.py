"""The lines of docs/apps.md: its files by heading, as an app's author copies them."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass

from localazure.client import ROOT

_FILE = re.compile(r"^`([^`\n]+)`[^\n]*:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def files(heading: str) -> dict[str, str]:
    """The files below a heading, by name; those below the headings after it aren't among them."""
    text = (ROOT / "docs" / "apps.md").read_text()
    _, found, rest = text.partition(f"# {heading}\n")
    assert found, f"docs/apps.md has no heading {heading}"
    section = re.split(r"^#+ ", rest.replace("\n# …", "\n  …"), maxsplit=1, flags=re.MULTILINE)[0]
    return dict(_FILE.findall(section))


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """What the lines of a Dockerfile set in an image's configuration."""

    env: tuple[str, ...]
    cmd: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> Dockerfile:
        """Read the instructions ENV (`NAME=value …`) and CMD (a list)."""
        lines = [line.partition(" ")[::2] for line in text.splitlines()]
        env = [each for word, rest in lines if word == "ENV" for each in shlex.split(rest)]
        cmd = [json.loads(rest) for word, rest in lines if word == "CMD"]
        return cls(tuple(env), tuple(cmd[-1]) if cmd else ())
