"""Builds the outdated products: binaries from Go modules, images from binaries.

Each product has a stamp, the digest of all its sources; a product with the present stamp is not
built again. Products are replaced in one step, under a lock among processes.
"""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from localazure.images import assemble, contents, shell, slim
from localazure.images.assemble import Image, write_layout
from localazure.images.progress import Step
from localazure.images.toolchain import SOURCES, Go, find_go

CRANE = "github.com/google/go-containerregistry/cmd/crane"
BUILDX = "github.com/docker/buildx/cmd/buildx"


def collector_binary(local: Path) -> Path:
    """The collector's program, `otelcol-contrib`, built if it is outdated."""
    with _locked(local):
        return _collector_binary(local)


def slim_binary(local: Path) -> Path:
    """The program of docs/examples/slim-collector.yaml, built if it is outdated."""
    with _locked(local):
        go = find_go(local)
        output, kept = local / "go" / "bin" / "otelcol-slim", local / "go" / "bin" / ".slim.stamp"
        sources = sorted(p for p in (SOURCES / "collector").rglob("*") if p.is_file())
        stamp = _digest([slim.MANIFEST, Path(slim.__file__), *sources], go.version)
        if not (output.exists() and _fits(kept, stamp)):
            slim.build_slim(go, local / "go" / "slim").replace(output)
            kept.write_text(stamp)
        return output


def collector(local: Path, out: Path, ca: Path | None) -> bool:
    """Build the collector's image into `out`; True if there was anything to do."""
    with _locked(local):
        binary = _collector_binary(local)
        stamp = _digest([binary, *_python(), *([ca] if ca else [])])
        if _fits(out / ".stamp", stamp):
            return False
        with Step("Assembling the collector's image"):
            images = contents.collector(binary.read_bytes(), ca)
            _layout(out, images, contents.COLLECTOR_VERSION, stamp)
    return True


def app_binary(local: Path) -> Path:
    """The sample app's program, `shop`, built if it is outdated."""
    with _locked(local):
        return _app_binary(local)


def app(local: Path, out: Path) -> bool:
    """Build the sample app's image into `out`; True if there was anything to do."""
    with _locked(local):
        binary = _app_binary(local)
        stamp = _digest([binary, *_python()])
        if _fits(out / ".stamp", stamp):
            return False
        with Step("Assembling the sample app's image"):
            image = contents.app(binary.read_bytes(), shell.base())
            _layout(out, image, contents.APP_VERSION, stamp)
    return True


def tools(local: Path, out: Path) -> bool:
    """Build crane into the folder `out`; True if there was anything to do."""
    with _locked(local):
        return _binary(find_go(local), "tools", out / "crane", package=CRANE)


def buildx(local: Path, out: Path) -> bool:
    """Build docker's buildx into the folder `out`; True if there was anything to do."""
    with _locked(local):
        return _binary(find_go(local), "buildx", out / "buildx", package=BUILDX)


def _collector_binary(local: Path) -> Path:
    output = local / "go" / "bin" / "otelcol-contrib"
    version = f"-s -w -X main.version={contents.COLLECTOR_VERSION}"
    _binary(find_go(local), "collector", output, ldflags=version)
    return output


def _app_binary(local: Path) -> Path:
    output = local / "go" / "bin" / "shop"
    _binary(find_go(local), "sampleapp", output)
    return output


def _binary(go: Go, module: str, output: Path, package: str = ".", ldflags: str = "-s -w") -> bool:
    source = SOURCES / module
    files = sorted(p for p in source.rglob("*") if p.suffix in {".go", ".mod", ".sum"})
    stamp = _digest(files, go.version, ldflags)
    kept = output.with_name(f".{output.name}.stamp")
    if output.exists() and _fits(kept, stamp):
        return False
    go.build(module, output, package, ldflags)
    kept.write_text(stamp)
    return True


def _layout(out: Path, images: Image | Sequence[Image], tag: str, stamp: str) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    new = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    new.chmod(0o755)
    write_layout(new, images, tag)
    (new / ".stamp").write_text(stamp)
    # A folder can't replace one that isn't empty: the old one is renamed first.
    if out.exists():
        old = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
        out.rename(old / out.name)
        new.rename(out)
        shutil.rmtree(old)
    else:
        new.rename(out)


def _python() -> list[Path]:
    """The modules that the content of images depends on."""
    return [Path(module.__file__) for module in (assemble, contents, shell) if module.__file__]


def _digest(files: Sequence[Path], *words: str) -> str:
    """The digest of files (names and content) and words."""
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name}\0{hashlib.sha256(file.read_bytes()).hexdigest()}\0".encode())
    for word in words:
        total.update(word.encode() + b"\0")
    return total.hexdigest()


def _fits(stamp: Path, digest: str) -> bool:
    return stamp.exists() and stamp.read_text() == digest


@contextmanager
def _locked(local: Path) -> Iterator[None]:
    """A lock for one build at a time: several test runs may need the same products."""
    (local / "go").mkdir(parents=True, exist_ok=True)
    with (local / "go" / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
