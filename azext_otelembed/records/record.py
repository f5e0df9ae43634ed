"""The record of a release: one OCI artifact for each of its states. Pure.

A record refers (OCI `subject`) to the *anchor* of its site, a small artifact whose digest depends
on the site's id alone. One request therefore lists all releases of a site, of any image, and a
deploy finds another one that is in progress.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any, Final, Literal

from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.json_document import dump
from azext_otelembed.image.manifest import artifact_document
from azext_otelembed.image.reference import Digest
from azext_otelembed.printable import one_line

REPOSITORY = "otelembed/releases"
ARTIFACT_TYPE = "application/vnd.otelembed.release.v1+json"
ANCHOR_TYPE = "application/vnd.otelembed.site.v1+json"
PREFIX = "dev.otelembed.release."
NOT_APPLIED = "not applied"
"""The start of the reason of a failed release that changed nothing, or undid its changes."""
ACCEPTED = "accepted"
"""The start of the reason of an unproven release that --accept-unproven accepted."""
ROLLBACK: Final = "rollback"
REMOVE: Final = "remove"
LONGEST_REASON = 1000
"""Characters of a reason, a part of which may be untrusted text."""
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,9})?Z?", re.ASCII)

State = Literal["pending", "succeeded", "unproven", "rolled back", "failed", "withdrawn"]
PENDING: Final = "pending"
SUCCEEDED: Final = "succeeded"
UNPROVEN: Final = "unproven"
ROLLED_BACK: Final = "rolled back"
FAILED: Final = "failed"
WITHDRAWN: Final = "withdrawn"


@dataclass(frozen=True, slots=True)
class Release:
    """One release of a site, in one of its states. Times are UTC.

    `state` is a `State`, or the one that a newer version wrote. `image` and `previous_image` are
    spelt as in linuxFxVersion. `setting_existed` tells whether the site had a connection string
    before; its value is never recorded. `setting_fingerprint` is that of the wanted one, empty if
    the release sets none. `log_stamp` is the time of the container log's newest line before the
    change, by Azure's clock. `slot` is the one that was swapped with the site, empty for releases
    that set the image. A pending release that isn't completed by `expires` is abandoned: its
    process crashed. An unproven release stays in place, although nothing showed its container; it
    is pending again while it is verified again.

    `command` is `ROLLBACK` or `REMOVE`, and empty for a deploy or a swap: a run of the same command
    continues it. `goes_back_from` is the id of the release that a rollback or a removal goes back
    from, empty if the site's image was on no record, and `target` is the rollback's `--to`.
    Versions of the extension that don't know these three ignore them.
    """

    id: str
    site: str
    state: str
    started: datetime
    expires: datetime
    image: str
    digest: str
    previous_image: str
    setting_existed: bool
    setting_changed: bool
    recipe: str = ""
    base: str = ""
    finished: datetime | None = None
    reason: str = ""
    setting_fingerprint: str = ""
    setting_removed: bool = False
    log_stamp: str = ""
    slot: str = ""
    command: str = ""
    goes_back_from: str = ""
    target: str = ""

    @property
    def log_since(self) -> str:
        """Lines of the container log that are newer than this may come from the release."""
        return self.log_stamp or self.started.strftime("%Y-%m-%dT%H:%M:%S")

    @property
    def applied(self) -> bool:
        """Whether it changed the site and its changes stayed, according to the record."""
        undone = self.state == FAILED and self.reason.startswith(NOT_APPLIED)
        return self.state not in (WITHDRAWN, ROLLED_BACK) and not undone

    @property
    def accepted(self) -> bool:
        """Whether it is unproven, and the caller has accepted that."""
        return self.state == UNPROVEN and self.reason.startswith(ACCEPTED)

    @property
    def is_healthy(self) -> bool:
        """Whether it succeeded, or is unproven and accepted."""
        return self.state == SUCCEEDED or self.accepted

    def is_of(self, digest: str | None, setting: str | None, command: str = "") -> bool:
        """Whether `command` released this image and connection string (a secret; None: it sets
        none).
        """
        if (self.digest, self.command) != (digest, command):
            return False
        return self.setting_fingerprint == fingerprint(self.id, setting)

    def completed(self, state: State, when: datetime, reason: str = "") -> Release:
        """The same release, completed. A part of the reason may be untrusted text; a long reason
        is cut.
        """
        line = one_line(reason)
        cut = line if len(line) <= LONGEST_REASON else f"{line[:LONGEST_REASON]} …"
        return replace(self, state=state, finished=when, reason=cut)

    def as_result(self) -> dict[str, Any]:
        """An entry of the result of `history`."""
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
            "command": self.command or ("swap" if self.slot else "deploy"),
            "from": self.goes_back_from or None,
            "reason": self.reason or None,
        }


def fingerprint(release: str, setting: str | None) -> str:
    """A keyed hash that tells whether two connection strings are the same, for a record.

    The key is the release's id, so equal strings have different fingerprints in two records. It
    can't be reversed: the secret part of a connection string is a GUID of 122 random bits.
    """
    if setting is None:
        return ""
    # The id of a damaged record may hold what UTF-8 doesn't.
    key, value = (text.encode(errors="surrogatepass") for text in (release, setting))
    return hmac.new(key, value, hashlib.sha256).hexdigest()[:16]


def anchor(site: str) -> bytes:
    """The manifest that all records of a site refer to; the same bytes for the same site id."""
    return dump(artifact_document(ANCHOR_TYPE, annotations={f"{PREFIX}site": site.lower()}))


def anchor_tag(site: str) -> str:
    """The tag that keeps a site's anchor."""
    return f"site-{Digest.of(anchor(site)).short}"


