"""What a site's records tell of the time before: images to go back to, whose the setting is. Pure.

Records come as `RecordStore.read` gives them, newest first.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from azext_otelembed.image.reference import same_image
from azext_otelembed.records import record
from azext_otelembed.records.record import Release


def before_this(image: str, known: Sequence[Release]) -> str | None:
    """The image that came up before `image` did; None where none is on record.

    Going back takes steps back: after a rollback the image before the one gone back to is next,
    not the one that was left. What never came up isn't gone back to; of what somebody else put
    there nothing is known, so that counts as having come up.
    """
    trail: list[str] = []
    bad: list[str] = []
    for release in _applied(known):
        if not _among(release.previous_image, bad):
            _step(trail, release.previous_image)
        if release.state == record.SUCCEEDED:
            bad = [one for one in bad if not same_image(one, release.image)]
            _step(trail, release.image)
        else:
            bad.append(release.image)
    if _among(image, trail):
        _step(trail, image)
        trail.pop()
    return trail[-1] if trail else None


def is_ours(setting: str, known: Sequence[Release]) -> bool:
    """Whether the connection string came with releases of ours, and nobody changed it since.

    The first release that touched it found none, and the last one wrote this very value. A setting
    that came with a swap isn't on production's record, and counts as somebody else's.
    """
    ours = False
    last: Release | None = None
    for release in _applied(known):
        if release.setting_removed:
            ours, last = False, None
        elif release.setting_changed:
            ours = ours or not release.setting_was_there
            last = release
    return ours and last is not None and last.wants(last.digest, setting)


def swapped(slot: str, holds: str, runs: str, known: Sequence[Release]) -> bool:
    """Whether what production `runs` came by a swap with `slot`, which still `holds` what it ran
    before.
    """
    last = next((release for release in known if release.applied), None)
    return (
        last is not None
        and last.slot.lower() == slot.lower()
        and same_image(last.image, runs)
        and same_image(last.previous_image, holds)
    )


def had_before(image: str, runs: str, known: Sequence[Release]) -> bool:
    """Whether production, which `runs` something else, ran `image` at an earlier time.

    What a release was to bring that never ended isn't known to have run.
    """
    if same_image(image, runs):
        return False
    ran: list[str] = []
    for release in _applied(known):
        ran.append(release.previous_image)
        if release.state != record.PENDING:
            ran.append(release.image)
    return _among(image, ran)


def _applied(known: Sequence[Release]) -> Iterable[Release]:
    """Those that changed the site, oldest first."""
    return (release for release in reversed(known) if release.applied)


def _step(trail: list[str], image: str) -> None:
    """Goes on to `image`, or back to where it stands already."""
    for place, one in enumerate(trail):
        if same_image(one, image):
            del trail[place + 1 :]
            return
    trail.append(image)


def _among(image: str, images: Iterable[str]) -> bool:
    return any(same_image(image, one) for one in images)
