"""`az otelembed history`: the releases of a site."""

from __future__ import annotations

from typing import Any

from azext_otelembed.image.reference import same_image
from azext_otelembed.records import record
from azext_otelembed.release.recorded_site import RecordedSite


def history(site: RecordedSite) -> list[dict[str, Any]]:
    """All releases on record, newest first; `current` marks the one that runs."""
    current = next(
        (
            release.id
            for release in site.known
            if release.state == record.SUCCEEDED and same_image(release.image, site.observed.image)
        ),
        None,
    )
    return [
        {"number": number, "current": release.id == current, **release.as_result()}
        for number, release in enumerate(site.known)
    ]
