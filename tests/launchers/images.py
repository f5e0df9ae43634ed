"""Bases with different shells, and what `embed` makes of them with the real collector."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from azext_otelembed.collector import config as collector_config
from azext_otelembed.image import labels
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.embed import Base, embed
from azext_otelembed.image.image_config import parse_config
from azext_otelembed.image.launcher import Launcher, start_line
from azext_otelembed.image.layer import make_ca_layer
from azext_otelembed.image.manifest import Manifest
from azext_otelembed.image.prepared_collector import (
    CA_BUNDLE,
    CollectorLayer,
    PreparedCollector,
    make_prepared_collector,
)
from azext_otelembed.image.prepared_shell import (
    PreparedShell,
    make_prepared_shell,
    make_shell_layer,
)
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.image.tar_reader import scan
from localazure.images.assemble import Entry, Image, Layer, layer
from tests import needs
from tests.e2e.images import read
from tests.e2e.support import IMAGES
from tests.launchers.app import APP
from tests.localazure import runtime_support as support

SHELLS = ("dash", "busybox", "bash")
PROGRAM = str(Path(sys.executable).resolve())
APP_WORDS = [PROGRAM, "-I", "-S", "/app/app.py"]
"""An app that handles signals; see app.py."""
QUIET_WORDS = ["/app/quiet", "1000"]
"""A program that installs no handler: `sleep` under another name."""


@dataclass(frozen=True, slots=True)
class Made:
    """An image ready to run: its configuration and its layers' bytes, lowest first."""

    config: bytes
    layers: tuple[Layer, ...]

    @property
    def start_line(self) -> str:
        """What its launcher writes first."""
        recipe = parse_config(self.config).labels[labels.RECIPE]
        return start_line(Digest.parse(recipe))

    @property
    def files(self) -> str:
        """Names what the layers hold together."""
        return Digest.of(" ".join(layer.digest for layer in self.layers).encode()).short


def found(program: str) -> Path:
    """The path of a program of this machine."""
    return Path(needs.program(program)).resolve()


@cache
def shell_layer(name: str, sleep: bool = True) -> Layer:
    """A root file system whose /bin/sh is `name`; `sleep` tells whether it has that, too."""
    binary = found(name)
    folders = [Entry(path, kind="dir") for path in ("bin", "app")]
    entries = [*folders, Entry("tmp", kind="dir", mode=0o1777)]
    if name == "busybox":
        entries.append(Entry("bin/busybox", binary.read_bytes(), 0o755))
        links = ["sh", *(["sleep"] if sleep else [])]
        entries += [Entry(f"bin/{link}", kind="symlink", target="busybox") for link in links]
        return layer([*entries, *support.entries(*support.libraries(binary))], level=1)
    entries.append(Entry("bin/sh", binary.read_bytes(), 0o755))
    programs = [binary]
    if sleep:
        programs.append(found("sleep"))
        entries.append(Entry("bin/sleep", programs[1].read_bytes(), 0o755))
    return layer([*entries, *support.entries(*support.libraries(*programs))], level=1)


@cache
def apps_layer() -> Layer:
    """Python and the app, and a program without handlers, for an app and for a collector."""
    sleep = found("sleep")
    return layer(
        [
            Entry("app/app.py", APP.encode()),
            Entry("app/quiet", sleep.read_bytes(), 0o755),
            Entry("app/idle", sleep.read_bytes(), 0o755),
            *support.entries(*support.libraries(sleep)),
        ],
        level=1,
    )


def shop_layer() -> Layer:
    """The sample app with the OpenTelemetry SDK: /usr/local/bin/shop, one static program."""
    layers, _ = read(IMAGES / "app")
    return layers[1]


@cache
def shop_entry() -> Entry:
    """The sample app alone, as /shop."""
    return Entry("shop", _file(shop_layer(), "usr/local/bin/shop"), 0o755)


@cache
def late_collector() -> Layer:
    """The collector, which waits for a file /tmp/go before it is started."""
    layers, _ = read(IMAGES / "collector")
    waits = b'#!/bin/sh\nuntil [ -e /tmp/go ]; do sleep 0.1; done\nexec /late/otelcol "$@"\n'
    return layer(
        [
            Entry("late/otelcol", _file(layers[1], "otelcol-contrib"), 0o755),
            Entry("otelcol-contrib", waits, 0o755),
        ],
        level=1,
    )


