"""Images of small apps with the lines of docs/apps.md, and the packages that these lines name.

Packages come from the registries that the machine's own clients are configured for. They are kept
in `.local/apps`. A test is skipped, with the client's last words, if a registry can't be reached.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from localazure.client import ROOT
from localazure.images import shell, toolchain
from localazure.images.assemble import Entry, Image, Layer, layer, write_layout
from tests import needs
from tests.apps import sources
from tests.apps.page import Dockerfile, files
from tests.apps.trees import app, machine, tree

KEPT = ROOT / ".local" / "apps"
PATH = "/usr/local/bin:/usr/bin:/bin"
_UNUSED = r"/(test|tests|idlelib|lib2to3|ensurepip|tkinter|turtledemo|site-packages|config-[^/]*)/"


def python(framework: str, directory: Path) -> Path:
    """A framework's app in a virtual environment at /venv, on this machine's Python."""
    lines = files(framework)
    wanted = sources.PYTHON_PACKAGES[framework] + lines["requirements.txt"]

    def install(folder: Path) -> None:
        (folder / "requirements.txt").write_text(wanted)
        uv = str(ROOT / ".local" / "uv" / "bin" / "uv")
        target = ("--target", str(folder / "packages"))
        _run([uv, "pip", "install", "--python", sys.executable, *target, "-r"], folder)

    packages = _kept(f"python-{framework}", wanted, install) / "packages"
    program = Path(sys.executable).resolve()
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    library = Path(sys.base_prefix) / "lib" / version
    environment = [
        Entry("venv/pyvenv.cfg", f"home = {program.parent}\n".encode()),
        Entry("venv/bin/python", kind="symlink", target=str(program)),
        *_scripts(packages / "bin", "venv/bin", "/venv/bin/python"),
        *tree(packages, f"venv/lib/{version}/site-packages", r"^/bin/"),
    ]
    extensions = [*(library / "lib-dynload").glob("*.so"), *packages.rglob("*.so")]
    layers = [
        machine([program], extensions),
        layer(tree(library, str(library), _UNUSED), level=1),
        layer([*environment, *app(sources.PYTHON[framework])], level=1),
    ]
    return _write(directory, layers, lines["Dockerfile"], path="/venv/bin")


def node(directory: Path) -> Path:
    """An Express app on this machine's Node.js."""
    lines = files("Node.js")
    document = json.loads(lines["package.json"])
    document["dependencies"] |= sources.NODE_PACKAGES
    wanted = json.dumps(document)
    npm = needs.program("npm")

    def install(folder: Path) -> None:
        (folder / "package.json").write_text(wanted)
        quiet = ("--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
        _run([npm, "install", *quiet], folder)

    modules = _kept("node", wanted, install) / "node_modules"
    program = Path(needs.program("node")).resolve()
    layers = [
        machine([program]),
        # The type declarations and source maps are a third of the files.
        layer(tree(modules, "app/node_modules", r"(\.(ts|map|md)|/\.bin/.*)$"), level=1),
        layer(app({"server.js": sources.NODE + lines["server.js"]})),
    ]
    return _write(directory, layers, lines["Dockerfile"], cmd=[str(program), "server.js"])


def go(directory: Path) -> Path:
    """A program of net/http."""
    lines = files("Go")
    written = {"main.go": sources.GO, "telemetry.go": lines["telemetry.go"]}
    go = toolchain.find_go(ROOT / ".local")

    def build(folder: Path) -> None:
        # The sample app needs the same modules; `go mod tidy` would fetch their tests' modules too.
        for name in ("go.mod", "go.sum"):
            shutil.copy(toolchain.SOURCES / "sampleapp" / name, folder)
        for name, text in written.items():
            (folder / name).write_text(text)
        command = [str(go.command), "build", "-trimpath", "-ldflags=-s -w", "-o", "shop", "."]
        _run(command, folder, go.environment())

    program = _kept("go", json.dumps(written), build) / "shop"
    layers = [layer([Entry("shop", program.read_bytes(), 0o755)], level=1)]
    return _write(directory, layers, lines["Dockerfile"], cmd=["/shop"])


def rails(directory: Path) -> Path:
    """A Rails app on puma with two workers, on this machine's Ruby."""
    lines = files("Rails")
    wanted = sources.RAILS_GEMS + lines["Gemfile"]
    ruby, bundle = needs.program("ruby"), needs.program("bundle")

    def install(folder: Path) -> None:
        (folder / "Gemfile").write_text(wanted)
        # `bundle install` would try an unreachable registry again and again.
        environment = {**os.environ, "BUNDLE_PATH": "vendor", "BUNDLE_RETRY": "0"}
        _run([bundle, "install"], folder, environment)

    kept = _kept("rails", wanted, install)
    said = subprocess.run(
        [ruby, "-e", "puts($LOAD_PATH + Gem.path)"], capture_output=True, text=True, check=True
    )
    known = [Path(line) for line in said.stdout.splitlines() if Path(line).is_dir()]
    folders = [one for one in known if not any(other in one.parents for other in known)]
    extensions = [path for one in [*folders, kept] for path in one.rglob("*.so")]
    initializer = "config/initializers/opentelemetry.rb"
    layers = [
        machine([Path(ruby)], extensions),
        *(layer(tree(folder, str(folder)), level=1) for folder in folders),
        layer(tree(kept, "app"), level=1),
        layer(app({"config.ru": sources.RAILS, initializer: lines[initializer]})),
    ]
    run = f"{Path(ruby).resolve()} -S bundle exec puma -b tcp://0.0.0.0:8080 -w 2 --preload"
    variables = "\nENV BUNDLE_PATH=vendor RAILS_ENV=production"
    return _write(directory, layers, lines["Dockerfile"] + variables, cmd=run.split())


def _kept(name: str, wanted: str, make: Callable[[Path], None]) -> Path:
    """The folder that `make` fills, made anew if what is wanted has changed."""
    stamp = hashlib.sha256(f"{wanted}\0{sys.version}".encode()).hexdigest()[:16]
    folder = KEPT / f"{name}-{stamp}"
    if folder.exists():
        return folder
    KEPT.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=KEPT) as scratch:
        new = Path(scratch) / "new"
        new.mkdir()
        make(new)
        for old in KEPT.glob(f"{name}-*"):
            shutil.rmtree(old)
        with contextlib.suppress(OSError):  # another one was quicker
            new.rename(folder)
    return folder


