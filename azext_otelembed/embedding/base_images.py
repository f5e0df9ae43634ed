"""A base image out of the registry, an embedded one into it."""

from __future__ import annotations

from azext_otelembed.errors import NotFound, Refused, about
from azext_otelembed.image.embed import Base, original
from azext_otelembed.image.image_config import parse_config
from azext_otelembed.image.manifest import Index, Manifest, parse_manifest, platform_choices
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.registry.client import RegistryClient

# An index within an index is rare, and deeper ones unheard of; a registry may hold anything.
_DEEPEST = 3
_MOST_CHOICES = 4


def load_base(client: RegistryClient, reference: Reference) -> Base:
    """Read an image's manifest and configuration: three requests on ACR, one more from an index.

    Raises `NotFound`, `Unauthorized`, `RegistryFailed`, and `Refused` for what is no linux/amd64
    image.
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
        raise _missing(reference) from None
    return _inside(client, reference, found, _DEEPEST) if isinstance(found, Index) else found


def _inside(client: RegistryClient, reference: Reference, index: Index, levels: int) -> Manifest:
    """The manifest that an index leads to, through further indexes if need be."""
    if not levels:
        raise Refused(
            f"{reference} is an index of indexes, more than {_DEEPEST} deep.",
            "Name the image for linux/amd64 by its digest: `--image repository@sha256:…`.",
        )
    with about(str(reference)):
        choices = platform_choices(index)
    problem: Refused | None = None
    for choice in choices[:_MOST_CHOICES]:
        found = _read(client, reference, choice.digest)
        if isinstance(found, Manifest):
            return found
        try:
            return _inside(client, reference, found, levels - 1)
        except Refused as other_platforms:
            problem = problem or other_platforms
    assert problem is not None  # noqa: S101  # there is one choice at least
    raise problem


def source_of(base: Base) -> Base:
    """`base` itself, or the image below when a collector is embedded in it already.

    Raises InvalidImage, naming `base`, for an embedded image that can't be taken apart.
    """
    with about(str(base.reference)):
        return original(base)


def resolve(client: RegistryClient, reference: Reference) -> Digest:
    """The digest of the image's linux/amd64 manifest: one request, two where there is an index."""
    stored = client.head_manifest(reference.repository, reference.digest or reference.selector)
    if stored is None:
        raise _missing(reference)
    if "index" in stored.media_type or "manifest.list" in stored.media_type:
        return read_manifest(client, reference.with_digest(stored.digest)).digest
    return stored.digest


def _missing(reference: Reference) -> NotFound:
    return NotFound(f"Image {reference} was not found.", "Check the repository and the tag.")


def _read(client: RegistryClient, reference: Reference, ref: str | Digest) -> Manifest | Index:
    stored = client.get_manifest(reference.repository, ref)
    with about(str(reference)):
        return parse_manifest(stored.data, stored.media_type)
