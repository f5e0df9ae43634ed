"""The packages of CONTRIBUTING: which may import which. Arrows point down, never in a circle.

Every import counts: those for types only and those inside of functions as well.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "azext_otelembed"

GROUND = {
    "az_commands",
    "connection_errors",
    "connection_guard",
    "deadline",
    "errors",
    "http_session",
    "http_transport",
    "parallel",
    "urls",
    "log_redaction",
    "printable",
    "printable_log",
    "redaction",
    "secret_values",
    "progress",
    "strict_json",
    "whole_number",
    "utf8_text",
    "_version",
}
PURE = {"image", "collector"} | GROUND
PROTOCOL = PURE | {"registry"}
SERVICES = PROTOCOL | {"azure", "embedding", "records"}
SITES = SERVICES | {"webapp", "builders"}
PARTS = SITES | {"validation", "target", "verification", "telemetry", "prune"}
MAY: Mapping[str, set[str]] = {
    "az_commands": {"printable"},
    "connection_errors": set(),
    "connection_guard": {"deadline"},
    "deadline": {"errors"},
    "errors": set(),
    "http_session": {"connection_guard"},
    "http_transport": {"connection_guard", "deadline", "http_session", "parallel"},
    "parallel": {"errors"},
    "urls": set(),
    "log_redaction": set(),
    "printable": set(),
    "printable_log": {"printable"},
    "redaction": {"secret_values"},
    "secret_values": set(),
    "progress": set(),
    "strict_json": set(),
    "whole_number": set(),
    "utf8_text": set(),
    "_version": set(),
    "image": {"errors", "printable", "strict_json", "whole_number"},
    "collector": {"az_commands", "errors", "utf8_text", "whole_number"},
    "registry": PURE,
    "azure": PROTOCOL,
    "embedding": PROTOCOL,
    "records": PROTOCOL,
    "webapp": SERVICES,
    "builders": SERVICES,
    "validation": SITES,
    "target": SITES | {"console", "validation"},
    "verification": SITES,
    "telemetry": SITES,
    "prune": SITES | {"console"},
    "release": PARTS | {"console"},
    "console": GROUND,
    "inputs": PROTOCOL | {"target", "validation", "webapp"},
    "command_frame": GROUND | {"console"},
    "custom": PARTS | {"release", "console", "command_frame", "inputs"},
    "commands": {"printable"},
    "__init__": {"commands", "_params", "_help", "_validators", "printable_log"},
    "_actions": GROUND,
    "_completers": {"azure", "deadline", "printable"},
    "_help": set(),
    "_params": {"_actions", "_completers", "_validators", "azure"},
    "_validators": GROUND,
}
"""Packages and modules at the top by name, and those that each may import besides itself."""


def modules(package: str) -> dict[str, Path]:
    """The modules of a package by their dotted names; a package goes by its own name."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
        found[name.removesuffix(".__init__")] = path
    return found


def imports(path: Path, known: Mapping[str, Path]) -> set[str]:
    """The modules among `known` that a file imports, wherever the statement stands."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import hides where it leads"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        for name in names:
            module = name if name in known else name.rpartition(".")[0]
            found |= {module} & set(known)
    return found


def package_of(module: str) -> str:
    """The package, or the module at the top, that a dotted name belongs to."""
    return module.split(".")[1] if "." in module else "__init__"


def test_arrows_point_down_only() -> None:
    known = modules("azext_otelembed")
    upward = [
        f"{module} -> {imported}"
        for module, path in known.items()
        for imported in sorted(imports(path, known))
        if package_of(imported) not in MAY[package_of(module)] | {package_of(module)}
    ]
    assert upward == []


@pytest.mark.parametrize("package", ["azext_otelembed", "localazure"])
def test_no_import_leads_back_to_its_own_module(package: str) -> None:
    known = modules(package)
    graph = {module: imports(path, known) - {module} for module, path in known.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as circle:
        pytest.fail(" <- ".join(circle.args[1]))


def test_two_modules_do_not_share_a_name() -> None:
    names = Counter(path.name for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")
    assert {name for name, count in names.items() if count > 1} == set()


def test_no_function_is_longer_than_60_lines() -> None:
    long = [
        f"{module}.{node.name}"
        for module, path in modules("azext_otelembed").items()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]
    assert long == []


def test_each_line_for_the_console_is_a_text_of_its_own() -> None:
    """The console folds line ends: those in text of others would forge lines."""
    texts = []
    for module, path in modules("azext_otelembed").items():
        if package_of(module) not in ("release", "target", "prune", "custom"):
            continue
        nodes = list(ast.walk(ast.parse(path.read_text())))
        docstrings = [node.value for node in nodes if isinstance(node, ast.Expr)]
        texts += [
            f"{module}: {node.value!r}"
            for node in nodes
            if isinstance(node, ast.Constant) and node not in docstrings and "\n" in str(node.value)
        ]
    assert texts == []


def test_contributing_tells_what_every_package_owns() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    packages = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    assert [name for name in packages if f"| `{name}/` |" not in text] == []
