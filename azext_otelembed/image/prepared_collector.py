"""The prepared collector: an artifact whose layers an embed mounts.

It is made once for each collector image and registry, and stored in `otelembed/collector`, so that
an embed reads one small manifest and doesn't search the collector image.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.layer import BINARY
from azext_otelembed.image.manifest import Manifest, artifact_document
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.image.tar_reader import Entry

REPOSITORY = "otelembed/collector"
ARTIFACT_TYPE = "application/vnd.otelembed.collector.v1+json"
# The paths of CA bundles in images, without the leading slash as in tar: the paths that Go reads
# (crypto/x509, root_linux.go), with those of upstream, Debian and Alpine first.
CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
CA_BUNDLES = (
    CA_BUNDLE,
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/pki/tls/cacert.pem",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/cert.pem",
)

_PREFIX = "dev.otelembed.collector."
_UPSTREAM = f"{_PREFIX}upstream"
_DIGEST = f"{_PREFIX}digest"
_VERSION = f"{_PREFIX}version"
_BINARY = f"{_PREFIX}binary"
_DIFF_ID = f"{_PREFIX}diff-id"
_ROLE = f"{_PREFIX}role"


@dataclass(frozen=True, slots=True)
class CollectorLayer:
    """A layer to mount. `role` is "binary" or "certificates"."""

    descriptor: Descriptor
    diff_id: Digest
    role: str = "binary"


@dataclass(frozen=True, slots=True)
class PreparedCollector:
    """A collector that can be mounted. `digest` is the digest of the upstream manifest.

    `upstream` is the name of the collector image, `version` its tag, `binary_path` the absolute
    path of the binary in its layer.
    """

    manifest: Manifest
    upstream: Reference
    digest: Digest
    version: str
    binary_path: str
    layers: tuple[CollectorLayer, ...]


def _version(reference: Reference) -> str:
    """The version of a collector image: its tag, or "digest" if it has none."""
    return reference.tag or "digest"


def prepared_tag(reference: Reference) -> str:
    """The tag of the prepared artifact in `otelembed/collector`.

    `<version>-<12 hex of the digest>`, or `<version>-of-<12 hex of the name>` for a reference
    without a digest.
    """
    version, digest = _version(reference), reference.digest
    if digest is None:
        version += "-of"
        digest = Digest.of(f"{reference.name}:{reference.tag}".encode())
    stem = re.sub(r"[^A-Za-z0-9_.-]", "-", version).lstrip(".-")[:100] or "latest"
    return f"{stem}-{digest.short}"


def binary_path(config: ImageConfig) -> str:
    """The path of a collector image's binary: the first word of its Entrypoint, else of its Cmd.

    Raises InvalidImage unless that is the absolute path of an executable.
    """
    words = config.entrypoint or config.cmd
    path = words[0] if words else ""
    if not path.startswith("/") or path.rstrip("/") in ("", "/bin/sh", BINARY):
        raise InvalidImage(
            f"The collector image starts {list(words)}, not a binary by its absolute path.",
            "Use an image like docker.io/otel/opentelemetry-collector-contrib.",
        )
    return path


def is_mountable_binary(entry: Entry, binary: str) -> bool:
    """Whether `entry` is the binary at the path `binary`, and its layer may be mounted unchanged.

    The path is at top level: a layer must not name a folder that the base may have.
    """
    return (
        binary.count("/") == 1
        and entry.path == binary[1:]
        and entry.kind == "file"
        and entry.mode & 0o7005 == 0o005  # executable by all users; no setuid, setgid or sticky bit
    )


def make_prepared_collector(
    upstream: Reference, binary: str, layers: Iterable[CollectorLayer]
) -> PreparedCollector:
    """The artifact of a collector. `upstream` must include the digest.

    Layers get the media types of OCI, the artifact's family. Raises InvalidImage.
    """
    if upstream.digest is None:
        raise InvalidImage(f"{upstream} must be pinned to a digest before it is prepared.")
    descriptors = []
    for layer in layers:
        extra = {"annotations": {_DIFF_ID: str(layer.diff_id), _ROLE: layer.role}}
        descriptors.append(replace(layer.descriptor.retype(Family.OCI), extra=extra))
    document = artifact_document(
        ARTIFACT_TYPE,
        descriptors,
        annotations={
            _UPSTREAM: str(upstream),
            _DIGEST: str(upstream.digest),
            _VERSION: _version(upstream),
            _BINARY: binary,
        },
    )
    return parse_prepared_collector(Manifest.of(Family.OCI, document))


def parse_prepared_collector(manifest: Manifest) -> PreparedCollector:
    """Read the artifact. Raises InvalidImage if it isn't a usable prepared collector."""
    annotations = manifest.annotations
    missing = [key for key in (_UPSTREAM, _DIGEST, _VERSION, _BINARY) if key not in annotations]
    if manifest.document.get("artifactType") != ARTIFACT_TYPE or missing:
        raise InvalidImage(
            f"The manifest in {REPOSITORY} is not a prepared collector.",
            f"Delete that tag of {REPOSITORY}: the next deploy prepares the collector again.",
        )
    binary = annotations[_BINARY]
    layers = tuple(_collector_layer(descriptor) for descriptor in manifest.layers)
    if not binary.startswith("/") or [layer.role for layer in layers].count("binary") != 1:
        raise InvalidImage(f"The prepared collector in {REPOSITORY} names no usable binary.")
    return PreparedCollector(
        manifest,
        Reference.parse(annotations[_UPSTREAM]),
        Digest.parse(annotations[_DIGEST]),
        annotations[_VERSION],
        binary,
        layers,
    )


def _collector_layer(descriptor: Descriptor) -> CollectorLayer:
    annotations = descriptor.annotations
    role = annotations.get(_ROLE, "")
    if role not in ("binary", "certificates") or descriptor.compression is None:
        raise InvalidImage(f"The prepared collector's layer {descriptor.digest} has no known role.")
    return CollectorLayer(descriptor, Digest.parse(annotations.get(_DIFF_ID, "")), role)
