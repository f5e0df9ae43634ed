"""Which embedded images something needs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.reference import Reference
from azext_otelembed.prune.deployed_images import Running, shown
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_history import before_this

EMBEDDED = re.compile(r"-otelembed-[0-9a-f]{12}$")
YOUNG = timedelta(hours=1)
"""An image pushed within this time may belong to a deploy that is under way."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest in the registry, with all of its tags; `pushed` is when it last was."""

    repository: str
    digest: str
    tags: tuple[str, ...]
    created: datetime
    pushed: datetime

    @property
    def by_digest(self) -> str:
        """Its name by digest."""
        return f"{self.repository}@{self.digest}"

    @property
    def by_tag(self) -> list[str]:
        """Its names by tag."""
        return [f"{self.repository}:{tag}" for tag in self.tags]


@dataclass(frozen=True, slots=True)
class Judged:
    """A stored embedded image, and why it is kept; empty when nothing needs it."""

    stored: Stored
    kept_because: str

    def as_result(self) -> dict[str, Any]:
        """As it stands in the result."""
        return {
            "repository": self.stored.repository,
            "tags": list(self.stored.tags),
            "digest": self.stored.digest,
            "created": self.stored.created.isoformat(),
            "keptBecause": self.kept_because or None,
            "deleted": False,
        }


def judge(
    stored: Iterable[Stored],
    host: str,
    running: Running,
    releases: Iterable[Sequence[Release]],
    keep: int,
    now: datetime,
) -> list[Judged]:
    """The embedded images of a registry (its login server is `host`), each with a verdict.

    `releases` holds each site's releases, newest first. Kept are images that run, those of a
    site's newest `keep` releases that stayed and of pending ones, what these replaced, what
    `rollback` would go to, young ones and those with a tag that isn't ours; and all of them while
    something that may run them can't be read.
    """
    of_sites = [list(of_site) for of_site in releases]
    needs = _needs(host, running, of_sites, keep, now)
    ours = _ours(host, of_sites)
    judged: list[Judged] = []
    for one in stored:
        embedded = [n for n in one.by_tag if EMBEDDED.search(n) or (n, one.digest) in ours]
        left_behind = not one.tags and (one.by_digest, one.digest) in ours
        if not embedded and not left_behind:
            continue
        names = [*one.by_tag, one.by_digest]
        _, reason = min((needs[name] for name in names if name in needs), default=(0, ""))
        if not reason and len(embedded) < len(one.tags):
            reason = "it has a tag that isn't ours"
        if not reason and now - one.pushed < YOUNG:
            reason = "it is younger than an hour"
        if not reason and running.unread:
            reason = f"{running.unread[0][0]} can't be read and may run it"
        judged.append(Judged(one, reason))
    return judged


def _needs(
    host: str, running: Running, releases: Iterable[list[Release]], keep: int, now: datetime
) -> dict[str, tuple[int, str]]:
    """What is needed, by its names, and why: the lowest number's reason counts most."""
    needs: dict[str, tuple[int, str]] = {}

    def need(image: str, why: str, digest: str = "") -> None:
        for name in _names(image, host, digest):
            needs.setdefault(name, (len(needs), why))

    for site, images in running.images.items():
        for image in images:
            need(image, f"'{shown(site)}' runs it")
    runs = {site.lower(): images for site, images in running.images.items()}
    for of_site in releases:
        stayed = [one for one in of_site if one.applied]
        counted = [*stayed[:keep], *record.under_way(of_site, now)]
        for one in counted:
            need(one.image, f"among the newest releases of '{shown(one.site)}'", one.digest)
        for one in counted:
            need(one.previous_image, f"what '{shown(one.site)}' goes back to")
        for newest in stayed[:1]:
            # A site that isn't seen any more counts as running its newest release.
            for image in runs.get(newest.site.lower(), (newest.image,)):
                earlier = before_this(image, of_site) or ""
                need(earlier, f"what '{shown(newest.site)}' goes back to")
    return needs


def _ours(host: str, releases: Iterable[list[Release]]) -> set[tuple[str, str]]:
    """Names and digests of what was embedded under any tag.

    A release without a recipe embedded nothing: it went back to an image, the app's own at times.
    """
    return {
        (name, one.digest)
        for of_site in releases
        for one in of_site
        if one.recipe and one.digest
        for name in _names(one.image, host, one.digest)
    }


def _names(image: str, host: str, digest: str = "") -> list[str]:
    """What a stored image that `image` names is called; nothing for one that isn't in `host`.

    `digest` is what its tag stood for. A registry's regional endpoints begin as its login server
    does (`shop.westeurope.geo.azurecr.io`: Azure's "Registry endpoint reference").
    """
    try:
        reference = Reference.parse(image).or_latest()
    except InvalidImage:  # no registry holds it
        return []
    if reference.registry.lower().partition(".")[0] != host.lower().partition(".")[0]:
        return []
    names = [f"{reference.repository}:{reference.tag}"] if reference.tag else []
    digests = {str(reference.digest or ""), digest} - {""}
    return [*names, *(f"{reference.repository}@{one}" for one in sorted(digests))]
