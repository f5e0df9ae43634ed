"""Paths of the distribution protocol, and the options of the requests to them."""

from __future__ import annotations

from urllib.parse import quote

from azext_otelembed.image.reference import Digest
from azext_otelembed.registry.policies import RequestOptions
from azext_otelembed.registry.scope import delete_right, pull, push

MANIFEST_LIMIT = 4 << 20
"""Bytes. The spec lets registries refuse larger manifests."""


def manifest(
    repository: str,
    ref: str | Digest,
    *,
    write: bool = False,
    delete: bool = False,
    body_limit: int = MANIFEST_LIMIT,
) -> tuple[str, RequestOptions]:
    """The path of a manifest, and the options for reading, writing or deleting it."""
    what = f"manifest '{repository}{'@' if isinstance(ref, Digest) else ':'}{ref}'"
    scope = push(repository) if write else pull(repository)
    if delete:
        scope = delete_right(repository)
    path = f"/v2/{repository}/manifests/{quote(str(ref), safe=':')}"
    return path, RequestOptions(what, (scope,), body_limit=body_limit)


def blob(
    repository: str, digest: Digest, *, body_limit: int = 1 << 16, stream: bool = False
) -> tuple[str, RequestOptions]:
    """The path of a blob, and the options for reading it."""
    what = f"blob {digest} of '{repository}'"
    options = RequestOptions(what, (pull(repository),), body_limit=body_limit, stream=stream)
    return f"/v2/{repository}/blobs/{digest}", options


def upload(
    repository: str, digest: Digest, *, idempotent: bool = True, source: str = ""
) -> RequestOptions:
    """The options for an upload's requests; `source` is the repository to mount the blob from."""
    scopes = (push(repository), pull(source)) if source else (push(repository),)
    return RequestOptions(f"blob {digest} for '{repository}'", scopes, idempotent=idempotent)
