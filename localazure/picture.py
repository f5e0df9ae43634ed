"""`make picture`: records the README's terminal pictures from a real run on the double.

Each command runs on a pseudo-terminal; pyte holds the final screen, and rich draws it as SVG.
"""

from __future__ import annotations

import os
import pty
import re
import select
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from fcntl import ioctl
from io import StringIO
from itertools import groupby
from pathlib import Path
from termios import TIOCSWINSZ

import pyte
from rich.console import Console
from rich.style import Style
from rich.text import Text

from localazure.az import AZ, Az
from localazure.client import ROOT, LocalAzure

DIRECTORY = ROOT / ".local" / "picture"
EXTENSIONS = ROOT / ".local" / "extensions"
COLUMNS, LINES = 112, 40
LONGEST = 180.0
"""Seconds that a command may take."""
COLOURS = {"brown": "yellow", "default": None}
"""pyte's names of colours, where rich's differ."""


def main() -> None:
    """Write deploy.svg and status.svg into the folder named on the command line."""
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    with LocalAzure.start(DIRECTORY) as local:
        az = Az(local, DIRECTORY / "azure", EXTENSIONS)
        az.login()
        site = ["-g", "shop-rg", "-n", "shop"]
        query = "{image:image.name, changed:changed, setting:setting.value}"
        deploy = ["otelembed", "deploy", *site, "-o", "yamlc", "--query", query]
        shown = f'az otelembed deploy {" ".join(site)} -o yamlc --query "{query}"'
        _draw(az, deploy, shown, folder / "deploy.svg")
        status = ["otelembed", "status", *site]
        _draw(az, status, "az " + " ".join(status), folder / "status.svg")


def _draw(az: Az, arguments: Sequence[str], shown: str, path: Path) -> None:
    screen = pyte.Screen(COLUMNS, LINES)
    _run(az, arguments, screen)
    console = Console(record=True, width=COLUMNS, file=StringIO())
    console.print(Text("$ ", style="green").append(shown, style="bold white"), soft_wrap=False)
    for line in _lines(screen):
        console.print(line, no_wrap=True, crop=True)
    picture = console.export_svg(title="az otelembed")
    # Remote fonts don't load in a README, and a request for them would reveal its readers.
    path.write_text(re.sub(r"@font-face\s*\{.*?\}\s*", "", picture, flags=re.S))
    print(path)


def _run(az: Az, arguments: Sequence[str], screen: pyte.Screen) -> None:
    stream = pyte.ByteStream(screen)
    leader, follower = pty.openpty()
    ioctl(follower, TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))
    environment = az.environment({"TERM": "xterm-256color", "COLUMNS": str(COLUMNS)})
    process = subprocess.Popen(
        [str(AZ), *arguments],
        stdin=follower,
        stdout=follower,
        stderr=follower,
        env=environment,
        cwd=az.folder,
    )
    os.close(follower)
    ends = time.monotonic() + LONGEST
    while time.monotonic() < ends:
        ready, _, _ = select.select([leader], [], [], 0.2)
        if not ready:
            continue
        try:
            data = os.read(leader, 65536)
        except OSError:  # Linux: the other side has closed
            break
        if not data:
            break
        stream.feed(data)
    if process.wait(10):
        raise SystemExit(f"az {' '.join(arguments)} ended with {process.returncode}")


def _lines(screen: pyte.Screen) -> list[Text]:
    lines: list[Text] = []
    for row in range(screen.lines):
        line = Text()
        cells = [screen.buffer[row][column] for column in range(screen.columns)]
        for (colour, bold), run in groupby(cells, lambda cell: (cell.fg, cell.bold)):
            text = "".join(cell.data for cell in run)
            line.append(text, Style(color=_colour(colour), bold=bold or None))
        line.rstrip()
        lines.append(line)
    while lines and not lines[-1].plain:
        lines.pop()
    return lines


def _colour(name: str) -> str | None:
    if name in COLOURS:
        return COLOURS[name]
    return f"#{name}" if re.fullmatch(r"[0-9a-f]{6}", name) else name.replace("bright", "bright_")


if __name__ == "__main__":
    main()
