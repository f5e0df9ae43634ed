"""Paths of the distribution protocol, and the terms on which each kind of request is sent."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from azext_otelembed.image.reference import Digest
from azext_otelembed.registry.policies import Repeat, Terms
from azext_otelembed.registry.scope import pull, push

MANIFEST_LIMIT = 4 << 20
"""Bytes. The spec lets registries refuse larger manifests."""


def manifest(repository: str, ref: str | Digest) -> str:
    """A manifest by tag or digest."""
    return f"/v2/{repository}/manifests/{quote(str(ref), safe=':')}"


def manifest_terms(repository: str, ref: str | Digest, *, write: bool = False) -> Terms:
    """Terms of reading or writing a manifest."""
    what = f"manifest '{repository}{'@' if isinstance(ref, Digest) else ':'}{ref}'"
    scope = push(repository) if write else pull(repository)
    return Terms(what, (scope,), limit=MANIFEST_LIMIT)


def blob(repository: str, digest: Digest) -> str:
    """A blob."""
    return f"/v2/{repository}/blobs/{digest}"


def blob_terms(
    repository: str, digest: Digest, *, limit: int = 1 << 16, stream: bool = False
) -> Terms:
    """Terms of reading a blob."""
    what = f"blob {digest} of '{repository}'"
    return Terms(what, (pull(repository),), limit=limit, stream=stream)


def uploads(repository: str, query: Mapping[str, str] | None = None) -> str:
    """Where uploads to a repository begin."""
    path = f"/v2/{repository}/blobs/uploads/"
    return f"{path}?{urlencode(query)}" if query else path


def upload_terms(repository: str, digest: Digest, repeat: Repeat, source: str = "") -> Terms:
    """Terms of an upload's requests; `source` is the repository that it is to be mounted from."""
    scopes = (push(repository), pull(source)) if source else (push(repository),)
    return Terms(f"blob {digest} for '{repository}'", scopes, repeat=repeat)
