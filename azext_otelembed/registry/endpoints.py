"""Paths of the distribution protocol, and the options of the requests to them."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

from azext_otelembed.image.reference import Digest
from azext_otelembed.registry.policies import RequestOptions
from azext_otelembed.registry.scope import pull, push

MANIFEST_LIMIT = 4 << 20
"""Bytes. The spec lets registries refuse larger manifests."""


def manifest(repository: str, ref: str | Digest) -> str:
    """The path of a manifest, by tag or digest."""
    return f"/v2/{repository}/manifests/{quote(str(ref), safe=':')}"


def manifest_options(repository: str, ref: str | Digest, *, write: bool = False) -> RequestOptions:
    """The options for reading or writing a manifest."""
    what = f"manifest '{repository}{'@' if isinstance(ref, Digest) else ':'}{ref}'"
    scope = push(repository) if write else pull(repository)
    return RequestOptions(what, (scope,), body_limit=MANIFEST_LIMIT)


def blob(repository: str, digest: Digest) -> str:
    """The path of a blob."""
    return f"/v2/{repository}/blobs/{digest}"


def blob_options(
    repository: str, digest: Digest, *, body_limit: int = 1 << 16, stream: bool = False
) -> RequestOptions:
    """The options for reading a blob."""
    what = f"blob {digest} of '{repository}'"
    return RequestOptions(what, (pull(repository),), body_limit=body_limit, stream=stream)


def uploads(repository: str, query: Mapping[str, str] | None = None) -> str:
    """The path that opens an upload."""
    path = f"/v2/{repository}/blobs/uploads/"
    return f"{path}?{urlencode(query)}" if query else path


def upload_options(
    repository: str, digest: Digest, *, idempotent: bool = True, source: str = ""
) -> RequestOptions:
    """The options for an upload's requests; `source` is the repository to mount the blob from."""
    scopes = (push(repository), pull(source)) if source else (push(repository),)
    return RequestOptions(f"blob {digest} for '{repository}'", scopes, idempotent=idempotent)
