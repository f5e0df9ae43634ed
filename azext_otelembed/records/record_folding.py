"""Which records of a site are still needed, once it has many. Pure.

Folding deletes the others. It keeps, of each site that has more than `RELEASES_KEPT` releases:

- the newest `RELEASES_KEPT` releases, and as many of those that weren't withdrawn and of those
  that are applied: `history`, `rollback`, `wait`, swaps and the lock look no further back;
- the newest release that added the connection string, that changed it, and that removed it:
  `remove` learns from them whether a release added it (`record_history.added_the_setting`);
- every pending release, and those in a state that only a newer version knows;
- releases that the caller still needs (`is_needed`).

A release has one record for each of its states; only the one of its latest state is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice

from azext_otelembed.records import record
from azext_otelembed.records.record import Release

RELEASES_KEPT = 100
"""The releases of a site that are kept, at least."""

_KNOWN = (
    record.SUCCEEDED,
    record.UNPROVEN,
    record.ROLLED_BACK,
    record.FAILED,
    record.WITHDRAWN,
)


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as it is stored: the digest of its manifest, and the release in a state."""

    digest: str
    release: Release


@dataclass(frozen=True, slots=True)
class Folding:
    """The records of a site that may be deleted.

    `superseded` are records of earlier states, which count for nothing: they may be deleted in any
    order. Then `last` follow, the only records left of their releases, the oldest release first. So
    at any time each release on record is in its latest state.
    """

    superseded: tuple[StoredRecord, ...]
    last: tuple[StoredRecord, ...]

    @property
    def releases(self) -> int:
        """The number of releases that are no longer on record then."""
        return len(self.last)

    @property
    def digests(self) -> frozenset[str]:
        """The digests of all of them."""
        return frozenset(one.digest for one in self.superseded + self.last)

    def among(self, digests: Container[str]) -> Folding:
        """The part of it that is in `digests`."""
        parts = (self.superseded, self.last)
        return Folding(*(tuple(one for one in part if one.digest in digests) for part in parts))

    def confirmed(self, again: Iterable[StoredRecord]) -> Folding:
        """The part that still may be deleted after the records were read `again`.

        A release stays if it has another record, which this folding doesn't know: that would count
        as its latest state then. One of the two lists may have been incomplete.
        """
        known = self.digests
        others = {one.release.id for one in again if one.digest not in known}
        return Folding(
            self.superseded, tuple(one for one in self.last if one.release.id not in others)
        )


def fold(
    stored: Sequence[StoredRecord],
    keep: int,
    is_needed: Callable[[Release], bool] = lambda _: False,
) -> Folding | None:
    """The records of one site that may be deleted; None for a site without too many releases.

    `keep` raises the number of releases that are kept.
    """
    keep = max(keep, RELEASES_KEPT)
    known = record.latest_states(one.release for one in stored)
    kept = _kept(known, keep) | {one.id for one in known if is_needed(one)}
    folded = {one.id for one in known} - kept
    if len(known) <= keep or not folded:
        return None
    latest = {one.id: record.age(one) for one in known}
    ordered = sorted(stored, key=lambda one: (one.release.started, one.release.id))
    superseded: list[StoredRecord] = []
    last: list[StoredRecord] = []
    for one in ordered:
        if record.age(one.release) < latest[one.release.id]:
            superseded.append(one)
        elif one.release.id in folded:
            last.append(one)
    return Folding(tuple(superseded), tuple(last))


def _kept(known: Sequence[Release], keep: int) -> set[str]:
    """The ids of the releases that are kept whatever the caller needs. `known`: newest first."""
    applied = [one for one in known if one.applied]
    removing = [one for one in applied if one.setting_removed]
    ended = (one for one in removing if one.state in (record.SUCCEEDED, record.UNPROVEN))
    changing = [one for one in applied if one.setting_changed and not one.setting_removed]
    chosen: list[Iterable[Release]] = [
        known[:keep],
        islice((one for one in known if one.state != record.WITHDRAWN), keep),
        applied[:keep],
        changing[:1],
        islice((one for one in changing if not one.setting_existed), 1),
        removing[:1],
        islice(ended, 1),
        (one for one in known if one.state not in _KNOWN),
    ]
    return {one.id for each in chosen for one in each}
