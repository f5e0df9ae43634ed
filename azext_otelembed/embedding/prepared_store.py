"""The prepared collectors and shells that a registry holds, in `otelembed/collector`.

Each is a small artifact under two tags: one from the digest of its upstream image, one from the
name that the caller gave. So one request to this registry finds it, and upstream isn't asked.
A tag with a full version (`0.150.0`) is treated as immutable. Other tags, such as `latest`, are
looked up upstream each time; if upstream can't be reached, the copy in this registry is used.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from azext_otelembed.embedding.base_images import read_manifest
from azext_otelembed.errors import (
    InvalidImage,
    NotFound,
    OtelembedError,
    RegistryFailed,
    Unauthorized,
)
from azext_otelembed.image.manifest import Manifest, parse_manifest
from azext_otelembed.image.prepared_collector import REPOSITORY
from azext_otelembed.image.reference import Reference
from azext_otelembed.progress import Progress, Report
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.scope import pull, push

UPSTREAM_REPOSITORY = "otelembed/upstream"
"""The repository into which ACR imports upstream images server side."""

Importer = Callable[[Reference, str], None]
"""`(image, "repository:tag")`: copies the image into the target registry, server side."""

UNREACHABLE = (RegistryFailed, Unauthorized)
"""The errors of a registry that this machine can't read."""

Prepared = TypeVar("Prepared")

_FULL_VERSION = re.compile(r"\d+\.\d+")


def is_immutable(reference: Reference) -> bool:
    """Whether the reference is expected to name the same image for ever."""
    return reference.digest is not None or bool(_FULL_VERSION.search(reference.tag or ""))


def find(
    client: RegistryClient, tag: str, parse: Callable[[Manifest], Prepared]
) -> Prepared | None:
    """The prepared artifact under `tag`; None if it is missing or damaged. One request."""
    try:
        stored = client.get_manifest(REPOSITORY, tag)
        manifest = parse_manifest(stored.data, stored.media_type)
        return parse(manifest) if isinstance(manifest, Manifest) else None
    except (NotFound, InvalidImage):
        return None  # A damaged document is replaced by the next preparation.


def expect_access(client: RegistryClient) -> None:
    """Ask for one token that covers all requests of a preparation."""
    client.declare_scopes(push(REPOSITORY), pull(UPSTREAM_REPOSITORY))


def put(client: RegistryClient, manifest: Manifest, tag: str) -> None:
    """Store the manifest of a prepared artifact under `tag`."""
    client.put_manifest(REPOSITORY, tag, manifest.data, manifest.media_type)


def import_image(
    client: RegistryClient, image: Reference, tag: str, importer: Importer, report: Report
) -> Manifest:
    """Import `image` as `otelembed/upstream:<tag>` server side; its linux/amd64 manifest there."""
    report(Progress(f"importing {image} into {client.host}"))
    importer(image, f"{UPSTREAM_REPOSITORY}:{tag}")
    return read_manifest(client, Reference(client.host, UPSTREAM_REPOSITORY, tag))


def import_failed(
    kind: type[OtelembedError], host: str, copy: OtelembedError, imported: OtelembedError
) -> OtelembedError:
    """The error for an image that could be neither copied nor imported."""
    return kind(
        f"{copy.message} Registry '{host}' couldn't import it either: {imported.message}",
        copy.recommendation or imported.recommendation,
    )