def _run(command: Sequence[str], folder: Path, env: Mapping[str, str] | None = None) -> None:
    """Run a package manager; the test is skipped if that fails, or takes longer than 200 s."""
    # A name that ends with -r takes the file of requirements.
    command = [*command, "requirements.txt"] if command[-1] == "-r" else list(command)
    try:
        done = subprocess.run(
            command, cwd=folder, env=env, capture_output=True, text=True, check=False, timeout=200
        )
    except subprocess.TimeoutExpired:
        needs.lacking(f"{Path(command[0]).name} {command[1]} hasn't ended within 200 s")
    if done.returncode:
        last = (done.stderr or done.stdout).strip().splitlines()[-1:]
        needs.lacking(f"{Path(command[0]).name} {command[1]} failed: {''.join(last)}")


def _scripts(source: Path, target: str, interpreter: str) -> list[Entry]:
    """Python's scripts, which name the interpreter of the virtual environment."""
    return [
        Entry(
            f"{target}/{script.name}",
            f"#!{interpreter}\n".encode() + script.read_bytes().partition(b"\n")[2],
            0o755,
        )
        for script in sorted(source.iterdir())
    ]


def _write(
    directory: Path, layers: Sequence[Layer], lines: str, path: str = "", cmd: Sequence[str] = ()
) -> Path:
    """An image with the settings of the page's Dockerfile, as an OCI layout."""
    made = Dockerfile.parse(lines)
    config = {
        "Env": [f"PATH={path}:{PATH}".replace("=:", "="), *made.env],
        "Cmd": list(made.cmd or cmd),
        "WorkingDir": "/app",
        "ExposedPorts": {"8080/tcp": {}},
    }
    base = layer(shell.base(), level=1)
    write_layout(directory, Image([base, *layers], config), "1.0")
    return directory
