"""What a collector that dies does to real programs that are process 1: nothing.

Each program runs bare and under both launchers, with a collector that is healthy and one that dies
again and again with a status that ends such a program where the collector is its own child.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from azext_otelembed.image.launcher import START_LINE, Launcher
from azext_otelembed.image.supervisor_script import EXIT_LINE
from tests.launchers.first_process import (
    DIES,
    HEALTHY,
    Ending,
    Program,
    Running,
    started,
    until,
    wrapped,
)
from tests.launchers.first_programs import OWN_CHILDREN, PROGRAMS

EXEC, DRAIN = Launcher(), Launcher("drain", grace=1)
HELD = 3.2
"""Seconds for which a program must run on while the collector dies twice."""
SAMPLE = {"python os.wait", "gunicorn", "node cluster"}
SHELLS = ("dash", "bash", "busybox")
STATUS = {("puma", "drain"): 128 + 15, ("puma cluster", "drain"): 128 + 15}
"""Exit statuses that differ from the bare program's: puma's own is 1 as process 1 only."""


def cases() -> Iterator[object]:
    for name in PROGRAMS:
        for shell in SHELLS:
            sampled = name in SAMPLE and shell == "dash"
            marks = () if sampled else (pytest.mark.thorough,)
            yield pytest.param(name, shell, id=f"{name}-{shell}", marks=marks)


def variants(program: Program) -> Iterator[tuple[str, Launcher | None, str]]:
    """A name, the launcher, and the collector of each run."""
    yield "bare", None, HEALTHY
    for launcher in (EXEC, DRAIN):
        yield f"{launcher.kind}, healthy", launcher, HEALTHY
        for status in program.statuses:
            yield f"{launcher.kind}, status {status}", launcher, DIES.format(status)


def run(program: Program, shell: str, folder: Path) -> dict[str, tuple[list[str], Ending]]:
    """Run all variants at once; what each wrote, and how it ended at its stop signal."""
    with ExitStack() as stack:
        runs, ready = dict[str, Running](), list[Path]()
        for name, launcher, collector in variants(program):
            own = folder / name.replace(", ", "-").replace(" ", "-")
            own.mkdir()
            words = program.words(own)
            if launcher is not None:
                words = wrapped(words, launcher, shell, collector, own)
            runs[name] = stack.enter_context(started(words, own))
            ready.append(own / program.ready)
        until(lambda: all(path.exists() for path in ready) or any(r.ended for r in runs.values()))
        time.sleep(HELD)
        endings = {}
        for name, running in runs.items():
            assert not running.ended, f"{name}: {running.lines()}"
            until(lambda: not running.zombies())  # noqa: B023
            lines = running.lines()
            endings[name] = (lines, running.stop(program.stop))
        return endings


@pytest.mark.parametrize(("name", "shell"), list(cases()))
def test_a_first_process_runs_and_ends_as_without_the_collector(
    name: str, shell: str, tmp_path: Path
) -> None:
    found = run(PROGRAMS[name], shell, tmp_path)
    bare_lines, bare = found.pop("bare")
    for variant, (lines, ending) in found.items():
        kind, _, collector = variant.partition(", ")
        assert START_LINE.fullmatch(lines[0]), lines
        exits = [line for line in lines if EXIT_LINE.fullmatch(line)]
        assert (len(exits) >= 2) == (collector != "healthy"), f"{variant}: {lines}"
        assert ending.status == STATUS.get((name, kind), bare.status), f"{variant}: {lines}"
        if kind == "exec":
            stray = [line for line in lines[1:] if line not in exits]
            assert len(stray) == len(bare_lines), f"{variant}: {stray}"


@pytest.mark.thorough
def test_a_loop_that_stops_its_own_children_and_waits_for_all_needs_drain(tmp_path: Path) -> None:
    found = run(OWN_CHILDREN, "dash", tmp_path)
    _, bare = found.pop("bare")
    for variant, (lines, ending) in found.items():
        expected = 128 + 9 if variant.startswith("exec") else bare.status
        assert ending.status == expected, f"{variant}: {lines}"
