"""Facts that follow from all records of a site: earlier images, the origin of the setting. Pure.

Records come as `RecordStore.read` gives them, newest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from azext_otelembed.image.reference import image_key, same_image
from azext_otelembed.records import record
from azext_otelembed.records.record import Release


def unfinished_release(known: Sequence[Release]) -> Release | None:
    """The site's newest release if it is still pending; withdrawn ones don't count."""
    newest = newest_release(known)
    return newest if newest is not None and newest.state == record.PENDING else None


def unproven_release(image: str, known: Sequence[Release]) -> Release | None:
    """The newest release of a site that runs `image`, if it is of that image and unproven."""
    newest = newest_release(known)
    if newest is None or newest.state != record.UNPROVEN or not same_image(newest.image, image):
        return None
    return newest


def running_release(image: str, known: Sequence[Release]) -> Release | None:
    """The newest release that gave the site `image`, which it runs; None if none on record did."""
    applied = (one for one in known if one.applied)
    return next((one for one in applied if same_image(one.image, image)), None)


def newest_release(known: Sequence[Release]) -> Release | None:
    """The site's newest release; withdrawn ones don't count."""
    return next((one for one in known if one.state != record.WITHDRAWN), None)


def awaits_verification(image: str, known: Sequence[Release]) -> bool:
    """Whether the newest release of a site, which runs `image`, is pending, or unproven and not
    accepted.
    """
    unproven = unproven_release(image, known)
    return unfinished_release(known) is not None or (unproven is not None and not unproven.accepted)


def image_before(image: str, known: Sequence[Release]) -> str | None:
    """The image that ran successfully before `image`; None if there is none on record.

    After a rollback, the image before the one that was restored comes next, not the one that was
    replaced. An image that failed is skipped, and so is an unproven one, unless the caller accepted
    it: a rollback needs an image that is known to run. An image that another process set has no
    record of its own, and counts as successful.
    """
    good: dict[str, str] = {}  # in order, by `image_key`
    bad: set[str] = set()
    for release in _applied(known):
        if image_key(release.previous_image) not in bad:
            _advance(good, release.previous_image)
        if release.state == record.SUCCEEDED or release.accepted:
            bad.discard(image_key(release.image))
            _advance(good, release.image)
        else:
            bad.add(image_key(release.image))
    if image_key(image) in good:
        _advance(good, image)
        good.popitem()
    return next(reversed(good.values()), None)


def added_the_setting(setting: str, known: Sequence[Release]) -> bool:
    """Whether releases added this connection string, and no other process changed it since.

    The first release that changed the setting found none, and the last one wrote this value. A
    setting that came with a swap isn't on production's record, and counts as another process's.
    """
    added = False
    last: Release | None = None
    for release in _applied(known):
        if release.setting_removed:
            # One that wasn't completed may have left the setting in place. Otherwise the next
            # release that set it found none.
            if release.state in (record.SUCCEEDED, record.UNPROVEN):
                added, last = False, None
        elif release.setting_changed:
            added = added or not release.setting_existed
            last = release
    return added and last is not None and last.is_of(last.digest, setting)


def was_swapped(slot: str, slot_image: str, image: str, known: Sequence[Release]) -> bool:
    """Whether production got `image` by a swap with `slot`, which still runs the image that
    production ran before.
    """
    last = next((release for release in known if release.applied), None)
    return (
        last is not None
        and last.slot.lower() == slot.lower()
        and same_image(last.image, image)
        and same_image(last.previous_image, slot_image)
    )


def ran_before(image: str, current: str, known: Sequence[Release]) -> bool:
    """Whether production, which runs `current`, ran `image` at an earlier time.

    It isn't known whether the image of a release that never ended has run: that doesn't count.
    """
    if same_image(image, current):
        return False
    ran: list[str] = []
    for release in _applied(known):
        ran.append(release.previous_image)
        if release.state != record.PENDING:
            ran.append(release.image)
    return _contains(ran, image)


def _applied(known: Sequence[Release]) -> Iterable[Release]:
    """The releases that changed the site, oldest first."""
    return (release for release in reversed(known) if release.applied)


def _advance(images: dict[str, str], image: str) -> None:
    """Appends `image`, or cuts the images after it where it is among them already."""
    key = image_key(image)
    if key not in images:
        images[key] = image
    while next(reversed(images)) != key:
        images.popitem()


def _contains(images: Iterable[str], image: str) -> bool:
    return any(same_image(image, one) for one in images)
