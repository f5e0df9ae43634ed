"""Carries a plan out on the site: the setting first, then the image."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from azext_otelembed.errors import OtelembedError, Refused
from azext_otelembed.image.reference import same_image
from azext_otelembed.parallel import together
from azext_otelembed.webapp.app_settings import changed, write_setting
from azext_otelembed.webapp.key_vault import check_reference
from azext_otelembed.webapp.observe import SETTING, Observed, current_image, set_image

if TYPE_CHECKING:
    from azext_otelembed.azure.sites import SiteClient
    from azext_otelembed.webapp.plan import Plan


def apply(
    client: SiteClient, observed: Observed, plan: Plan, standing: Callable[[str], None]
) -> list[str]:
    """Applies `plan` and returns notes about what other writers did meanwhile.

    `standing` is told, before each write, what state things will be in if it is the last one.
    App settings are one document without conditions: it is read again just before the write and
    read back after it. A change that falls between that read and the write can't be seen. So it is
    with the image, which is read again just before it is written. Raises `Refused` when somebody
    else has changed the image: the caller takes back what was written until then.
    """
    notes: list[str] = []
    site = observed.id
    so_far = f"{site} is unchanged"
    fresh, image = together(client.settings, partial(current_image, client, observed))
    _check_image(observed, plan, image)
    if plan.setting is not None:
        notes += _changed_meanwhile(observed.settings, fresh)
        if fresh.get(SETTING) != plan.setting.value:
            during = f"the app setting {SETTING} of {site} may or may not be set"
            with _told(standing, f"{during}; its image is unchanged", so_far):
                notes += write_setting(client, plan.setting.value, fresh)
            so_far = f"the app setting {SETTING} of {site} is set; its image is unchanged"
            standing(so_far)
            try:
                _check_reference(client, plan.setting.value, fresh.get(SETTING))
            except Refused:
                standing(f"{site} is as it was")
                raise
            # Writing the setting took a while, and so may its reference have.
            image = current_image(client, observed)
            _check_image(observed, plan, image, "What was changed is put back.")
    if plan.image is not None and not same_image(image, plan.image):
        during = (
            f"{site} may or may not point at the new image yet; put the old one back with "
            f"`{put_back(observed, observed.image)}`"
        )
        with _told(standing, during, so_far):
            set_image(client, observed, str(plan.image))
    if plan.removes_setting:
        fresh = client.settings()
        standing(
            f"{site} points at the new image; the app setting {SETTING} may or may not be removed"
        )
        if SETTING in fresh:
            notes += write_setting(client, None, fresh)
    return notes


def _check_image(
    observed: Observed, plan: Plan, image: str, left: str = "Nothing was changed."
) -> None:
    if same_image(image, observed.image) or (plan.image and same_image(image, plan.image)):
        return
    raise Refused(
        f"Somebody else has changed the image of {observed.id} meanwhile, from {observed.image} to "
        f"{image or 'none'}. {left}",
        "Run the same command again.",
    )


def _check_reference(client: SiteClient, value: str, before: str | None) -> None:
    """A reference that can't be resolved goes again, and what was there before comes back."""
    try:
        check_reference(client, value)
    except Refused as refused:
        write_setting(client, before, client.settings())
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
    names = changed(before, now)
    if not names:
        return []
    return [
        f"Somebody else changed app settings meanwhile, and they were kept: {', '.join(names)}."
    ]
