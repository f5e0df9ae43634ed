"""What is kept of a release: one OCI artifact for each of its states. Pure.

A record refers (OCI `subject`) to the *anchor* of its site, a small artifact whose digest follows
from the site's id alone. So one request lists all releases of a site, whichever images they were
of, and a deploy sees another one that is under way.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.json_document import dump
from azext_otelembed.image.prepared_collector import EMPTY
from azext_otelembed.image.reference import Digest

REPOSITORY = "otelembed/releases"
ARTIFACT_TYPE = "application/vnd.otelembed.release.v1+json"
ANCHOR_TYPE = "application/vnd.otelembed.site.v1+json"
PREFIX = "dev.otelembed.release."
NOT_APPLIED = "not applied"
"""How the reason of a failed release begins that changed nothing, or took back what it did."""

PENDING, SUCCEEDED, ROLLED_BACK, FAILED, WITHDRAWN = (
    "pending",
    "succeeded",
    "rolled back",
    "failed",
    "withdrawn",
)
_EMPTY = Descriptor("application/vnd.oci.empty.v1+json", len(EMPTY), Digest.of(EMPTY))


@dataclass(frozen=True, slots=True)
class Release:
    """One release of a site, in one of its states. Times are UTC.

    `image` and `previous_image` are spelt as in linuxFxVersion. `setting_was_there` tells whether
    the site had a connection string before; its value is never kept. `setting_print` is the
    fingerprint of the one that was wanted, empty where none was. `log_stamp` is the time of the
    container log's newest line before the change, by Azure's clock. `slot` is the one that was
    swapped with the site, empty for releases that set the image. A pending release that isn't
    completed by `expires` was left behind by a crash.
    """

    id: str
    site: str
    state: str
    started: datetime
    expires: datetime
    image: str
    digest: str
    previous_image: str
    setting_was_there: bool
    setting_changed: bool
    recipe: str = ""
    base: str = ""
    finished: datetime | None = None
    reason: str = ""
    setting_print: str = ""
    setting_removed: bool = False
    log_stamp: str = ""
    slot: str = ""

    @property
    def before_change(self) -> str:
        """What is newer than this in the container log may come from the release."""
        return self.log_stamp or self.started.strftime("%Y-%m-%dT%H:%M:%S")

    @property
    def applied(self) -> bool:
        """Whether it changed the site and what it changed stayed, as far as the record knows."""
        undone = self.state == FAILED and self.reason.startswith(NOT_APPLIED)
        return self.state not in (WITHDRAWN, ROLLED_BACK) and not undone

    def wants(self, digest: str | None, setting: str | None) -> bool:
        """Whether it is of this very image and connection string (a secret; None: of no matter)."""
        return self.digest == digest and self.setting_print == fingerprint(self.id, setting)

    @property
    def last(self) -> datetime:
        """When it ended, else when it expires."""
        return self.finished or self.expires

    def ended(self, state: str, when: datetime, reason: str = "") -> Release:
        """The same release, completed."""
        return replace(self, state=state, finished=when, reason=reason)

    def as_result(self) -> dict[str, Any]:
        """As `history` shows it."""
        return {
            "id": self.id,
            "state": self.state,
            "started": self.started.isoformat(),
            "finished": self.finished.isoformat() if self.finished else None,
            "image": self.image,
            "digest": self.digest,
            "base": self.base or None,
            "recipe": self.recipe or None,
            "previousImage": self.previous_image,
            "reason": self.reason or None,
        }


def fingerprint(release: str, setting: str | None) -> str:
    """What tells whether two connection strings are the same, in a release's record.

    Keyed by the release's id, so that equal ones look different in two records. It can't be turned
    back: what is secret in a connection string is a GUID of 122 random bits.
    """
    if setting is None:
        return ""
    return hmac.new(release.encode(), setting.encode(), hashlib.sha256).hexdigest()[:16]


def anchor(site: str) -> bytes:
    """The manifest that all records of a site refer to; the same bytes for the same site id."""
    return dump(
        {
            "schemaVersion": 2,
            "mediaType": Family.OCI.manifest_type,
            "artifactType": ANCHOR_TYPE,
            "config": _EMPTY.to_document(),
            "layers": [_EMPTY.to_document()],
            "annotations": {f"{PREFIX}site": site.lower()},
        }
    )


def anchor_tag(site: str) -> str:
    """The tag that keeps a site's anchor."""
    return f"site-{Digest.of(anchor(site)).short}"


