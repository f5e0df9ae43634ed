"""Assembles images from bytes: tar layers, image configs, manifests and OCI layout folders.

It doesn't pull, run or compile, and the same input gives the same bytes on every
machine (mtime 0, entries in the order given), so digests can be relied upon.

    shell = layer([Entry("bin/sh", b"…", 0o755), Entry("tmp", kind="dir", mode=0o1777)])
    image = Image([shell], {"Entrypoint": ["/bin/sh"]}, family="oci")
    write_layout(directory, image, tag="1.0")
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import tempfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

Kind = Literal["file", "dir", "symlink", "hardlink", "fifo", "whiteout", "opaque"]
Compression = Literal["gzip", "zstd", "none"]
Family = Literal["docker", "oci"]

EPOCH = "1970-01-01T00:00:00Z"
REF_NAME = "org.opencontainers.image.ref.name"

MANIFEST = {
    "docker": "application/vnd.docker.distribution.manifest.v2+json",
    "oci": "application/vnd.oci.image.manifest.v1+json",
}
INDEX = {
    "docker": "application/vnd.docker.distribution.manifest.list.v2+json",
    "oci": "application/vnd.oci.image.index.v1+json",
}
CONFIG = {
    "docker": "application/vnd.docker.container.image.v1+json",
    "oci": "application/vnd.oci.image.config.v1+json",
}
LAYER = {
    ("docker", "gzip"): "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ("docker", "none"): "application/vnd.docker.image.rootfs.diff.tar",
    ("oci", "gzip"): "application/vnd.oci.image.layer.v1.tar+gzip",
    ("oci", "zstd"): "application/vnd.oci.image.layer.v1.tar+zstd",
    ("oci", "none"): "application/vnd.oci.image.layer.v1.tar",
}

_TAR_TYPES = {
    "file": tarfile.REGTYPE,
    "dir": tarfile.DIRTYPE,
    "symlink": tarfile.SYMTYPE,
    "hardlink": tarfile.LNKTYPE,
    "fifo": tarfile.FIFOTYPE,
    "whiteout": tarfile.REGTYPE,
    "opaque": tarfile.REGTYPE,
}
_MODES = {"dir": 0o755, "symlink": 0o777, "whiteout": 0o000, "opaque": 0o000}


def sha256(data: bytes) -> str:
    """The digest of `data` as registries spell it: `sha256:<hex>`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a layer's tar.

    `path` is written as given, less a leading slash. `mode` None means 0644 for a file, 0755 for a
    folder. `target` is the target of a symlink or hard link. A `whiteout`
    removes `path` of lower layers; `opaque` hides their content of the folder `path`.
    """

    path: str
    data: bytes = b""
    mode: int | None = None
    kind: Kind = "file"
    target: str = ""
    uid: int = 0
    gid: int = 0

    def header(self) -> tarfile.TarInfo:
        """The tar header of the entry, dated 1970."""
        path = self.path.lstrip("/")
        if self.kind == "whiteout":
            folder, _, name = path.rpartition("/")
            path = f"{folder}/.wh.{name}" if folder else f".wh.{name}"
        elif self.kind == "opaque":
            path = f"{path}/.wh..wh..opq" if path else ".wh..wh..opq"
        info = tarfile.TarInfo(path)
        info.type = _TAR_TYPES[self.kind]
        info.mode = _MODES.get(self.kind, 0o644) if self.mode is None else self.mode
        info.size = len(self.data) if self.kind == "file" else 0
        info.linkname = self.target
        info.uid, info.gid = self.uid, self.gid
        return info


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer as in a registry: `data` is the (compressed) tar, `diff_id` the tar's digest."""

    data: bytes
    compression: Compression
    diff_id: str
    created_by: str = "localazure"
    digest: str = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "digest", sha256(self.data))

    def media_type(self, family: Family) -> str:
        """The type in a manifest of `family`; ValueError if there is none (zstd in docker)."""
        try:
            return LAYER[family, self.compression]
        except KeyError:
            raise ValueError(f"{family} manifests have no {self.compression} layers") from None