def to_manifest(release: Release) -> bytes:
    """The record as an OCI artifact manifest."""
    subject = anchor(release.site)
    return dump(
        artifact_document(
            ARTIFACT_TYPE,
            subject=Descriptor(Family.OCI.manifest_type, len(subject), Digest.of(subject)),
            annotations=_annotations(release),
        )
    )


def from_annotations(annotations: object) -> Release | None:
    """The release in a record's annotations; None if they aren't those of a record."""
    values = annotations if isinstance(annotations, dict) else {}

    def text(name: str) -> str:
        value = values.get(PREFIX + name)
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
            setting_existed=text("setting-was-there") == "true",
            setting_changed=text("setting-changed") == "true",
            recipe=text("recipe"),
            base=text("base"),
            finished=_time(text("finished")) if text("finished") else None,
            reason=text("reason"),
            setting_fingerprint=text("setting-print"),
            setting_removed=text("setting-removed") == "true",
            log_stamp=text("log-stamp") if _STAMP.fullmatch(text("log-stamp")) else "",
            slot=text("slot"),
            command=text("command"),
            goes_back_from=text("goes-back-from"),
            target=text("target"),
        )
    except ValueError:
        return None


def latest_states(records: Iterable[Release]) -> list[Release]:
    """Each release once, in its latest state; the newest release first."""
    by_id: dict[str, Release] = {}
    for one in sorted(records, key=age):
        by_id[one.id] = one
    return sorted(by_id.values(), key=lambda release: (release.started, release.id), reverse=True)


def in_progress(releases: Iterable[Release], now: datetime) -> list[Release]:
    """The pending releases that haven't expired, oldest first."""
    live = [one for one in releases if one.state == PENDING and one.expires > now]
    return sorted(live, key=lambda release: (release.started, release.id))


def age(release: Release) -> tuple[bool, datetime, bool, datetime]:
    """Orders the records of one release, the latest last.

    One that was resumed has several pending records; the one that expires last counts. An unproven
    release that is verified again has a pending record that doesn't expire earlier, and then
    another one: of two that expire at the same time, the one that was finished later.
    """
    finished = release.finished or release.expires
    if release.state in (PENDING, UNPROVEN):
        return False, release.expires, release.state == UNPROVEN, finished
    return True, finished, False, finished


def _annotations(release: Release) -> dict[str, str]:
    values = {
        "id": release.id,
        "site": release.site,
        "state": release.state,
        "started": release.started.isoformat(),
        "expires": release.expires.isoformat(),
        "image": release.image,
        "digest": release.digest,
        "previous-image": release.previous_image,
        "setting-was-there": str(release.setting_existed).lower(),
        "setting-changed": str(release.setting_changed).lower(),
        "recipe": release.recipe,
        "base": release.base,
        "finished": release.finished.isoformat() if release.finished else "",
        "reason": release.reason,
        "setting-print": release.setting_fingerprint,
        "setting-removed": "true" if release.setting_removed else "",
        "log-stamp": release.log_stamp,
        "slot": release.slot,
        "command": release.command,
        "goes-back-from": release.goes_back_from,
        "target": release.target,
    }
    named = {PREFIX + name: value for name, value in values.items() if value}
    # Tools such as `oras discover` show this one.
    return {**named, "org.opencontainers.image.created": release.started.isoformat()}


def _time(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=timezone.utc)
