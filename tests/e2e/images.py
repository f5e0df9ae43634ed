"""Images for single tests: variants of the sample app, and containers that fail."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localazure.images.assemble import Entry, Image, Layer, layer, write_layout
from tests.e2e.support import IMAGES


def read(layout: Path, number: int = 0) -> tuple[list[Layer], dict[str, Any]]:
    """The layers and the container configuration of a single-platform image in a layout."""
    index = json.loads((layout / "index.json").read_bytes())
    manifest = _blob(layout, index["manifests"][number]["digest"])
    if "manifests" in manifest:
        manifest = _blob(layout, manifest["manifests"][0]["digest"])
    config = _blob(layout, manifest["config"]["digest"])
    layers = [
        Layer(_data(layout, found["digest"]), "gzip", diff_id, step["created_by"])
        for found, diff_id, step in zip(
            manifest["layers"], config["rootfs"]["diff_ids"], config["history"], strict=True
        )
    ]
    return layers, config["config"]


def variant(
    directory: Path,
    tag: str = "1.0",
    entries: Sequence[Entry] = (),
    extra: Sequence[Layer] = (),
    **config: Any,
) -> Path:
    """The sample app with more entries, layers or another configuration; returns the layout."""
    layers, settings = read(IMAGES / "app")
    added = [layer(list(entries), created_by="COPY . / # test")] if entries else []
    return _write(directory, [*layers, *added, *extra], {**settings, **config}, tag)


def shell(directory: Path, script: str, tag: str = "1.0", **config: Any) -> Path:
    """A container that runs a shell script on the sample app's base; returns the layout."""
    layers, _ = read(IMAGES / "app")
    settings = {
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Cmd": ["/bin/sh", "-c", script],
        **config,
    }
    return _write(directory, layers[:1], settings, tag)


def noise(megabytes: int) -> Layer:
    """A layer that no compression makes smaller."""
    data = os.urandom(megabytes << 20)
    return layer([Entry("app/noise", data, uid=1000, gid=1000)], "gzip", level=1)


def _write(directory: Path, layers: Sequence[Layer], config: Mapping[str, Any], tag: str) -> Path:
    write_layout(directory, Image(layers, config), tag)
    return directory


def _blob(layout: Path, digest: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(_data(layout, digest))
    return document


def _data(layout: Path, digest: str) -> bytes:
    return (layout / "blobs" / digest.replace(":", "/")).read_bytes()
