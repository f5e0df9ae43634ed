"""Artifacts that refer to a manifest (OCI distribution spec 1.1, "Listing Referrers").

A registry without the referrers API gets the spec's fall-back: an index under the tag
`sha256-<hex>`, which the client keeps up to date itself.
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
from azext_otelembed.registry.client import RegistryClient, next_page
from azext_otelembed.registry.policies import Terms
from azext_otelembed.registry.scope import pull

Descriptor = Mapping[str, Any]
_MOST_PAGES = 100
_MOST_ROUNDS = 5


def list_referrers(
    client: RegistryClient, repository: str, subject: Digest, artifact_type: str
) -> list[Descriptor]:
    """Descriptors, annotations included, of the artifacts of a type that refer to `subject`.

    One request where the registry has the API and few referrers; two where it hasn't.
    """
    what = f"referrers of '{repository}@{subject}'"
    terms = Terms(what, (pull(repository),), limit=endpoints.MANIFEST_LIMIT)
    query = urlencode({"artifactType": artifact_type})
    url: str | None = f"/v2/{repository}/referrers/{quote(str(subject), safe=':')}?{query}"
    found: list[Descriptor] = []
    for _ in range(_MOST_PAGES):
        if url is None:
            break
        answer = client.call("GET", url, terms)
        if answer.status == 404:
            return _of_type(_fallback(client, repository, subject), artifact_type)
        if answer.status != 200:
            raise client.error(answer, terms)
        found += _manifests(client, what, answer.body)
        url = next_page(answer.headers.get("Link"))
    # A registry may ignore the filter: then it says so by leaving OCI-Filters-Applied out.
    return _of_type(found, artifact_type)


def put_referrer(
    client: RegistryClient, repository: str, subject: Digest, manifest: bytes, media_type: str
) -> bool:
    """Stores a manifest whose `subject` is the one given, so that it is listed from then on.

    Returns whether the registry keeps the list. Where it doesn't, the list is read, extended and
    written again, so that two who do that at once can still lose one of their entries.
    """
    digest = Digest.of(manifest)
    terms = endpoints.manifest_terms(repository, digest, write=True)
    url = endpoints.manifest(repository, digest)
    headers = {"Content-Type": media_type}
    answer = client.call("PUT", url, terms, headers=headers, content=manifest)
    if answer.status not in (200, 201, 202):
        raise client.error(answer, terms)
    if answer.headers.get("OCI-Subject"):
        return True
    for _ in range(_MOST_ROUNDS):
        if not _extend_fallback(client, repository, subject, manifest, media_type):
            break
    return False


def _extend_fallback(
    client: RegistryClient, repository: str, subject: Digest, manifest: bytes, media_type: str
) -> bool:
    """Puts the entry into the list; False when it was there already."""
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
    index = {
        "schemaVersion": 2,
        "mediaType": Family.OCI.index_type,
        "manifests": [*entries, entry],
    }
    data = json.dumps(index, separators=(",", ":")).encode()
    client.put_manifest(repository, _tag(subject), data, Family.OCI.index_type)
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
        raise RegistryFailed(f"Registry '{client.host}' lists {what} in no known form.")
    return found


def _of_type(found: list[Descriptor], artifact_type: str) -> list[Descriptor]:
    return [entry for entry in found if entry.get("artifactType") == artifact_type]
