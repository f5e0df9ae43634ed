"""Undoing a release: the image and the setting that the site had before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.image.reference import same_image
from azext_otelembed.records.record import Release
from azext_otelembed.webapp.apply import write_setting
from azext_otelembed.webapp.observe import SETTING, Observed, current_image, set_image
from azext_otelembed.webapp.plan import Plan


@dataclass(frozen=True, slots=True)
class PreviousState:
    """What a site had before a release: `image`, and `setting` (a secret; None: it had none).

    `restores_setting` is False if the setting stays: it wasn't changed, or its old value is lost
    with the process that knew it, since values are never recorded.
    """

    image: str
    setting: str | None = field(repr=False)
    restores_setting: bool


def previous_state(observed: Observed, plan: Plan, unfinished: Release | None) -> PreviousState:
    """The state to roll back to. `unfinished` is a release of this site that a crash left pending.

    If the site runs the image of the unfinished release, which was never verified, it is the state
    before that release.
    """
    now = observed.settings.get(SETTING)
    writes = plan.changes_setting
    if unfinished is None or not same_image(observed.image, unfinished.image):
        kept = unfinished.setting_existed if unfinished and unfinished.setting_changed else True
        setting = now if kept else None
        return PreviousState(observed.image, setting, writes or not kept)
    # A removal that was stopped before it removed the setting has lost no value.
    kept_it = unfinished.setting_removed and now is not None
    lost = unfinished.setting_changed and unfinished.setting_existed and not kept_it
    added = unfinished.setting_changed and not unfinished.setting_existed
    return PreviousState(
        image=unfinished.previous_image,
        setting=None if added else now,
        restores_setting=added or (writes and not lost),
    )


def restore(
    client: SiteClient,
    observed: Observed,
    previous: PreviousState,
    image: str,
    setting: str | None,
    set_state: Callable[[str], None],
    continuing: str,
) -> tuple[bool, list[str]]:
    """Undoes what a release wrote, and nothing else. Returns whether the site has the previous
    image now, and notes about what was not restored.

    `image` and `setting` are what the release wrote. If the site has something else now, another
    process wrote that, and it stays. `set_state` gets the state that things are in meanwhile;
    `continuing` is the command that continues from there.
    """
    notes: list[str] = []
    site = client.id
    set_state(
        f"{site} may have its old or its new image and setting: see "
        f"`{site.command('otelembed status')}`; continue with `{continuing}`"
    )
    current = current_image(client, observed)
    is_restored = any(same_image(current, one) for one in (image, previous.image))
    if same_image(current, image) and not same_image(image, previous.image):
        set_image(client, observed, previous.image)
    elif not is_restored:
        notes.append(f"Another process has changed the image to {current}: it was not restored.")
    if not previous.restores_setting:
        return is_restored, notes
    fresh = client.settings()
    if fresh.get(SETTING) == previous.setting:
        return is_restored, notes
    if setting is not None and fresh.get(SETTING) != setting:
        notes.append(f"Another process has changed {SETTING}: it was not restored.")
        return is_restored, notes
    return is_restored, notes + write_setting(client, previous.setting, fresh)
