"""Everything a person sees on stderr: one live line a step, notes and panels.

stdout belongs to the result object, which az prints. On a terminal a step is a line that changes
while it runs; elsewhere (CI) each step is one plain line; with `--only-show-errors` nothing shows.

Every text may contain untrusted text and is shown as `printable` makes it: the only control
sequences on a terminal are those of rich. Several threads may write; a line is written whole.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, TextIO

from azext_otelembed.errors import UNCHANGED
from azext_otelembed.printable import error_message, one_line
from azext_otelembed.progress import Progress

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import RenderableType
    from rich.table import Table

_MARKS = {
    True: ("✓", "+", "green"),
    False: ("✗", "x", "red"),
    None: ("?", "?", "yellow"),
}
"""What holds, what doesn't, and what is unknown: a mark, one in ASCII, and its colour."""
PLAIN_INTERVAL = 10.0
"""Seconds between plain lines of one step: enough to see in a CI log that it is alive."""


class Step:
    """One step while it runs. `say` tells what is happening now, and how far a transfer is."""

    def __init__(self, name: str, console: Console) -> None:
        self.name = one_line(name)
        self.detail = ""
        self.done_bytes = 0
        self.total_bytes = 0
        self.holds: bool | None = True
        self.started = time.monotonic()
        self._moving = self.started
        self._console = console
        self._said = self.started

    def say(self, detail: str, done: int = 0, total: int = 0) -> None:
        """Replaces what the step's line tells; `done` of `total` bytes show with their rate."""
        now, detail = time.monotonic(), one_line(detail)
        if (detail, total) != (self.detail, self.total_bytes):
            self._moving = now
        self.detail, self.done_bytes, self.total_bytes = detail, done, total
        if now - self._said >= PLAIN_INTERVAL:
            self._said = now
            amount = f" {self.amount}" if total else ""
            self._console.plain(f"{self.name}: {detail}{amount}")

    def found(self, detail: str, holds: bool | None) -> None:
        """Says what a check has found, and whether that is good; None: unknown."""
        self.say(detail)
        self.holds = holds

    def report(self, progress: Progress) -> None:
        """Replaces what the step's line tells by the progress of a transfer."""
        self.say(progress.what, progress.done, progress.total)

    @property
    def amount(self) -> str:
        """How much has been transferred, of how much, and how fast."""
        rate = self.done_bytes / max(time.monotonic() - self._moving, 0.001) / 1e6
        return f"{self.done_bytes / 1e6:.1f}/{self.total_bytes / 1e6:.1f} MB {rate:.1f} MB/s"

    @property
    def seconds(self) -> float:
        """How long the step has been running."""
        return time.monotonic() - self.started

    def __rich__(self) -> Table:
        from rich.progress_bar import ProgressBar
        from rich.spinner import Spinner
        from rich.table import Table
        from rich.text import Text

        line = Table.grid(padding=(0, 1))
        columns: list[RenderableType] = [
            Spinner("dots"),
            Text(f"{self.name:<9}", style="bold"),
            Text(self.detail, no_wrap=True, overflow="ellipsis"),
        ]
        if self.total_bytes:
            bar = ProgressBar(total=self.total_bytes, completed=self.done_bytes, width=24)
            columns += [bar, Text(self.amount, style="cyan")]
        else:
            columns.append(Text(f"{self.seconds:.0f} s", style="dim"))
        line.add_row(*columns)
        return line


