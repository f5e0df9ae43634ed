"""Which process may release a site now: the pending records are the lock.

Azure Resource Manager has no lock that two deploys could take. Each deploy therefore writes a
pending record, and then reads the records of the site:

- If no other release is in progress, the deploy continues.
- If an older one is in progress, the deploy withdraws.
- If only younger ones are in progress, the deploy waits until they withdraw. If one of them doesn't
  within `PATIENCE`, it continued before it could see this record, and the deploy withdraws.

The second of two deploys to write its record always sees the record of the first.
"""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta, timezone

from azext_otelembed.errors import OtelembedError, Refused, RegistryFailed
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_store import RecordStore

MARGIN = timedelta(seconds=120)
"""How long a pending release stays in progress after its timeout."""
POLL_INTERVAL = 1.0
"""Seconds between two reads of the records while a rival is in progress."""
PATIENCE = 15.0
"""Seconds that a younger release has to see the older one and to withdraw, and that the registry
has to list a new record."""


def check_free(
    known: list[Release],
    digest: str | None,
    setting: str | None = None,
    command: str = "",
    *,
    see_history: str,
) -> None:
    """Raises `Refused` if a release of another image or connection string is in progress.

    One of the same image and setting is resumed instead: it is the same command, run before and
    killed or running now, and both have the same result. `see_history` is the sentence with the
    command that lists the site's releases.
    """
    for other in record.in_progress(known, _now()):
        if not other.is_of(digest, setting, command):
            raise _taken(other, see_history)


def acquire(
    store: RecordStore,
    release: Release,
    known: list[Release],
    setting: str | None = None,
    *,
    see_history: str,
) -> None:
    """Writes the pending record of `release`. Raises `Refused` if another release came first.

    `known` are the records that `RecordStore.read` gave before; the anchor of a site without
    records is stored first. `setting` is the wanted connection string, `see_history` as above. If
    an error ends this, the record is completed as one of a release that changed nothing, unless
    another run has begun it.
    """
    others = [one for one in known if one.id != release.id]
    check_free(others, release.digest, setting, release.command, see_history=see_history)
    if not known:
        store.create()
    try:
        _take(store, release, known, setting, see_history)
    except Refused:
        raise  # it is withdrawn
    except OtelembedError as error:
        if len(others) == len(known):
            # What can't be written either expires.
            with suppress(OtelembedError):
                store.complete(release, record.FAILED, f"{record.NOT_APPLIED}: {error.message}")
        raise


def _take(
    store: RecordStore,
    release: Release,
    known: list[Release],
    setting: str | None,
    see_history: str,
) -> None:
    store.publish(release)
    deadline = time.monotonic() + PATIENCE
    while True:
        records = store.read()
        if all(one.id != release.id for one in records):
            # A list without the record that was just written can't show the other ones either.
            if time.monotonic() >= deadline:
                raise RegistryFailed(
                    f"Registry '{store.client.host}' doesn't list the release record that it has "
                    "stored, so another release could be in progress. Nothing was changed.",
                    "Run the same command again.",
                )
            store.client.deadline.sleep(POLL_INTERVAL, "the registry listed the record")
            store.write(release)
            continue
        rival = find_rival(release, records, known, setting, _now())
        if rival is None:
            return
        is_older = (rival.started, rival.id) < (release.started, release.id)
        if is_older or rival.state != record.PENDING or time.monotonic() >= deadline:
            # Published, since another process waits until this one has withdrawn.
            store.publish(_withdrawn(release, known, rival))
            raise _taken(rival, see_history)
        store.client.deadline.sleep(POLL_INTERVAL, "the other release withdrew")


def is_in_progress(release: Release) -> bool:
    """Whether the process of a pending release may still be running."""
    return bool(record.in_progress([release], _now()))


def lasts(release: Release, seconds: float) -> bool:
    """Whether a pending release expires later than that."""
    return release.expires > _now() + timedelta(seconds=seconds)


def extended(release: Release, timeout: float) -> Release:
    """A release that is pending for another `timeout` seconds and the margin, never for less.

    An unproven release is pending again then.
    """
    expires = max(_now() + timedelta(seconds=timeout) + MARGIN, release.expires)
    return replace(release, state=record.PENDING, finished=None, reason="", expires=expires)


def find_rival(
    release: Release,
    records: list[Release],
    known: list[Release],
    setting: str | None,
    now: datetime,
) -> Release | None:
    """The release that conflicts with `release`, which wants `setting`, among the site's records.

    It is one of another image or setting: one that ended after `known` was read, since it may have
    changed the site; otherwise the oldest one in progress.
    """
    before = {one.id for one in known}
    others = [
        one
        for one in records
        if one.id != release.id and not one.is_of(release.digest, setting, release.command)
    ]
    ended = (record.SUCCEEDED, record.UNPROVEN, record.FAILED, record.ROLLED_BACK)
    finished = [one for one in others if one.state in ended and one.id not in before]
    return next(iter([*finished, *record.in_progress(others, now)]), None)


def _withdrawn(release: Release, known: list[Release], rival: Release) -> Release:
    """The release, withdrawn. One that was to be verified again is unproven as before."""
    before = next((one for one in known if one.id == release.id), release)
    if before.state == record.UNPROVEN:
        return release.completed(record.UNPROVEN, _now(), before.reason)
    return release.completed(record.WITHDRAWN, _now(), f"release {rival.id} came first")


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _taken(other: Release, see_history: str) -> Refused:
    if other.state != record.PENDING:
        return Refused(
            f"Another release of this site has ended in the meantime ({other.state}): "
            f"{other.image}. Nothing was changed.",
            f"Run the same command again. {see_history}",
        )
    return Refused(
        f"Another release of this site is in progress: {other.image}, started at "
        f"{other.started:%Y-%m-%d %H:%M:%S} UTC. Nothing was changed.",
        f"Wait until it ends (at the latest at {other.expires:%H:%M:%S} UTC), then run the same "
        f"command again. {see_history}",
    )