def to_manifest(release: Release) -> bytes:
    """The record as an OCI artifact manifest."""
    subject = anchor(release.site)
    return dump(
        {
            "schemaVersion": 2,
            "mediaType": Family.OCI.manifest_type,
            "artifactType": ARTIFACT_TYPE,
            "config": _EMPTY.to_document(),
            "layers": [_EMPTY.to_document()],
            "subject": {
                "mediaType": Family.OCI.manifest_type,
                "size": len(subject),
                "digest": str(Digest.of(subject)),
            },
            "annotations": _annotations(release),
        }
    )


def read(listed: Iterable[Mapping[str, Any]]) -> list[Release]:
    """The releases that records tell of, by their descriptors in a list of referrers: `folded`."""
    found = (from_annotations(entry.get("annotations")) for entry in listed)
    return folded(one for one in found if one is not None)


def from_annotations(annotations: object) -> Release | None:
    """The release that a record's annotations tell of; None when they are not ours."""
    told = annotations if isinstance(annotations, dict) else {}

    def text(name: str) -> str:
        value = told.get(PREFIX + name)
        return value if isinstance(value, str) else ""

    try:
        return Release(
            id=text("id"),
            site=text("site"),
            state=text("state"),
            started=_time(text("started")),
            expires=_time(text("expires")),
            image=text("image"),
            digest=text("digest"),
            previous_image=text("previous-image"),
            setting_was_there=text("setting-was-there") == "true",
            setting_changed=text("setting-changed") == "true",
            recipe=text("recipe"),
            base=text("base"),
            finished=_time(text("finished")) if text("finished") else None,
            reason=text("reason"),
            setting_print=text("setting-print"),
            setting_removed=text("setting-removed") == "true",
            log_stamp=text("log-stamp"),
            slot=text("slot"),
        )
    except ValueError:
        return None


def folded(records: Iterable[Release]) -> list[Release]:
    """One entry a release, in its last state, newest first."""
    by_id: dict[str, Release] = {}
    # A release that was taken up again has several pending records; the last one counts.
    for record in sorted(records, key=lambda one: (one.state != PENDING, one.last)):
        by_id[record.id] = record
    return sorted(by_id.values(), key=lambda release: (release.started, release.id), reverse=True)


def under_way(releases: Iterable[Release], now: datetime) -> list[Release]:
    """The pending releases that haven't expired, oldest first: the first one has the site."""
    live = [one for one in releases if one.state == PENDING and one.expires > now]
    return sorted(live, key=lambda release: (release.started, release.id))


def _annotations(release: Release) -> dict[str, str]:
    told = {
        "id": release.id,
        "site": release.site,
        "state": release.state,
        "started": release.started.isoformat(),
        "expires": release.expires.isoformat(),
        "image": release.image,
        "digest": release.digest,
        "previous-image": release.previous_image,
        "setting-was-there": str(release.setting_was_there).lower(),
        "setting-changed": str(release.setting_changed).lower(),
        "recipe": release.recipe,
        "base": release.base,
        "finished": release.finished.isoformat() if release.finished else "",
        "reason": release.reason,
        "setting-print": release.setting_print,
        "setting-removed": "true" if release.setting_removed else "",
        "log-stamp": release.log_stamp,
        "slot": release.slot,
    }
    named = {PREFIX + name: value for name, value in told.items() if value}
    # What tools such as `oras discover` show.
    return {**named, "org.opencontainers.image.created": release.started.isoformat()}


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
