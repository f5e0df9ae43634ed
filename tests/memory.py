"""How much memory a process has had."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from localazure.client import ROOT


def peak_megabytes() -> float:
    """The most that this process had resident so far.

    Not ru_maxrss: that begins with what the parent had, when it is a large one.
    """
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise AssertionError("Linux tells it in /proc")


def run_measured(module: str, *arguments: str, given: str = "") -> Any:
    """Run `python -m module` with `given` on stdin; the JSON that it prints."""
    command = [sys.executable, "-m", module, *arguments]
    done = subprocess.run(
        command, cwd=ROOT, input=given, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)
