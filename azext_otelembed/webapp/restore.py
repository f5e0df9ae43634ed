"""The way back: the image and the one setting as they were before a release."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from azext_otelembed.image.reference import same_image
from azext_otelembed.webapp.app_settings import write_setting
from azext_otelembed.webapp.observe import SETTING, Observed, current_image, set_image
from azext_otelembed.webapp.plan import Plan

if TYPE_CHECKING:
    from azext_otelembed.azure.sites import SiteClient
    from azext_otelembed.records.record import Release


@dataclass(frozen=True, slots=True)
class Before:
    """What a site had before a release: `image`, and `setting` (a secret; None: it had none).

    `restores_setting` is False where the setting stays: it wasn't changed, or its old value died
    with the process that knew it, since values are never recorded.
    """

    image: str
    setting: str | None = field(repr=False)
    restores_setting: bool


def before(observed: Observed, plan: Plan, unfinished: Release | None) -> Before:
    """What to go back to. `unfinished` is a release of this site that a crash left pending.

    Where the site runs the unfinished release's image, nobody ever saw that come up: what was
    there before it counts.
    """
    now = observed.settings.get(SETTING)
    writes = plan.setting is not None or plan.removes_setting
    if unfinished is None or not same_image(observed.image, unfinished.image):
        kept = unfinished.setting_was_there if unfinished and unfinished.setting_changed else True
        setting = now if kept else None
        return Before(observed.image, setting, writes or not kept)
    lost = unfinished.setting_changed and unfinished.setting_was_there
    added = unfinished.setting_changed and not unfinished.setting_was_there
    return Before(
        image=unfinished.previous_image,
        setting=None if added else now,
        restores_setting=added or (writes and not lost),
    )


def put_everything_back(
    client: SiteClient,
    observed: Observed,
    earlier: Before,
    image: str,
    setting: str | None,
    standing: Callable[[str], None],
) -> list[str]:
    """Undoes what a release wrote, and nothing else; returns notes about what was left alone.

    `image` and `setting` are what the release wrote: where the site has something else by now,
    somebody else put it there, and it stays.
    """
    notes: list[str] = []
    site = client.id
    standing(
        f"{site} may have its old or its new image and setting: see `az otelembed status "
        f"{site.arguments}`"
    )
    current = current_image(client, observed)
    if same_image(current, image) and not same_image(image, earlier.image):
        set_image(client, observed, earlier.image)
    elif not same_image(current, earlier.image):
        notes.append(f"The image was changed by somebody else meanwhile, to {current}: it stays.")
    if not earlier.restores_setting:
        return notes
    fresh = client.settings()
    if fresh.get(SETTING) == earlier.setting:
        return notes
    if setting is not None and fresh.get(SETTING) != setting:
        return [*notes, f"Somebody else changed {SETTING} meanwhile: it stays."]
    return notes + write_setting(client, earlier.setting, fresh)
