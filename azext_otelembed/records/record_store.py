"""The records of a site's releases, read from and written to its registry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial

from azext_otelembed.deadline import CLOSING
from azext_otelembed.errors import NotFound
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.manifest import EMPTY
from azext_otelembed.image.prepared_collector import REPOSITORY as COLLECTOR
from azext_otelembed.image.reference import Digest
from azext_otelembed.parallel import map_concurrently
from azext_otelembed.records import record
from azext_otelembed.records.record import REPOSITORY, Release, State
from azext_otelembed.records.record_folding import StoredRecord
from azext_otelembed.registry import response_json, transfer
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.referrers import Descriptor, put_referrer, read_referrers

WRITES = 3
"""How often a record is written in a registry without the referrers API. There the client itself
updates the list of records, and one of two concurrent updates may be lost."""
WRITE_INTERVAL = 1.0
"""Seconds between two of these writes, and between two reads of an empty list."""
READS = 3
"""How often an empty list of records is read where the site's anchor shows that there was one."""


@dataclass(frozen=True, slots=True)
class RecordStore:
    """The records of one site. `site` is its ARM id."""

    client: RegistryClient
    site: str

    def read(self) -> list[Release]:
        """All releases of the site, newest first: one request a page of the registry's list.

        A list that is empty is read again if the registry holds the site's anchor, which is stored
        before the first record: a single wrong answer is never taken for a site without records.
        """
        found = self._listed()
        for _ in range(READS - 1):
            if found or not self._has_anchor():
                break
            self.client.deadline.sleep(WRITE_INTERVAL, "the records were read again")
            found = self._listed()
        return found

    def create(self) -> None:
        """Stores the anchor of the site, which its records refer to."""
        transfer.upload(self.client, REPOSITORY, Digest.of(EMPTY), EMPTY, COLLECTOR)
        anchor = record.anchor(self.site)
        tag = record.anchor_tag(self.site)
        self.client.put_manifest(REPOSITORY, tag, anchor, Family.OCI.manifest_type)

    def write(self, release: Release) -> bool:
        """Writes a record; returns whether the registry has the referrers API."""
        manifest = record.to_manifest(release)
        kind = Family.OCI.manifest_type
        return put_referrer(self.client, REPOSITORY, self._anchor, manifest, kind)

    def publish(self, release: Release) -> None:
        """Writes a record that other processes have to see: repeatedly if it may get lost."""
        for attempt in range(WRITES):
            if attempt:
                self.client.deadline.sleep(WRITE_INTERVAL, "the record was written again")
            if self.write(release):
                return

    def complete(self, release: Release, state: State, reason: str = "") -> Release:
        """Writes the last state of a release, and returns it."""
        completed = release.completed(state, datetime.now(timezone.utc), reason)
        # A record that stays pending would block the releases of other images.
        self.client.deadline.extend(CLOSING)
        self.write(completed)
        return completed

    def _listed(self) -> list[Release]:
        return record.latest_states(one.release for one in read_records(self.client, self._anchor))

    def _has_anchor(self) -> bool:
        return self.client.head_manifest(REPOSITORY, record.anchor_tag(self.site)) is not None

    @property
    def _anchor(self) -> Digest:
        return Digest.of(record.anchor(self.site))


def read_records(client: RegistryClient, anchor: Digest) -> list[StoredRecord]:
    """The records that refer to the anchor of a site, in all states of its releases.

    A list may leave out annotations, or change them: a record that can't be read there is read
    itself. It is left out only if it is damaged itself.
    """
    listed = read_referrers(client, REPOSITORY, anchor, record.ARTIFACT_TYPE, _listed)
    unread = [digest for digest, release in listed if release is None]
    read = dict(zip(unread, map_concurrently(unread, partial(_read, client)), strict=True))
    found = ((digest, release or read[digest]) for digest, release in listed)
    return [StoredRecord(digest, release) for digest, release in found if release is not None]


def _listed(descriptor: Descriptor) -> tuple[str, Release | None]:
    return str(descriptor["digest"]), record.from_annotations(descriptor.get("annotations"))


def _read(client: RegistryClient, digest: str) -> Release | None:
    try:
        stored = client.get_manifest(REPOSITORY, Digest.parse(digest))
    except NotFound:  # deleted meanwhile
        return None
    document = response_json.parse_object(stored.data) or {}
    return record.from_annotations(document.get("annotations"))
