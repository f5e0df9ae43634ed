"""The prepared collector: one small document that tells where a collector's layers are.

It is made once when a collector image is brought into a registry, and is kept there under
`otelembed/collector:<version>-<12 hex of the upstream digest>`, so that an embed has one document
to read instead of an image to search.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.layer import BINARY
from azext_otelembed.image.manifest import Manifest
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.image.tar_reader import Entry

REPOSITORY = "otelembed/collector"
ARTIFACT_TYPE = "application/vnd.otelembed.collector.v1+json"
# Where images keep their CA certificates, without the leading slash as tar has it: the places
# that Go looks at (crypto/x509, root_linux.go), upstream's own and Debian's and Alpine's first.
CA_BUNDLE = "etc/ssl/certs/ca-certificates.crt"
CA_BUNDLES = (
    CA_BUNDLE,
    "etc/pki/tls/certs/ca-bundle.crt",
    "etc/ssl/ca-bundle.pem",
    "etc/pki/tls/cacert.pem",
    "etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "etc/ssl/cert.pem",
)

# The OCI spec's empty descriptor, for artifacts whose config says nothing.
EMPTY = b"{}"
_EMPTY = Descriptor("application/vnd.oci.empty.v1+json", len(EMPTY), Digest.of(EMPTY))

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
    """A collector that is ready to be mounted. `digest` is the upstream manifest's.

    `upstream` is the name it was fetched under, `version` its tag there, `binary_path` the absolute
    path of the binary within its layer.
    """

    manifest: Manifest
    upstream: Reference
    digest: Digest
    version: str
    binary_path: str
    layers: tuple[CollectorLayer, ...]

    @property
    def tag(self) -> str:
        """The tag of this document in `otelembed/collector`."""
        return prepared_tag(self.version, self.digest)


def prepared_tag(version: str, upstream: Digest) -> str:
    """The tag under which a prepared collector is looked for and kept."""
    stem = re.sub(r"[^A-Za-z0-9_.-]", "-", version).lstrip(".-")[:100] or "latest"
    return f"{stem}-{upstream.short}"


def binary_path(config: ImageConfig) -> str:
    """Where a collector image has its binary: the first word of its Entrypoint (else Cmd).

    Raises InvalidImage unless that is an absolute path of a plain executable.
    """
    words = config.entrypoint or config.cmd
    path = words[0] if words else ""
    if not path.startswith("/") or path.rstrip("/") in ("", "/bin/sh", BINARY):
        raise InvalidImage(
            f"The collector image doesn't start its binary by an absolute path (it starts "
            f"{list(words)}).",
            "Use an image like docker.io/otel/opentelemetry-collector-contrib.",
        )
    return path


def holds_only(entries: Iterable[Entry], binary: str) -> bool:
    """Whether a layer can be mounted as it is: it holds the binary, at top level, and no more."""
    found = list(entries)
    return (
        binary.count("/") == 1
        and len(found) == 1
        and found[0].path == binary[1:]
        and found[0].kind == "file"
        and found[0].mode & 0o7005 == 0o005  # for everyone, and with nobody else's rights
    )


def make_prepared(
    upstream: Reference, version: str, binary: str, layers: Iterable[CollectorLayer]
) -> PreparedCollector:
    """The document for a collector whose layers are known. `upstream` must carry its digest.

    Layers are retyped to OCI, the family the document has. Raises InvalidImage.
    """
    if upstream.digest is None:
        raise InvalidImage(f"{upstream} has to be pinned to a digest before it is prepared.")
    kept = tuple(_annotated(layer) for layer in layers)
    document = {
        "schemaVersion": 2,
        "mediaType": Family.OCI.manifest_type,
        "artifactType": ARTIFACT_TYPE,
        "config": _EMPTY.to_document(),
        "layers": [layer.descriptor.to_document() for layer in kept],
        "annotations": {
            _UPSTREAM: str(upstream),
            _DIGEST: str(upstream.digest),
            _VERSION: version,
            _BINARY: binary,
        },
    }
    return parse_prepared(Manifest.of(Family.OCI, document))


def parse_prepared(manifest: Manifest) -> PreparedCollector:
    """Read the document. Raises InvalidImage when it isn't one, or one that can't be used."""
    annotations = manifest.annotations
    missing = [key for key in (_UPSTREAM, _DIGEST, _VERSION, _BINARY) if key not in annotations]
    if manifest.document.get("artifactType") != ARTIFACT_TYPE or missing:
        raise InvalidImage(
            f"What {REPOSITORY} holds is not a prepared collector.",
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


def _annotated(layer: CollectorLayer) -> CollectorLayer:
    annotations = {_DIFF_ID: str(layer.diff_id), _ROLE: layer.role}
    descriptor = replace(layer.descriptor.retype(Family.OCI), extra={"annotations": annotations})
    return replace(layer, descriptor=descriptor)


def _collector_layer(descriptor: Descriptor) -> CollectorLayer:
    annotations = descriptor.annotations
    role = annotations.get(_ROLE, "")
    if role not in ("binary", "certificates") or descriptor.compression is None:
        raise InvalidImage(f"The prepared collector's layer {descriptor.digest} has no known role.")
    return CollectorLayer(descriptor, Digest.parse(annotations.get(_DIFF_ID, "")), role)
