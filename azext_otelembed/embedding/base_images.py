"""Reads base images from a registry."""

from __future__ import annotations

from azext_otelembed.errors import NotFound, Refused, about
from azext_otelembed.image.embed import Base
from azext_otelembed.image.image_config import parse_config
from azext_otelembed.image.manifest import Index, Manifest, parse_manifest, platform_choices
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.registry.client import RegistryClient

# Nested indexes are rare, deeper nesting is unknown in practice; a registry may serve any.
_MAX_DEPTH = 3
_MAX_CHOICES = 4


def load_base(client: RegistryClient, reference: Reference) -> Base:
    """Read an image's manifest and configuration: three requests on ACR, one more for an index.

    Raises `NotFound`, `Unauthorized`, `RegistryFailed`, and `Refused` for an image without a
    linux/amd64 variant.
    """
    manifest = read_manifest(client, reference)
    data = client.get_blob(reference.repository, manifest.config.digest)
    with about(str(reference)):
        return Base(reference, manifest.digest, manifest, parse_config(data))


def read_manifest(client: RegistryClient, reference: Reference) -> Manifest:
    """The manifest of the image's linux/amd64 variant."""
    try:
        found = _read(client, reference, reference.digest or reference.selector)
    except NotFound:
        raise _not_found(reference) from None
    if isinstance(found, Index):
        return _manifest_from_index(client, reference, found, _MAX_DEPTH)
    return found


def _manifest_from_index(
    client: RegistryClient, reference: Reference, index: Index, levels: int
) -> Manifest:
    """The linux/amd64 manifest of an index, through at most `levels` nested indexes."""
    if not levels:
        raise Refused(
            f"{reference} is an index with more than {_MAX_DEPTH} levels of nested indexes.",
            "Name the linux/amd64 image by its digest: `--image repository@sha256:…`.",
        )
    with about(str(reference)):
        choices = platform_choices(index)
    problem: Refused | None = None
    for choice in choices[:_MAX_CHOICES]:
        found = _read(client, reference, choice.digest)
        if isinstance(found, Manifest):
            return found
        try:
            return _manifest_from_index(client, reference, found, levels - 1)
        except Refused as other_platforms:
            problem = problem or other_platforms
    assert problem is not None  # noqa: S101  # platform_choices returns at least one entry
    raise problem


def resolve(client: RegistryClient, reference: Reference) -> Digest:
    """The digest of the image's linux/amd64 manifest: one request, two for an index."""
    stored = client.head_manifest(reference.repository, reference.digest or reference.selector)
    if stored is None:
        raise _not_found(reference)
    if "index" in stored.media_type or "manifest.list" in stored.media_type:
        return read_manifest(client, reference.with_digest(stored.digest)).digest
    return stored.digest


def _not_found(reference: Reference) -> NotFound:
    return NotFound(f"Image {reference} was not found.", "Check the repository and the tag.")


def _read(client: RegistryClient, reference: Reference, ref: str | Digest) -> Manifest | Index:
    stored = client.get_manifest(reference.repository, ref)
    with about(str(reference)):
        return parse_manifest(stored.data, stored.media_type)
