"""Builds the collector of docs/examples/slim-collector.yaml, with the Collector Builder.

The manifest is used as it is. The azuremonitor exporter isn't available as a module here (its
module path redirects to a repository), so the double in `collector/azuremonitor` replaces it, by
the manifest's own means (`replaces`). Both use the module ApplicationInsights-Go.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

from localazure.images.errors import BuildError
from localazure.images.progress import Step
from localazure.images.toolchain import SOURCES, Go

MANIFEST = SOURCES.parents[1] / "docs" / "examples" / "slim-collector.yaml"
EXPORTER = "github.com/open-telemetry/opentelemetry-collector-contrib/exporter/azuremonitorexporter"
_BUILDER = "go.opentelemetry.io/collector/cmd/builder"
_VERSION = re.compile(r"^  version: (\S+)$", re.MULTILINE)
_NAME = re.compile(r"^  name: (\S+)$", re.MULTILINE)


def build_slim(go: Go, folder: Path) -> Path:
    """Build in `folder`, which is replaced; returns the program. Raises BuildError.

    The builder has the manifest's own version, as upstream asks for.
    """
    text = MANIFEST.read_text()
    version, name = str(_VERSION.findall(text)[0]), str(_NAME.findall(text)[0])
    shutil.rmtree(folder, ignore_errors=True)
    exporter = folder / "azuremonitorexporter"
    shutil.copytree(SOURCES / "collector" / "azuremonitor", exporter)
    module = (SOURCES / "collector" / "go.mod").read_text()
    (exporter / "go.mod").write_text(
        module.replace("module localazure/collector", f"module {EXPORTER}")
    )
    shutil.copy(SOURCES / "collector" / "go.sum", exporter)
    replaced = f"\nreplaces:\n  - {EXPORTER} => {exporter.absolute()}\n"
    (folder / "manifest.yaml").write_text(text + replaced)
    with Step(f"Compiling {name}"):
        _run(go, [str(go.command), "install", f"{_BUILDER}@v{version}"], folder)
        _run(go, [str(folder.absolute() / "builder"), "--config=manifest.yaml"], folder)
    return folder / "build" / name


def _run(go: Go, command: list[str], folder: Path) -> None:
    environment = {
        **go.environment(),
        # The builder writes a go.mod of its own.
        "GOFLAGS": "-modcacherw -buildvcs=false",
        "GOBIN": str(folder.absolute()),
        "PATH": f"{go.command.parent}:/usr/bin:/bin",
    }
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        said = "\n  ".join((done.stderr or done.stdout).strip().splitlines()[-15:])
        raise BuildError(f"{' '.join(command)} failed in {folder}:\n  {said}")
