"""The records of a site's releases, in its registry; and with them who may release it now.

ARM has no lock that two deploys could take. So each writes a pending record and then looks at what
others wrote. Of two, the one that wrote last sees the other for certain; the first one may not. So
who sees nobody goes on; who sees an older one withdraws; and who sees younger ones alone waits for
them to withdraw, and withdraws itself when one of them doesn't: that one has gone on.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from azext_otelembed.errors import Refused
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.prepared_collector import EMPTY
from azext_otelembed.image.prepared_collector import REPOSITORY as COLLECTOR
from azext_otelembed.image.reference import Digest
from azext_otelembed.records import record
from azext_otelembed.records.record import REPOSITORY, Release
from azext_otelembed.registry import transfer
from azext_otelembed.registry.referrers import list_referrers, put_referrer

if TYPE_CHECKING:
    from azext_otelembed.registry.client import RegistryClient

MARGIN = timedelta(seconds=120)
"""How long after its timeout a pending release still counts as being under way."""
SETTLE = 1.0
"""Seconds after which a deploy that saw another one looks again."""
SETTLED = 2
"""How often a record is looked after where the list of records is kept by its writers."""
PATIENCE = 15.0
"""Seconds that a younger one gets to see the older one and to withdraw."""


@dataclass(frozen=True, slots=True)
class RecordStore:
    """The records of one site. `site` is its ARM id."""

    client: RegistryClient
    site: str

    @property
    def _anchor(self) -> Digest:
        return Digest.of(record.anchor(self.site))

    def read(self) -> list[Release]:
        """All releases of the site, newest first: one request."""
        return record.read(
            list_referrers(self.client, REPOSITORY, self._anchor, record.ARTIFACT_TYPE)
        )

    def begin(self, release: Release, known: list[Release], setting: str | None = None) -> None:
        """Writes the pending record. Raises `Refused` when another release came first.

        `known` is what `read` gave: where it is empty, the anchor is put first. `setting` is the
        connection string that the release wants the site to have.
        """
        self.check_free(release.digest, known, setting)
        if not known:
            self._put_anchor()
        self._put_to_stay(release)
        deadline = time.monotonic() + PATIENCE
        while rival := self._rival(release, known, setting):
            older = (rival.started, rival.id) < (release.started, release.id)
            if rival.state != record.PENDING or older or time.monotonic() >= deadline:
                self._put_to_stay(
                    release.ended(record.WITHDRAWN, _now(), f"release {rival.id} came first")
                )
                raise _taken(rival)
            time.sleep(SETTLE)

    def check_free(
        self, digest: str | None, known: list[Release], setting: str | None = None
    ) -> None:
        """Raises `Refused` when a release of another image or setting than these is under way.

        One that wants the very same is taken up instead: it is this command, run before and
        killed, or its twin, and both end in the same state.
        """
        for other in record.under_way(known, _now()):
            if not other.wants(digest, setting):
                raise _taken(other)

    def is_under_way(self, release: Release) -> bool:
        """Whether a pending release may still be somebody's."""
        return bool(record.under_way([release], _now()))

    def outlasts(self, release: Release, seconds: float) -> bool:
        """Whether a pending release expires later than that."""
        return release.expires > _now() + timedelta(seconds=seconds)

    def renew(self, release: Release, timeout: float) -> Release:
        """Gives a pending release another `timeout` seconds, so that it stays its owner's."""
        renewed = taken_up(release, timeout)
        self._put(renewed)
        return renewed

    def end(self, release: Release, state: str, reason: str = "") -> Release:
        """Writes the release's last state."""
        ended = release.ended(state, _now(), reason)
        self._put(ended)
        return ended

    def _rival(self, release: Release, known: list[Release], setting: str | None) -> Release | None:
        """The oldest release that wants something else and is under way, or has ended meanwhile.

        `known` are the records from before: what ended since then may have changed the site.
        """
        before = {one.id for one in known}
        ended = (record.SUCCEEDED, record.FAILED, record.ROLLED_BACK)
        found = [one for one in self.read() if not one.wants(release.digest, setting)]
        finished = [one for one in found if one.state in ended and one.id not in before]
        live = record.under_way(found, _now())
        return next(iter([*finished, *live]), None)

    def _put_to_stay(self, release: Release) -> None:
        """Puts what rivals have to see: who waits for a withdrawal that got lost withdraws too."""
        for _ in range(SETTLED):
            if self._put(release):
                return
            # The list is kept by its writers: what two of them write at once may get lost.
            time.sleep(SETTLE)
        self._put(release)

    def _put(self, release: Release) -> bool:
        """Whether the registry itself keeps the list of records."""
        manifest = record.to_manifest(release)
        kind = Family.OCI.manifest_type
        return put_referrer(self.client, REPOSITORY, self._anchor, manifest, kind)

    def _put_anchor(self) -> None:
        transfer.upload(self.client, REPOSITORY, Digest.of(EMPTY), EMPTY, COLLECTOR)
        self.client.put_manifest(
            REPOSITORY,
            record.anchor_tag(self.site),
            record.anchor(self.site),
            Family.OCI.manifest_type,
        )


def new_release(
    site: str,
    *,
    image: str,
    digest: str,
    previous_image: str,
    setting_was_there: bool,
    setting_changed: bool,
    recipe: str,
    base: str,
    timeout: float,
    setting: str | None = None,
    setting_removed: bool = False,
    log_stamp: str = "",
    slot: str = "",
) -> Release:
    """A pending release that begins now and has `timeout` seconds to come up.

    `setting` is the connection string wanted: only its fingerprint is kept.
    """
    started = _now()
    name = secrets.token_hex(6)
    return Release(
        id=name,
        site=site,
        state=record.PENDING,
        started=started,
        expires=started + timedelta(seconds=timeout) + MARGIN,
        image=image,
        digest=digest,
        previous_image=previous_image,
        setting_was_there=setting_was_there,
        setting_changed=setting_changed,
        recipe=recipe,
        base=base,
        setting_print=record.fingerprint(name, setting),
        setting_removed=setting_removed,
        log_stamp=log_stamp,
        slot=slot,
    )


def taken_up(release: Release, timeout: float) -> Release:
    """A release that a crash left behind, given another `timeout` seconds."""
    return replace(release, expires=_now() + timedelta(seconds=timeout) + MARGIN)


def _now() -> datetime:
    return datetime.now(timezone.utc)


def _taken(other: Release) -> Refused:
    if other.state != record.PENDING:
        return Refused(
            f"Another release of this site has ended meanwhile ({other.state}): {other.image}. "
            "Nothing was changed.",
            "Run the same command again: `az otelembed history` shows it.",
        )
    return Refused(
        f"Another release of this site is under way: {other.image}, begun "
        f"{other.started:%Y-%m-%d %H:%M:%S} UTC. Nothing was changed.",
        f"Wait until it ends (at the latest {other.expires:%H:%M:%S} UTC), then run the same "
        "command again: `az otelembed history` shows it.",
    )
