"""Which embedded images are retained, and why. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.recipe import is_recipe_tag
from azext_otelembed.image.reference import Reference
from azext_otelembed.prune.deployed_images import DeployedImages, site_label
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_history import image_before

MIN_AGE = timedelta(hours=1)
"""An image pushed within this time may belong to a deploy that is in progress."""


@dataclass(frozen=True, slots=True)
class StoredImage:
    """A manifest in the registry, with all of its tags; `pushed` is the time of the last push."""

    repository: str
    digest: str
    tags: tuple[str, ...]
    created: datetime
    pushed: datetime

    @property
    def digest_name(self) -> str:
        """Its name by digest."""
        return f"{self.repository}@{self.digest}"

    @property
    def is_recognized(self) -> bool:
        """Whether its tags alone, all of them otelembed's, tell that it is an embedded image."""
        return bool(self.tags) and all(is_recipe_tag(name) for name in self.tag_names)

    @property
    def tag_names(self) -> list[str]:
        """Its names by tag."""
        return [f"{self.repository}:{tag}" for tag in self.tags]


@dataclass(frozen=True, slots=True)
class Decision:
    """A stored embedded image, and the reason why it is kept; empty if it may be deleted."""

    image: StoredImage
    kept_because: str

    def as_result(self) -> dict[str, Any]:
        """An entry of the result of `prune`."""
        return {
            "repository": self.image.repository,
            "tags": list(self.image.tags),
            "digest": self.image.digest,
            "created": self.image.created.isoformat(),
            "keptBecause": self.kept_because or None,
            "deleted": False,
        }


def decide(
    stored: Iterable[StoredImage],
    host: str,
    deployed: DeployedImages,
    releases: Iterable[Sequence[Release]],
    keep: int,
    now: datetime,
) -> list[Decision]:
    """The embedded images of a registry (its login server is `host`), with a decision for each.

    `releases` holds each site's releases, newest first. Kept are deployed images; those of a
    site's newest `keep` applied releases and of its pending ones, and the images that these
    replaced; the image that `rollback` would restore; images younger than `MIN_AGE`; and images
    with a tag that otelembed didn't make. While a site can't be read, all images are kept.
    """
    by_site = [list(of_site) for of_site in releases]
    reasons = _reasons(host, deployed, by_site, keep, now)
    on_record = _embedded_on_record(host, by_site)
    decisions: list[Decision] = []
    for image in stored:
        embedded_tags = [
            name
            for name in image.tag_names
            if is_recipe_tag(name) or (name, image.digest) in on_record
        ]
        untagged = not image.tags and (image.digest_name, image.digest) in on_record
        if not embedded_tags and not untagged:
            continue
        names = [*image.tag_names, image.digest_name]
        _, reason = min((reasons[name] for name in names if name in reasons), default=(0, ""))
        if not reason and len(embedded_tags) < len(image.tags):
            reason = "it has a tag that otelembed didn't make"
        if not reason and now - image.pushed < MIN_AGE:
            reason = "it is younger than an hour"
        if not reason and deployed.unreadable:
            reason = f"{deployed.unreadable[0][0]} can't be read and may run it"
        decisions.append(Decision(image, reason))
    return decisions


def needs_record(
    stored: Iterable[StoredImage],
    decisions: Iterable[Decision],
    host: str,
    repository: str | None,
) -> Callable[[Release], bool]:
    """Tells for a release whether an image in the registry is known as embedded by its record only.

    The record has to stay as long as the image: without it, the image would never be found as one
    that may be deleted. `stored` are all images, or those of one `repository`; the images of other
    repositories aren't known then, and all of their records are needed.
    """
    chosen = {one.image.digest_name for one in decisions if not one.kept_because}
    unrecognized = {
        one.digest_name for one in stored if not one.is_recognized and one.digest_name not in chosen
    }

    def is_needed(release: Release) -> bool:
        if not release.recipe:
            return False
        names = _names(release.image, host, release.digest)
        unread = repository is not None and any(
            _repository_of(name) != repository for name in names
        )
        return unread or not unrecognized.isdisjoint(names)

    return is_needed


def _repository_of(name: str) -> str:
    """The repository of a name of `_names`."""
    return name.partition("@")[0].partition(":")[0]


def _reasons(
    host: str, deployed: DeployedImages, releases: Iterable[list[Release]], keep: int, now: datetime
) -> dict[str, tuple[int, str]]:
    """Why images are kept, by their names: `(rank, reason)`. The lowest rank counts."""
    reasons: dict[str, tuple[int, str]] = {}

    def add(image: str, reason: str, digest: str = "") -> None:
        for name in _names(image, host, digest):
            reasons.setdefault(name, (len(reasons), reason))

    for site, images in deployed.images.items():
        for image in images:
            add(image, f"'{site_label(site)}' runs it")
    runs = {site.lower(): images for site, images in deployed.images.items()}
    for of_site in releases:
        applied = [one for one in of_site if one.applied]
        counted = [*applied[:keep], *record.in_progress(of_site, now)]
        for one in counted:
            reason = f"among the newest releases of '{site_label(one.site)}'"
            add(one.image, reason, one.digest)
        for one in counted:
            add(one.previous_image, f"'{site_label(one.site)}' would roll back to it")
        for newest in applied[:1]:
            # A site that isn't found any more counts as running its newest release.
            for image in runs.get(newest.site.lower(), (newest.image,)):
                earlier = image_before(image, of_site) or ""
                add(earlier, f"'{site_label(newest.site)}' would roll back to it")
    return reasons


def _embedded_on_record(host: str, releases: Iterable[list[Release]]) -> set[tuple[str, str]]:
    """Names and digests of embedded images on record, whatever their tags.

    A release without a recipe set an image that was there before, such as the app's own.
    """
    return {
        (name, one.digest)
        for of_site in releases
        for one in of_site
        if one.recipe and one.digest
        for name in _names(one.image, host, one.digest)
    }


def _names(image: str, host: str, digest: str = "") -> list[str]:
    """The names in the registry of the stored image that `image` means; empty if it is elsewhere.

    `digest` is the digest that its tag had. A registry's regional endpoints begin as its login
    server does (`shop.westeurope.geo.azurecr.io`: Azure's "Registry endpoint reference").
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
