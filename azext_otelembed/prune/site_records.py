"""The release records of all sites in one registry: read, and folded where a site has too many."""

from __future__ import annotations

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass
from datetime import timedelta

from azext_otelembed.errors import NotFound, RegistryFailed
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.reference import Digest
from azext_otelembed.parallel import map_concurrently
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_folding import Folding, StoredRecord, fold
from azext_otelembed.records.record_store import read_records
from azext_otelembed.registry import acr_lists, response_json
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.referrers import put_referrer, unlist_referrers

IN_FLIGHT = timedelta(minutes=15)
"""A record that was written longer ago than this has been listed, if it ever will be."""


@dataclass(frozen=True, slots=True)
class SiteRecords:
    """The records of one site, and its releases, newest first. `anchor` is what they refer to."""

    anchor: Digest
    stored: tuple[StoredRecord, ...]
    releases: tuple[Release, ...]

    def fold(self, keep: int, is_needed: Callable[[Release], bool]) -> SiteFolding | None:
        """The records that may be deleted; None where there are none."""
        found = fold(self.stored, keep, is_needed)
        return None if found is None else SiteFolding(self.anchor, found)


@dataclass(frozen=True, slots=True)
class SiteFolding:
    """The records of one site that may be deleted."""

    anchor: Digest
    folding: Folding


def read_all(client: RegistryClient) -> list[SiteRecords]:
    """The records of every site that has some in a registry.

    Requests: one for 1,000 sites, and one a site (more where its list has several pages). Raises
    `RegistryFailed` if the registry has records, and lists no site.
    """

    def of_site(anchor: Digest) -> SiteRecords:
        # The anchor is stored before the first record: an empty list may be a wrong answer.
        stored = read_records(client, anchor) or read_records(client, anchor)
        releases = record.latest_states(one.release for one in stored)
        return SiteRecords(anchor, tuple(stored), tuple(releases))

    sites = [digest for tag, digest in _tags(client).items() if tag.startswith("site-")]
    if not sites and _has_manifests(client):
        raise RegistryFailed(
            f"Registry '{client.host}' holds release records in '{record.REPOSITORY}', but lists "
            "no site that they are of. Nothing was deleted: a rollback may need the images.",
            "Run the same command again.",
        )
    return map_concurrently(sites, of_site)


def _tags(client: RegistryClient) -> dict[str, Digest]:
    try:
        return acr_lists.tags(client, record.REPOSITORY)
    except NotFound:
        return {}


def _has_manifests(client: RegistryClient) -> bool:
    try:
        return bool(acr_lists.manifests(client, record.REPOSITORY))
    except NotFound:
        return False


def delete_records(
    client: RegistryClient, foldings: Sequence[SiteFolding], say: Callable[[str], None]
) -> None:
    """Deletes folded records.

    It may end anywhere, also between any two requests: the records that are left tell the latest
    state of each of their releases (`Folding`), and the next run deletes the rest. Records that are
    written meanwhile aren't among those that were read, so they stay.
    """

    def delete(stored: StoredRecord) -> None:
        client.delete_manifest(record.REPOSITORY, Digest.parse(stored.digest))

    done = 0
    for one in foldings:
        folding = one.folding.confirmed(read_records(client, one.anchor))
        listed = unlist_referrers(client, record.REPOSITORY, one.anchor, folding.digests)
        if listed is not None:
            # The manifests stay: a process that read the index before may write it once more, and a
            # registry refuses an index of manifests that it doesn't hold.
            _list_lost_records(client, one.anchor, listed | folding.digests)
            continue
        for records in (folding.superseded, folding.last):
            map_concurrently(records, delete)
            done += len(records)
            say(f"{done} release records")


def _list_lost_records(client: RegistryClient, anchor: Digest, known: Set[str]) -> None:
    """Lists the new records of a site that the write of its fall-back index has dropped.

    Another process may have added them between the read and the write of the index.
    """
    kind = Family.OCI.manifest_type
    listed = acr_lists.manifests(client, record.REPOSITORY)
    held = [one for one in listed if one.media_type in (kind, "")]
    newest = max((one.updated for one in held), default=None)
    for one in held:
        if newest is None or newest - one.updated > IN_FLIGHT or str(one.digest) in known:
            continue
        stored = client.get_manifest(record.REPOSITORY, one.digest)
        document = response_json.parse_object(stored.data) or {}
        subject = document.get("subject")
        if isinstance(subject, dict) and subject.get("digest") == str(anchor):
            put_referrer(client, record.REPOSITORY, anchor, stored.data, stored.media_type)
