"""OCI artifacts: manifests that describe something other than an image, by their `artifactType`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.json_document import Document
from azext_otelembed.image.reference import Digest

# The OCI image spec's empty descriptor ("Guidance for an Empty Descriptor" in manifest.md).
EMPTY = b"{}"
EMPTY_DESCRIPTOR = Descriptor("application/vnd.oci.empty.v1+json", len(EMPTY), Digest.of(EMPTY))


def artifact_document(
    artifact_type: str,
    layers: Sequence[Descriptor] = (EMPTY_DESCRIPTOR,),
    *,
    subject: Descriptor | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Document:
    """The manifest of an artifact; its config is the empty descriptor."""
    document: Document = {
        "schemaVersion": 2,
        "mediaType": Family.OCI.manifest_type,
        "artifactType": artifact_type,
        "config": EMPTY_DESCRIPTOR.to_document(),
        "layers": [layer.to_document() for layer in layers],
    }
    if subject is not None:
        document["subject"] = subject.to_document()
    if annotations is not None:
        document["annotations"] = dict(annotations)
    return document
