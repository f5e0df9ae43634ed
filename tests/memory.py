"""How much memory a process has had."""

from __future__ import annotations

from pathlib import Path


def peak_megabytes() -> float:
    """The most that this process had resident so far.

    Not ru_maxrss: that begins with what the parent had, when it is a large one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("Linux tells it in /proc")
