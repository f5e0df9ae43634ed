"""What is made is made anew when what it was made of changes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (
    *("pyproject.toml", "setup.cfg", "README.md", "LICENSE"),
    *("azext_otelembed/__init__.py", "azext_otelembed/image/embed.py"),
    *("azext_otelembed/azext_metadata.json", "azext_otelembed/collector/default.yml"),
    *("localazure/images/build.py", "localazure/images/sampleapp/main.go"),
    *("localazure/images/tools/go.mod", "localazure/images/tools/go.sum"),
)
WHEEL, EXTENSION, IMAGES = "dist/.made", "extensions/.made", "images/.made"
CRANE, VENV = "bin/crane", "venv/.made"
PRODUCTS = {WHEEL, EXTENSION, IMAGES, CRANE, VENV}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project in which everything has just been made."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    for source in SOURCES:
        (tmp_path / source).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / source).touch()
    for product in (*PRODUCTS, "uv/bin/uv", "az/.made", "ca/ca.pem"):
        (tmp_path / ".local" / product).parent.mkdir(parents=True, exist_ok=True)
    # -t touches what it would make, in the order in which it would.
    make(tmp_path, "-t", "setup", ".local/bin/crane").check_returncode()
    return tmp_path


def make(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Without what a make that runs the tests tells its children."""
    return subprocess.run(
        ["make", *arguments],
        cwd=tree,
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )


def remade(tree: Path) -> set[str]:
    """The products that `make` would make now."""
    return {name for name in PRODUCTS if make(tree, "-q", f".local/{name}").returncode}


def test_what_has_just_been_made_is_left_alone(tree: Path) -> None:
    assert remade(tree) == set()


@pytest.mark.parametrize(
    ("source", "products"),
    [
        ("azext_otelembed/image/embed.py", {WHEEL, EXTENSION}),
        ("azext_otelembed/azext_metadata.json", {WHEEL, EXTENSION}),
        ("azext_otelembed/collector/default.yml", {WHEEL, EXTENSION}),
        ("setup.cfg", {WHEEL, EXTENSION}),
        ("README.md", {WHEEL, EXTENSION}),
        ("pyproject.toml", {VENV, WHEEL, EXTENSION, IMAGES, CRANE}),
        ("localazure/images/sampleapp/main.go", {IMAGES}),
        ("localazure/images/tools/go.mod", {IMAGES, CRANE}),
    ],
)
def test_a_source_edited_in_place_makes_its_products_anew(
    tree: Path, source: str, products: set[str]
) -> None:
    (tree / source).write_text("edited")
    assert remade(tree) == products


@pytest.mark.parametrize("source", ["azext_otelembed/image/embed.py", "localazure/images/build.py"])
def test_a_source_that_is_gone_is_noticed(tree: Path, source: str) -> None:
    (tree / source).unlink()
    assert remade(tree) >= {WHEEL, EXTENSION, IMAGES}


def test_make_wheel_leaves_one_wheel_in_dist(tree: Path) -> None:
    for place, name in (("dist", "otelembed-0.0.9"), (".local/dist", "otelembed-0.1.0")):
        (tree / place).mkdir(exist_ok=True)
        (tree / place / f"{name}-py3-none-any.whl").touch()
    said = make(tree, "wheel").stdout
    assert [path.name for path in (tree / "dist").iterdir()] == ["otelembed-0.1.0-py3-none-any.whl"]
    assert "--source dist/otelembed-0.1.0-py3-none-any.whl" in said


def test_the_oldest_az_is_the_one_that_readme_and_metadata_name() -> None:
    (tested,) = re.findall(r"^AZ_VERSION := (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    metadata = json.loads((ROOT / "azext_otelembed" / "azext_metadata.json").read_text())
    assert metadata["azext.minCliCoreVersion"] == tested
    assert f"Azure CLI {tested.removesuffix('.0')} or newer" in (ROOT / "README.md").read_text()
