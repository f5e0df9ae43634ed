"""Contexts for ACR Tasks: what docker itself would send, in memory that doesn't grow."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from azext_otelembed.builders.build_context import PackStatistics, pack, read_context
from azext_otelembed.builders.source import Source
from tests.builders.acr import attempt
from tests.builders.support import Builds
from tests.engine import Engine

FILES = (
    *("a", "b.log", "docs/a.md", "docs/README.md", "docs/x/README.md", "src/a.go", "src/a.log"),
    *("src/deep/b.go", "src/deep/keep.log", "node_modules/x/y", "[z]", "with space/f"),
)
RULES = (
    "",
    "# nothing\n\n  \n/src/\n",
    "**/*.log\n!src/deep/keep.log",
    "*\n!src\nsrc/*.go",
    "*\n!docs/*.md\n!src/deep",
    "**.go\n[[]z]\nwith space\n",
    "docs/**\n!docs/README.md\n*/x",
    "!a\n*\n![a-b]*\n./node_modules/../b.log",
    # Docker itself doesn't look into a folder for an exception that begins with a wildcard.
    "**/deep/\n?\n!src/deep/b.go",
)
OWN = {"Dockerfile", ".dockerignore", ".dockerenv"}
"""What the engine takes out or puts in by itself."""


@pytest.mark.parametrize("rules", RULES)
def test_docker_sends_the_same_files(docker_engine: Engine, tmp_path: Path, rules: str) -> None:
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY . /context/\n")
    (tmp_path / ".dockerignore").write_text(rules)
    context = read_context(Source(tmp_path, tmp_path / "Dockerfile"))
    with tarfile.open(
        fileobj=io.BytesIO(b"".join(pack(context, 1 << 20, PackStatistics())))
    ) as tar:
        ours = {one.name for one in tar if one.isfile()} - OWN - {context.dockerfile}
    assert ours == _files_that_docker_sends(docker_engine, tmp_path) - OWN


def _files_that_docker_sends(engine: Engine, folder: Path) -> set[str]:
    image = engine.run("build", "--quiet", str(folder)).stdout.strip()
    container = engine.run("create", image, "nothing").stdout.strip()
    exported = folder.with_name(f"{folder.name}.tar")
    try:
        engine.run("export", "--output", str(exported), container)
        with tarfile.open(exported) as tar:
            inside = {one.name for one in tar if one.isfile()}
        return {name.removeprefix("context/") for name in inside if name.startswith("context/")}
    finally:
        engine.run("rm", container)
        engine.run("rmi", image)


@pytest.mark.parametrize(
    ("random", "zeros"),
    [
        pytest.param(40, 300, marks=pytest.mark.thorough),
        pytest.param(1024, 0, marks=[pytest.mark.thorough(minutes=3), pytest.mark.timeout(600)]),
    ],
)
def test_a_large_context_takes_no_more_memory_than_a_small_one(
    builds: Builds, random: int, zeros: int
) -> None:
    """Sizes in MiB."""
    builds.cloud.local.engine(None)
    builds.write("FROM scratch")
    attempt(builds)  # whatever is imported and kept is there now
    block = os.urandom(1 << 20)
    with (builds.source / "incompressible").open("wb") as file:
        for _ in range(random):
            file.write(block)
    with (builds.source / "sparse").open("wb") as file:
        file.truncate(zeros << 20)
    before = _memory("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # proc(5): the peak counts from here
    done = attempt(builds)
    grown = _memory("VmHWM") - before
    (builds.source / "incompressible").unlink()
    assert "This double has no container engine" in done.failed().message
    assert sum(r["sent"] for r in done.requests if r["service"] == "blob") > random << 20
    assert grown < 32 << 20


def _memory(which: str) -> int:
    """Bytes of this process's memory, now (VmRSS) or at its peak (VmHWM)."""
    status = Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in status if line.startswith(f"{which}:"))
    return int(line.split()[1]) << 10
