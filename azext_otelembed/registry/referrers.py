"""Artifacts that refer to a manifest (OCI distribution spec 1.1, "Listing Referrers").

A registry without the referrers API uses the spec's fall-back: an index under the tag
`sha256-<hex>`, which the clients maintain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from azext_otelembed.errors import NotFound, RegistryFailed
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.reference import Digest
from azext_otelembed.registry import endpoints, response_json
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.policies import RequestOptions
from azext_otelembed.registry.scope import pull

Descriptor = Mapping[str, Any]
_ATTEMPTS = 5
"""Writes of the fall-back index, which concurrent writers replace."""


def list_referrers(
    client: RegistryClient, repository: str, subject: Digest, artifact_type: str
) -> list[Descriptor]:
    """Descriptors, annotations included, of the artifacts of a type that refer to `subject`.

    Takes one request where the registry has the API and few referrers; two where it hasn't.
    """
    what = f"referrers of '{repository}@{subject}'"
    options = RequestOptions(what, (pull(repository),), body_limit=endpoints.MANIFEST_LIMIT)
    query = urlencode({"artifactType": artifact_type})
    url = f"/v2/{repository}/referrers/{quote(str(subject), safe=':')}?{query}"
    found: list[Descriptor] = []
    for response in client.pages(url, options, 200, 404):
        if response.status == 404:
            found = _fallback(client, repository, subject)
            break
        found += _manifests(client, what, response.body)
    # A registry may ignore the filter: then the response lacks OCI-Filters-Applied.
    return [entry for entry in found if entry.get("artifactType") == artifact_type]


def put_referrer(
    client: RegistryClient, repository: str, subject: Digest, manifest: bytes, media_type: str
) -> bool:
    """Stores a manifest whose `subject` is the one given, so that it is listed from then on.

    Returns whether the registry maintains the list. Where it doesn't, the list is read, extended
    and written again: two concurrent writers can still lose an entry.
    """
    response = client.put_manifest(repository, Digest.of(manifest), manifest, media_type)
    if response.headers.get("OCI-Subject"):
        return True
    for _ in range(_ATTEMPTS):
        if not _extend_fallback(client, repository, subject, manifest, media_type):
            break
    return False


def _extend_fallback(
    client: RegistryClient, repository: str, subject: Digest, manifest: bytes, media_type: str
) -> bool:
    """Adds the entry to the fall-back index; False when it was in it already."""
    document = json.loads(manifest)
    entry = {
        "mediaType": media_type,
        "size": len(manifest),
        "digest": str(Digest.of(manifest)),
        "artifactType": document.get("artifactType"),
        "annotations": document.get("annotations") or {},
    }
    entries = _fallback(client, repository, subject)
    if any(known.get("digest") == entry["digest"] for known in entries):
        return False
    kind = Family.OCI.index_type
    index = {"schemaVersion": 2, "mediaType": kind, "manifests": [*entries, entry]}
    data = json.dumps(index, separators=(",", ":")).encode()
    client.put_manifest(repository, _tag(subject), data, kind)
    return True


def _fallback(client: RegistryClient, repository: str, subject: Digest) -> list[Descriptor]:
    try:
        stored = client.get_manifest(repository, _tag(subject))
    except NotFound:
        return []
    return _manifests(client, f"'{repository}:{_tag(subject)}'", stored.data)


def _tag(subject: Digest) -> str:
    return f"{subject.algorithm[:32]}-{subject.hex[:64]}"


def _manifests(client: RegistryClient, what: str, data: bytes) -> list[Descriptor]:
    found = response_json.manifests(data)
    if found is None:
        raise RegistryFailed(f"Registry '{client.host}' sends {what} in an unknown format.")
    return found
