"""Artifacts that refer to a manifest (OCI distribution spec 1.1, "Listing Referrers").

A registry without the referrers API uses the spec's fall-back: an index under the tag
`sha256-<hex>`, which the clients maintain.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from azext_otelembed.errors import NotFound, RegistryFailed
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.reference import Digest
from azext_otelembed.registry import endpoints, error_responses, response_json
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.json_stream import array_elements
from azext_otelembed.registry.policies import RequestOptions
from azext_otelembed.registry.response import RegistryResponse
from azext_otelembed.registry.scope import pull

Descriptor = Mapping[str, Any]
Item = TypeVar("Item")

LIST_LIMIT = 256 << 20
"""Bytes of all pages of a list: some 200,000 descriptors with annotations."""
_INDEX_LIMIT = 64 << 20
"""Bytes of a fall-back index that is read: one that has grown too long can still be folded."""
_ATTEMPTS = 5
"""Writes of the fall-back index, which concurrent writers replace."""


def list_referrers(
    client: RegistryClient, repository: str, subject: Digest, artifact_type: str
) -> list[Descriptor]:
    """Descriptors, annotations included, of the artifacts of a type that refer to `subject`."""
    return read_referrers(client, repository, subject, artifact_type, lambda entry: entry)


def read_referrers(
    client: RegistryClient,
    repository: str,
    subject: Digest,
    artifact_type: str,
    convert: Callable[[Descriptor], Item],
) -> list[Item]:
    """What `convert` makes of each descriptor of `list_referrers`; each digest comes once.

    One request a page; two requests where the registry hasn't the API. A page is read as a stream:
    only the results are kept in memory. Raises `RegistryFailed` for a list that isn't complete.
    """
    what = f"referrers of '{repository}@{subject}'"
    options = RequestOptions(
        what, (pull(repository),), body_limit=endpoints.MANIFEST_LIMIT, stream=True
    )
    query = urlencode({"artifactType": artifact_type})
    url = f"/v2/{repository}/referrers/{quote(str(subject), safe=':')}?{query}"
    limits = _ListLimits(client.host, what)
    seconds = client.retry.max_total

    def read(response: RegistryResponse) -> list[tuple[str, Item | None]] | None:
        if response.status == 404:
            return None
        with closing(response.chunks()) as chunks:
            return _page(client, what, limits.checked(chunks, seconds), artifact_type, convert)

    found: dict[str, Item | None] = {}
    for page in client.pages(url, options, read, 200, 404):
        if page is None:
            entries = _fallback(client, repository, subject)
            return [convert(one) for one in entries if one.get("artifactType") == artifact_type]
        before = len(found)
        found.update(page)
        if page and len(found) == before:
            raise error_responses.repeated_page(client.host, what)
    return [item for item in found.values() if item is not None]


def _page(
    client: RegistryClient,
    what: str,
    chunks: Iterable[bytes],
    artifact_type: str,
    convert: Callable[[Descriptor], Item],
) -> list[tuple[str, Item | None]]:
    """Digest and result for each descriptor of a page; None for other types of artifacts.

    A registry may ignore the filter: then the response lacks OCI-Filters-Applied.
    """
    page: list[tuple[str, Item | None]] = []
    try:
        for entry in array_elements(chunks, "manifests"):
            if not isinstance(entry, dict) or not isinstance(entry.get("digest"), str):
                raise error_responses.unknown_format(client.host, what)
            wanted = entry.get("artifactType") == artifact_type
            page.append((entry["digest"], convert(entry) if wanted else None))
    except ValueError:
        raise error_responses.unknown_format(client.host, what) from None
    return page


class _ListLimits:
    """The limits of a list: the bytes of all its pages, and the time that one page takes."""

    def __init__(self, host: str, what: str) -> None:
        self._host = host
        self._what = what
        self._read = 0

    def checked(self, chunks: Iterable[bytes], seconds: float) -> Iterator[bytes]:
        """The same chunks. Raises `RegistryFailed` above a limit."""
        deadline = time.monotonic() + seconds
        for chunk in chunks:
            if time.monotonic() > deadline:
                raise RegistryFailed(
                    f"Registry '{self._host}' took longer than {seconds:.0f} seconds to send "
                    f"{self._what}.",
                    "Check the network, then run the same command again.",
                )
            self._read += len(chunk)
            if self._read > LIST_LIMIT:
                raise RegistryFailed(
                    f"Registry '{self._host}' sends more than {LIST_LIMIT} bytes for {self._what}."
                )
            yield chunk


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
    document = json.loads(manifest)
    entry = {
        "mediaType": media_type,
        "size": len(manifest),
        "digest": str(Digest.of(manifest)),
        "artifactType": document.get("artifactType"),
        "annotations": document.get("annotations") or {},
    }
    for _ in range(_ATTEMPTS):
        entries = _fallback(client, repository, subject)
        if any(known.get("digest") == entry["digest"] for known in entries):
            break
        _put_fallback(client, repository, subject, [*entries, entry])
    return False


def unlist_referrers(
    client: RegistryClient, repository: str, subject: Digest, digests: Collection[str]
) -> set[str] | None:
    """Takes entries out of the fall-back index; the manifests stay. Returns the digests in the
    index then, None if the registry has no index with any of these entries.

    An entry that another process adds meanwhile may be lost.
    """
    changed = False
    kept: list[Descriptor] = []
    for _ in range(_ATTEMPTS):
        entries = _fallback(client, repository, subject)
        kept = [one for one in entries if one.get("digest") not in digests]
        if len(kept) == len(entries):
            break
        _put_fallback(client, repository, subject, kept)
        changed = True
    return {str(one.get("digest")) for one in kept} if changed else None


def _put_fallback(
    client: RegistryClient, repository: str, subject: Digest, entries: list[Descriptor]
) -> None:
    kind = Family.OCI.index_type
    index = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
    data = json.dumps(index, separators=(",", ":")).encode()
    if len(data) > endpoints.MANIFEST_LIMIT:
        raise RegistryFailed(
            f"The list of what refers to '{repository}@{subject}' in registry '{client.host}' is "
            f"full: with {len(entries)} entries it is longer than a manifest may be "
            f"({endpoints.MANIFEST_LIMIT} bytes).",
            f"Delete old release records: `{client.prune_command}`.",
        )
    client.put_manifest(repository, _tag(subject), data, kind)


def _fallback(client: RegistryClient, repository: str, subject: Digest) -> list[Descriptor]:
    try:
        stored = client.get_manifest(repository, _tag(subject), _INDEX_LIMIT)
    except NotFound:
        return []
    found = response_json.manifests(stored.data)
    if found is None:
        what = f"'{repository}:{_tag(subject)}'"
        raise error_responses.unknown_format(client.host, what)
    return found


def _tag(subject: Digest) -> str:
    return f"{subject.algorithm[:32]}-{subject.hex[:64]}"