def layer(
    entries: Sequence[Entry],
    compression: Compression = "gzip",
    *,
    level: int = 6,
    created_by: str = "localazure",
) -> Layer:
    """A layer that holds exactly `entries`, in their order; no parent folders are implied."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for entry in entries:
            body = io.BytesIO(entry.data) if entry.kind == "file" else None
            tar.addfile(entry.header(), body)
    plain = buffer.getvalue()
    return Layer(_compress(plain, compression, level), compression, sha256(plain), created_by)


def _compress(plain: bytes, compression: Compression, level: int) -> bytes:
    if compression == "gzip":
        # zlib's own gzip header: no name, no time, the same in every Python (gzip.compress isn't).
        packer = zlib.compressobj(level, zlib.DEFLATED, 31)
        return packer.compress(plain) + packer.flush()
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=3).compress(plain)
    return plain


@dataclass(frozen=True, slots=True)
class Image:
    """One platform's image.

    `config` is the container configuration (`Entrypoint`, `Cmd`, `Env`, `User` …); `document` adds
    or replaces fields of the image config document around it. `platform` is (os, architecture) or
    (os, architecture, variant). `annotations` go to the manifest, which should then be OCI;
    `entry_annotations` to the entry in an index (attestations have them).
    """

    layers: Sequence[Layer]
    config: Mapping[str, Any] = field(default_factory=dict)
    family: Family = "docker"
    platform: tuple[str, ...] = ("linux", "amd64")
    document: Mapping[str, Any] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    entry_annotations: Mapping[str, str] = field(default_factory=dict)

    @property
    def platform_document(self) -> dict[str, str]:
        """The platform as configs and indexes spell it."""
        return dict(zip(("os", "architecture", "variant"), self.platform, strict=False))

    @property
    def config_bytes(self) -> bytes:
        """The image config document."""
        history = [{"created": EPOCH, "created_by": each.created_by} for each in self.layers]
        document = {
            **self.platform_document,
            "created": EPOCH,
            "config": dict(self.config),
            "rootfs": {"type": "layers", "diff_ids": [each.diff_id for each in self.layers]},
            "history": history,
            **self.document,
        }
        return json.dumps(document, separators=(",", ":")).encode()

    @property
    def manifest_bytes(self) -> bytes:
        """The manifest of this one platform."""
        config = self.config_bytes
        document: dict[str, Any] = {
            "schemaVersion": 2,
            "mediaType": MANIFEST[self.family],
            "config": descriptor(CONFIG[self.family], config),
            "layers": [descriptor(each.media_type(self.family), each.data) for each in self.layers],
        }
        if self.annotations:
            document["annotations"] = dict(self.annotations)
        return json.dumps(document, separators=(",", ":")).encode()

    @property
    def digest(self) -> str:
        """The digest of the manifest."""
        return sha256(self.manifest_bytes)

    def blobs(self) -> dict[str, bytes]:
        """The config and the layers, by digest."""
        config = self.config_bytes
        return {sha256(config): config, **{each.digest: each.data for each in self.layers}}


def descriptor(media_type: str, data: bytes) -> dict[str, Any]:
    """The descriptor of `data`."""
    return {"mediaType": media_type, "size": len(data), "digest": sha256(data)}


def index_bytes(images: Sequence[Image]) -> bytes:
    """A manifest list, or an OCI index where the first image is OCI, of several platforms."""
    entries = []
    for image in images:
        entry = descriptor(MANIFEST[image.family], image.manifest_bytes)
        entry["platform"] = image.platform_document
        if image.entry_annotations:
            entry["annotations"] = dict(image.entry_annotations)
        entries.append(entry)
    document = {"schemaVersion": 2, "mediaType": INDEX[images[0].family], "manifests": entries}
    return json.dumps(document, separators=(",", ":")).encode()


def write_layout(directory: Path, images: Image | Sequence[Image], tag: str) -> str:
    """Write an OCI layout folder, or add to one, and return the digest of `tag`.

    A single image is tagged by its own manifest, a sequence by an index of them. index.json is
    replaced in one step; its other tags are kept.
    """
    several = [images] if isinstance(images, Image) else list(images)
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    for image in several:
        manifest = image.manifest_bytes
        for digest, data in {**image.blobs(), sha256(manifest): manifest}.items():
            _replace(blobs / digest.removeprefix("sha256:"), data)
    if isinstance(images, Image):
        top, media_type = images.manifest_bytes, MANIFEST[images.family]
    else:
        top, media_type = index_bytes(several), INDEX[several[0].family]
        _replace(blobs / sha256(top).removeprefix("sha256:"), top)
    entry = {**descriptor(media_type, top), "annotations": {REF_NAME: tag}}
    _replace(directory / "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
    index = directory / "index.json"
    others = json.loads(index.read_bytes())["manifests"] if index.exists() else []
    kept = [other for other in others if other.get("annotations", {}).get(REF_NAME) != tag]
    document = {"schemaVersion": 2, "mediaType": INDEX["oci"], "manifests": [*kept, entry]}
    _replace(index, json.dumps(document, separators=(",", ":")).encode())
    return sha256(top)


def _replace(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "wb") as file:
        file.write(data)
    temporary = Path(name)
    temporary.chmod(0o644)
    temporary.replace(path)
