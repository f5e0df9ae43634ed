"""Writes the list of component types: `python -m localazure.component_types 0.150.0`.

The list is read from two modules of the release, which Go's module proxy has:

- `reports/distributions/contrib.yaml` of go.opentelemetry.io/collector and of
  github.com/open-telemetry/opentelemetry-collector-contrib: the types in the contrib distribution;
- `cmd/otelcontribcol/builder-config.yaml` of the latter: the confmap providers, and modules in
  development, which the distribution may contain (their types are not in the report);
- the CHANGELOG of both: the former names that a release accepts as aliases.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from localazure.images.toolchain import Go, find_go

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "azext_otelembed" / "collector" / "component_types.json"
CORE = "go.opentelemetry.io/collector"
CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib"
KINDS = ("receiver", "processor", "exporter", "connector", "extension")
# Modules whose name differs from their type in more than underscores.
TYPE_OF_MODULE = {
    "asapauth": "asapclient",
    "oauth2clientauth": "oauth2client",
    "oidcauth": "oidc",
    "podman": "podman_stats",
    "simpleprometheus": "prometheus_simple",
    "awscontainerinsight": "awscontainerinsightreceiver",
}
_RENAMED = re.compile(r"Rename `(\w+)` (\w+) to `(\w+)`.* alias")
_NEW_NAME = re.compile(r"`(\w+)/\w+`: Introduce new snake case compliant name `(\w+)`")


def main() -> None:
    """Write the list of the release that the command line names."""
    (version,) = sys.argv[1:]
    go = find_go(ROOT / ".local")
    core, contrib = (_module(go, f"{name}@v{version}") for name in (CORE, CONTRIB))
    types: dict[str, list[str]] = {}
    for kind in KINDS:
        found = {name for module in (core, contrib) for name in _report(module).get(kind, ())}
        types[f"{kind}s"] = sorted(found)
    builder = yaml.safe_load((contrib / "cmd/otelcontribcol/builder-config.yaml").read_text())
    written = {
        "version": version,
        "source": f"python -m localazure.component_types {version}",
        "types": types,
        "aliases": _aliases((core, contrib), types),
        "unlisted": {kind: _unlisted(builder, kind, types[kind]) for kind in types},
        "schemes": sorted(_name(one).removesuffix("provider") for one in builder["providers"]),
    }
    OUTPUT.write_text(json.dumps(written, indent=1) + "\n")


def _module(go: Go, module: str) -> Path:
    """The folder of a module, which Go downloads if need be."""
    command = [str(go.command), "mod", "download", "-json", module]
    said = subprocess.run(
        command, env=go.environment(), cwd=ROOT / ".local", capture_output=True, check=True
    )
    return Path(json.loads(said.stdout)["Dir"])


def _report(module: Path) -> Mapping[str, list[str]]:
    report = yaml.safe_load((module / "reports/distributions/contrib.yaml").read_text())
    components: Mapping[str, list[str]] = report["components"]
    return components


def _aliases(modules: tuple[Path, ...], types: Mapping[str, list[str]]) -> dict[str, Any]:
    """Former name → type, by section."""
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for module in modules:
        changes = (module / "CHANGELOG.md").read_text()
        for old, kind, new in _RENAMED.findall(changes):
            if new in types.get(f"{kind}s", ()):
                found[f"{kind}s"][old] = new
        for kind, new in _NEW_NAME.findall(changes):
            # The underscore before `encoding` is older than the rule (deprecated_type in
            # metadata.yaml).
            stem = new.removesuffix("_encoding")
            found[f"{kind}s"][stem.replace("_", "") + new.removeprefix(stem)] = new
    return {kind: dict(sorted(found[kind].items())) for kind in types}


def _unlisted(builder: Mapping[str, Any], section: str, types: list[str]) -> list[str]:
    """Modules that are no type of the report, by their name without underscores."""
    plain = {name.replace("_", "") for name in types}
    kind = section.removesuffix("s")
    names = {_name(one).removesuffix(kind) for one in builder[section]}
    known = plain | {name for name, own in TYPE_OF_MODULE.items() if own in types}
    core = {"otlp": "otlp_grpc"} if section == "exporters" else {}
    return sorted(name for name in names if name not in known and core.get(name) not in types)


def _name(module: Mapping[str, str]) -> str:
    return module["gomod"].split()[0].rpartition("/")[2]


if __name__ == "__main__":
    main()
