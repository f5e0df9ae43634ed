"""The release records of all sites in one registry: read, and folded where a site has too many."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from azext_otelembed.errors import NotFound
from azext_otelembed.image.reference import Digest
from azext_otelembed.parallel import map_concurrently
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_folding import Folding, StoredRecord, fold
from azext_otelembed.records.record_store import read_records
from azext_otelembed.registry import acr_lists
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.referrers import unlist_referrers


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

    Requests: one for 1,000 sites, and one a site (more where its list has several pages).
    """
    try:
        anchors = acr_lists.tags(client, record.REPOSITORY)
    except NotFound:
        return []

    def of_site(anchor: Digest) -> SiteRecords:
        stored = read_records(client, anchor)
        releases = record.latest_states(one.release for one in stored)
        return SiteRecords(anchor, tuple(stored), tuple(releases))

    sites = [digest for tag, digest in anchors.items() if tag.startswith("site-")]
    return map_concurrently(sites, of_site)


def delete_records(
    client: RegistryClient, foldings: Sequence[SiteFolding], say: Callable[[str], None]
) -> int:
    """Deletes folded records; returns their number.

    It may end anywhere, also between any two requests: the records that are left tell the latest
    state of each of their releases (`Folding`), and the next run deletes the rest. Records that are
    written meanwhile aren't among those that were read, so they stay.
    """
    done = 0
    for one in foldings:
        # First the list, where clients maintain it: it must not name what is gone.
        unlist_referrers(client, record.REPOSITORY, one.anchor, set(one.folding.digests))
        for digests in (one.folding.superseded, one.folding.last):
            map_concurrently(
                digests, lambda digest: client.delete_manifest(record.REPOSITORY, digest)
            )
            done += len(digests)
            say(f"{done} release records")
    return done
