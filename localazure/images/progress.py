"""Progress on stderr: one updated line on a terminal, plain lines elsewhere."""

from __future__ import annotations

import shutil
import sys
import time


class Step:
    """A step with progress: `with Step("Compiling …") as step: step.detail("module")`."""

    def __init__(self, title: str) -> None:
        self.title = title
        self._began = time.monotonic()
        self._live = sys.stderr.isatty()

    def __enter__(self) -> Step:
        self._began = time.monotonic()
        if self._live:
            self.detail("")
        else:
            print(f"{self.title} …", file=sys.stderr, flush=True)
        return self

    def detail(self, text: str) -> None:
        """Show a detail and the elapsed time; only on a terminal."""
        if not self._live:
            return
        line = f"{self.title} … {self._seconds():.0f} s  {text}"
        width = shutil.get_terminal_size().columns - 1
        print(f"\r\x1b[2K{line[:width]}", end="", file=sys.stderr, flush=True)

    def __exit__(self, kind: object, *_: object) -> None:
        start = "\r\x1b[2K" if self._live else ""
        outcome = "failed after" if kind else "done in"
        print(f"{start}{self.title}: {outcome} {self._seconds():.1f} s", file=sys.stderr)

    def _seconds(self) -> float:
        return time.monotonic() - self._began
