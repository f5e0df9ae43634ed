"""The checks of a registry before it accepts a manifest."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from localazure.acr.store import DIGEST, Store

DOCKER = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI = "application/vnd.oci.image.manifest.v1+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_IMAGES = (DOCKER, OCI)
_INDEXES = (DOCKER_LIST, OCI_INDEX)
_FOREIGN = (".nondistributable.", ".foreign.")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a manifest was refused: an error code of the distribution spec."""

    code: str
    message: str
    detail: Any = None


def parse(data: bytes, content_type: str | None) -> tuple[dict[str, Any], str] | Refusal:
    """The document and its media type. The body's `mediaType` has to equal the header."""
    try:
        document = json.loads(data)
    except ValueError as error:
        return Refusal("MANIFEST_INVALID", "manifest invalid", str(error))
    if not isinstance(document, dict) or document.get("schemaVersion") != 2:
        return Refusal("MANIFEST_INVALID", "manifest invalid", "schemaVersion is not 2")
    said = (content_type or "").partition(";")[0].strip().lower()
    written = str(document.get("mediaType") or "")
    if written and said and said != written:
        text = f"if present, mediaType in manifest should be '{said}' not '{written}'"
        return Refusal("MANIFEST_INVALID", "manifest invalid", text)
    media_type = said or written
    if media_type not in _IMAGES + _INDEXES:
        return Refusal("MANIFEST_INVALID", "manifest invalid", f"media type {media_type!r}")
    return document, media_type


def check(
    store: Store, login: str, repo: str, document: dict[str, Any], media_type: str
) -> Refusal | None:
    """Check that all blobs and manifests in a manifest exist in its repository."""
    children = document.get("manifests")
    if media_type in _INDEXES:
        if not isinstance(children, list):
            return Refusal("MANIFEST_INVALID", "manifest invalid", "manifests is not a list")
        for child in children:
            digest = _digest(child)
            if digest is None:
                return Refusal("MANIFEST_INVALID", "manifest invalid", "malformed descriptor")
            if store.get_manifest(login, repo, digest) is None:
                return Refusal("MANIFEST_UNKNOWN", "manifest unknown", f"unknown manifest {digest}")
        return None
    layers = document.get("layers")
    if not isinstance(layers, list):
        return Refusal("MANIFEST_INVALID", "manifest invalid", "layers is not a list")
    for blob in [document.get("config"), *layers]:
        digest = _digest(blob)
        if digest is None:
            return Refusal("MANIFEST_INVALID", "manifest invalid", "malformed descriptor")
        if any(part in str(blob.get("mediaType")) for part in _FOREIGN):
            continue
        if not store.has_blob(login, repo, digest):
            return Refusal("MANIFEST_BLOB_UNKNOWN", "blob unknown to registry", digest)
        if store.open_blob(digest).stat().st_size != blob.get("size"):
            return Refusal("MANIFEST_INVALID", "manifest invalid", f"size of {digest} is wrong")
    return None


def children(document: dict[str, Any]) -> list[str]:
    """The digests of an index's manifests."""
    return [child["digest"] for child in document.get("manifests", [])]


def blobs(document: dict[str, Any]) -> list[str]:
    """The digests of an image's config and layers, without foreign ones."""
    found = [document.get("config"), *document.get("layers", [])]
    return [
        blob["digest"]
        for blob in found
        if blob and not any(part in str(blob.get("mediaType")) for part in _FOREIGN)
    ]


def _digest(descriptor: Any) -> str | None:
    digest = descriptor.get("digest") if isinstance(descriptor, dict) else None
    return digest if isinstance(digest, str) and DIGEST.fullmatch(digest) else None