class Console:
    """stderr for one command. `quiet` is az's `--only-show-errors`.

    `seconds` holds what each step took, `standing` what state things are in.
    """

    def __init__(self, *, quiet: bool = False, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stderr
        self.live = not quiet and self._stream.isatty()
        self._quiet = quiet
        self._rich: RichConsole | None = None
        self.seconds: dict[str, float] = {}
        self.standing = UNCHANGED
        self.standing_lines: tuple[str, ...] = ()
        # Reentrant: a signal may interrupt the main thread while it writes.
        self._lock = threading.RLock()
        self._ended = False

    def stands(self, state: str, *lines: str) -> None:
        """Records what state things are in from now on: an interrupted command tells it.

        `lines` are shown below it, such as one for each site of a fleet.
        """
        self.standing = state
        self.standing_lines = lines

    def with_state(self, message: str) -> str:
        """A message about an error, and what state it leaves things in, if that has changed.

        The text is printable.
        """
        shown = error_message(message)
        if self.standing == UNCHANGED:
            return shown
        # A message may end with another program's lines, one below the other.
        joint = "" if shown.endswith("\n") else " " if shown.endswith(".") else ". "
        return f"{shown}{joint}State: {one_line(self.standing)}."

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Runs a step; its line stays, with the last detail said and the time it took."""
        step = Step(name, self)
        try:
            with self.show_live(step, refresh_per_second=8):
                yield step
        except BaseException:
            self._close(step, done=False)
            raise
        self._close(step, done=True)

    def _close(self, step: Step, *, done: bool) -> None:
        self.seconds[step.name] = round(step.seconds, 2)
        if self.live:
            from rich.text import Text

            line = Text.assemble(
                self._mark(done and step.holds),
                (f"{step.name:<10}", "bold"),
                step.detail,
                (f"  {step.seconds:.1f} s", "dim"),
            )
            self._write(line)
        else:
            state = "" if done else "stopped: "
            self.plain(f"{step.name}: {state}{step.detail} ({step.seconds:.1f} s)")

    def check(self, holds: bool | None, name: str, evidence: str, advice: str) -> None:
        """Two lines about something that was checked: a mark, its evidence; what to do about it."""
        if not self.live:
            return
        from rich.text import Text

        shown = one_line(evidence)
        self._write(Text.assemble(self._mark(holds), (f"{one_line(name):<15}", "bold"), shown))
        if advice:
            self._write(Text(f"{'':<17}{one_line(advice)}", style=_MARKS[holds][2]))

    def _mark(self, holds: bool | None) -> tuple[str, str]:
        """A mark and its colour; ASCII where the terminal's encoding has no other characters."""
        mark, ascii_mark, colour = _MARKS[holds]
        return f"{ascii_mark if self.rich.options.ascii_only else mark} ", colour

    def note(self, text: str) -> None:
        """A line that matters whether or not a terminal is there: a warning."""
        if self.live:
            from rich.text import Text

            self._write(Text.assemble(("! ", "yellow"), one_line(text)))
        else:
            self.plain(text)

    def tell(self, *lines: str) -> None:
        """Plain lines below the steps, such as a plan or the output of a build."""
        if not self._quiet:
            self.alert(*lines)

    def alert(self, *lines: str) -> None:
        """Shown always, `--only-show-errors` included: what went wrong and what to type next."""
        if not lines:
            return
        text = "\n".join(map(one_line, lines))
        if self.live:
            from rich.text import Text

            self._write(Text(text))
        else:
            self._write(text)

    def end(self, *lines: str) -> None:
        """Shows the last lines. Threads that are still running write nothing after them."""
        with self._lock:
            self.alert(*lines)
            self._ended = True

    def show_live(
        self, renderable: RenderableType, refresh_per_second: float
    ) -> AbstractContextManager[object]:
        """Shows something that changes until the end of the `with` block; only on a terminal."""
        if not self.live or self._ended:
            return nullcontext()
        from rich.live import Live

        rate = refresh_per_second
        return Live(renderable, console=self.rich, transient=True, refresh_per_second=rate)

    def show(self, renderable: RenderableType) -> None:
        """A panel or table of rich's; nothing when stderr is not a terminal.

        Its texts are printable already.
        """
        if self.live:
            self._write(renderable)

    def plain(self, text: str) -> None:
        """A plain line, for logs; nothing on a terminal, where the live line tells it."""
        if not self.live and not self._quiet:
            self._write(f"otelembed: {one_line(text)}")

    def _write(self, shown: RenderableType) -> None:
        """Writes text, or what rich makes of it, with one call; nothing after the last line."""
        with self._lock:
            if self._ended:
                return
            if isinstance(shown, str):
                write(self._stream, f"{shown}\n")
                return
            from rich.text import Text

            # The terminal wraps long lines: a command can be copied as one line.
            self.rich.print(shown, soft_wrap=isinstance(shown, Text))

    @property
    def rich(self) -> RichConsole:
        """Rich's console, made at its first use."""
        if self._rich is None:
            from rich.console import Console as RichConsole

            self._rich = RichConsole(file=self._stream, highlight=False, soft_wrap=False)
        return self._rich


def write(stream: TextIO, text: str) -> None:
    """Writes all of `text`; characters that the stream can't encode, as JSON's escapes.

    The lists of words in a Dockerfile are JSON, and keep their values.
    """
    try:
        stream.write(text)
    except UnicodeEncodeError:
        encoding = stream.encoding or "ascii"
        stream.write("".join(_encodable(each, encoding) for each in text))
    stream.flush()


def write_line(stream: TextIO, text: str) -> None:
    """Writes a line as `write` does."""
    write(stream, f"{text}\n")


def _encodable(character: str, encoding: str) -> str:
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(character)[1:-1]
    return character
