"""Carries a plan out on the site: the setting first, then the image."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from azext_otelembed.errors import AzureFailed, OtelembedError, Refused
from azext_otelembed.parallel import together
from azext_otelembed.release.observe import SETTING, Observed, current_image, set_image
from azext_otelembed.release.plan import same_image
from azext_otelembed.release.vault import check_reference

if TYPE_CHECKING:
    from azext_otelembed.azure.site import SiteClient
    from azext_otelembed.release.plan import Plan


def apply(
    client: SiteClient, observed: Observed, plan: Plan, standing: Callable[[str], None]
) -> list[str]:
    """Applies `plan` and returns notes about what other writers did meanwhile.

    `standing` is told, before each write, what state things will be in if it is the last one.
    App settings are one document without conditions: it is read again just before the write and
    read back after it. A change that falls between that read and the write can't be seen.
    Raises `Refused`, before anything is written, when somebody else has changed the image.
    """
    notes: list[str] = []
    site = observed.id
    so_far = f"{site} is unchanged"
    fresh, image = together(client.settings, partial(current_image, client, observed))
    _check_image(observed, plan, image)
    if plan.setting is not None:
        notes += _changed_meanwhile(observed.settings, fresh)
        if fresh.get(SETTING) != plan.setting.value:
            wanted = {**fresh, SETTING: plan.setting.value}
            during = f"the app setting {SETTING} of {site} may or may not be set"
            with _told(standing, f"{during}; its image is unchanged", so_far):
                client.put_settings(wanted)
            so_far = f"the app setting {SETTING} of {site} is set; its image is unchanged"
            standing(so_far)
            notes += _check(str(site), wanted, client.settings())
            try:
                _check_reference(client, plan.setting.value, fresh.get(SETTING))
            except Refused:
                standing(f"{site} is as it was")
                raise
    if plan.image is not None and not same_image(image, plan.image):
        during = (
            f"{site} may or may not point at the new image yet; put the old one back with "
            f"`{put_back(observed, observed.image)}`"
        )
        with _told(standing, during, so_far):
            set_image(client, observed, plan.image)
    if plan.removes_setting:
        fresh = client.settings()
        standing(
            f"{site} points at the new image; the app setting {SETTING} may or may not be removed"
        )
        wanted = {name: value for name, value in fresh.items() if name != SETTING}
        if wanted != fresh:
            client.put_settings(wanted)
    return notes


def _check_image(observed: Observed, plan: Plan, image: str) -> None:
    if same_image(image, observed.image) or (plan.image and same_image(image, plan.image)):
        return
    raise Refused(
        f"Somebody else has changed the image of {observed.id} meanwhile, from {observed.image} to "
        f"{image or 'none'}. Nothing was changed.",
        "Run the same command again.",
    )


def _check_reference(client: SiteClient, value: str, before: str | None) -> None:
    """A reference that can't be resolved goes again, and what was there before comes back."""
    try:
        check_reference(client, value)
    except Refused as refused:
        kept = {name: held for name, held in client.settings().items() if name != SETTING}
        client.put_settings(kept if before is None else {**kept, SETTING: before})
        raise Refused(
            f"{refused.message} The setting was put back; the image is unchanged.",
            refused.recommendation,
        ) from None


@contextmanager
def _told(standing: Callable[[str], None], during: str, refused: str) -> Iterator[None]:
    """Around a write: what state it may leave things in, and what they are in if it is refused."""
    standing(during)
    try:
        yield
    except OtelembedError as error:
        if error.refused:
            standing(refused)
        raise


def put_back(observed: Observed, image: str) -> str:
    """The az command that makes the site (or its main container) run `image`."""
    site = observed.id
    if observed.container is None:
        return f"az webapp config container set {site.arguments} --container-image-name {image}"
    command = (
        f"az webapp sitecontainers update {site.arguments} --container-name {observed.container} "
        f"--image {image}"
    )
    # az resets these two unless they are given again (2.91: update_webapp_sitecontainer).
    port = observed.container_properties.get("targetPort")
    startup = observed.container_properties.get("startUpCommand")
    command += f" --target-port {port}" if port else ""
    return command + (f" --startup-cmd {shlex.quote(str(startup))}" if startup else "")


def _changed_meanwhile(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    changed = sorted(
        name for name in {*before, *now} if name != SETTING and before.get(name) != now.get(name)
    )
    if not changed:
        return []
    return [
        f"Somebody else changed app settings meanwhile, and they were kept: {', '.join(changed)}."
    ]


def _check(site: str, written: Mapping[str, str], read: Mapping[str, str]) -> list[str]:
    if read.get(SETTING) != written[SETTING]:
        raise AzureFailed(
            f"The app setting {SETTING} of {site} doesn't read back as it was written: somebody "
            "else may be writing app settings.",
            "Run the same command again.",
        )
    differ = sorted(name for name in written if read.get(name) != written[name])
    if not differ:
        return []
    names = ", ".join(differ)
    return [f"Somebody else changed app settings right after they were written: {names}."]
