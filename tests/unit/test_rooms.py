"""The rooms of CONTRIBUTING: which may import which. Arrows point down only."""

from __future__ import annotations

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "azext_otelembed"

GROUND = {"errors", "quiet", "parallel", "location", "__version__"}
PURE = {"image", "collector"}
SERVICES = PURE | GROUND | {"registry"}
WORK = SERVICES | {"azure"}
MAY = {
    "errors": set[str](),
    "quiet": set[str](),
    "parallel": set[str](),
    "location": set[str](),
    "image": set[str](),
    "collector": set[str](),
    "console": GROUND,
    "registry": PURE | GROUND,
    "azure": SERVICES,
    "embedding": WORK,
    "builders": WORK,
    "release": WORK | {"embedding", "builders", "console"},
    "inputs": WORK,
    "frame": WORK | {"console"},
    "custom": WORK | {"release", "builders", "console", "frame", "inputs"},
    "commands": set[str](),
    "__init__": {"commands", "_params", "_help"},
    "_actions": GROUND,
    "_completers": {"azure"},
    "_help": set[str](),
    "_params": {"_actions", "_completers", "_validators", "azure"},
    "_validators": GROUND,
}
"""Rooms by name, and what of ours each may import besides itself."""


def _room(path: Path) -> str:
    parts = path.relative_to(PACKAGE).parts
    return parts[0] if len(parts) > 1 else path.stem


def _imports(path: Path) -> set[str]:
    """The rooms that a module names in its import statements, those for types included."""
    found = set[str]()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{path}: a relative import hides where it leads"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        else:
            continue
        found |= {name.split(".")[1] for name in names if name.startswith("azext_otelembed.")}
    return found


def test_arrows_point_down_only() -> None:
    upward = [
        f"{path.relative_to(ROOT)} -> {room}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for room in sorted(_imports(path) - MAY[_room(path)] - {_room(path)})
    ]
    assert upward == []


def test_contributing_tells_what_every_room_owns() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    rooms = [path.parent.name for path in PACKAGE.glob("*/__init__.py")]
    assert [room for room in rooms if f"| `{room}/` |" not in text] == []