def _file(layer: Layer, path: str) -> bytes:
    chunks = iter([layer.data])
    entries = scan(chunks, want=frozenset({path}), max_file_bytes=1 << 26)
    (found,) = [entry for entry in entries if entry.path == path]
    assert found.data is not None
    return found.data


def base(shell: str, *, sleep: bool = True, **config: Any) -> Image:
    """An image with a shell and the apps. `config` are its settings (Entrypoint, Cmd, …)."""
    return Image([shell_layer(shell, sleep), support.python(), apps_layer()], config)


def made(
    image: Image,
    launcher: Launcher | None = None,
    config: bytes | None = None,
    binary: Layer | None = None,
    shell: bytes | None = None,
) -> Made:
    """Embed the collector. `binary` replaces its layer; `shell` is a busybox to bring along."""
    collector, layers = _collector(binary)
    brought, shell_layer = _shell(shell) if shell else (None, None)
    manifest = Manifest.read(Family.DOCKER, image.manifest_bytes)
    embedded = embed(
        Base(
            Reference.parse("registry.example/app:1"),
            manifest.digest,
            manifest,
            parse_config(image.config_bytes),
        ),
        collector,
        collector_config.default() if config is None else config,
        launcher or Launcher(),
        shell=brought,
    )
    config_layer = Layer(embedded.uploads[0].data, "gzip", str(embedded.config.diff_ids[-1]))
    added = [*layers, *([shell_layer] if shell_layer else []), config_layer]
    made = [*image.layers, *added]
    put = embedded.manifest.layers
    assert [layer.digest for layer in made] == [str(descriptor.digest) for descriptor in put]
    return Made(embedded.config.data, tuple(made))


def plain(image: Image) -> Made:
    """The image as it is, with no collector."""
    return Made(image.config_bytes, tuple(image.layers))


def _shell(binary: bytes) -> tuple[PreparedShell, Layer]:
    made = make_shell_layer(binary)
    upstream = Reference.parse("busybox:1.36.1-musl").with_digest(Digest.of(binary))
    return make_prepared_shell(upstream, made), Layer(made.data, "gzip", str(made.diff_id))


@cache
def _collector(binary: Layer | None) -> tuple[PreparedCollector, tuple[Layer, Layer]]:
    layers, _ = read(IMAGES / "collector")
    program = binary or layers[1]
    bundle = make_ca_layer(_bundle(layers[0].data))
    descriptor = Descriptor(
        Family.OCI.layer_type("gzip"), len(program.data), Digest.parse(program.digest)
    )
    prepared = make_prepared_collector(
        Reference.parse("otel/opentelemetry-collector-contrib:0.150.0").with_digest(
            Digest.of(program.data)
        ),
        "/otelcol-contrib",
        [
            CollectorLayer(descriptor, Digest.parse(program.diff_id)),
            CollectorLayer(bundle.descriptor(Family.OCI), bundle.diff_id, "certificates"),
        ],
    )
    return prepared, (program, Layer(bundle.data, "gzip", str(bundle.diff_id)))


def _bundle(data: bytes) -> bytes:
    for entry in scan(iter([data]), want=frozenset({CA_BUNDLE})):
        if entry.data is not None:
            return entry.data
    raise AssertionError("the collector image has no CA bundle")


@cache
def other_collector(kind: str) -> Layer:
    """A layer whose binary is "missing", "not executable", "not a program", or "idle".

    The idle one does nothing, cheaply, until it is told to stop.
    """
    entries = {
        "missing": Entry("elsewhere", b"x"),
        "not executable": Entry("otelcol-contrib", b"\x7fELF", 0o644),
        "not a program": Entry("otelcol-contrib", b"\x7fELF\0\0", 0o755),
        "idle": Entry("otelcol-contrib", b"#!/bin/sh\nexec /app/idle 1000\n", 0o755),
    }
    return layer([entries[kind]])
