"""Carries a plan out on the site: the setting first, then the image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial

from azext_otelembed.az_commands import option
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.errors import AzureFailed, OtelembedError, Refused
from azext_otelembed.image.reference import same_image
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.webapp.key_vault import check_reference
from azext_otelembed.webapp.observe import SETTING, Observed, current_image, set_image
from azext_otelembed.webapp.plan import Plan


def apply(
    client: SiteClient,
    arm: Arm,
    observed: Observed,
    plan: Plan,
    set_state: Callable[[str], None],
    continuing: str,
) -> list[str]:
    """Applies `plan` and returns notes about changes that other processes made meanwhile.

    Before each write, `set_state` gets the state that things are in if the process ends there;
    `continuing` is the command that continues the release from there.
    Settings and image are read again just before the write: a change between that read and the
    write can't be detected (see `write_setting`). Raises `Refused` if another process has changed
    the image, or if the settings that `plan` follows from were not read: the caller undoes what was
    written until then.
    """
    notes: list[str] = []
    site = observed.id
    again = "run the same command again to continue"
    so_far = f"{site} is unchanged"
    fresh, image = run_concurrently(client.settings, partial(current_image, client, observed))
    _check_image(observed, plan, image)
    if fresh and not observed.settings:
        raise Refused(
            f"App settings of {site}: Azure answered at first that there are none, and now with "
            f"{len(fresh)} of them. Nothing was changed.",
            "Run the same command again.",
        )
    if plan.setting is not None:
        if names := _changed(observed.settings, fresh):
            notes.append(
                "Another process changed app settings in the meantime, and they were kept: "
                f"{', '.join(names)}."
            )
        if fresh.get(SETTING) != plan.setting.value:
            during = f"the app setting {SETTING} of {site} may or may not be set"
            with _write(set_state, f"{during}; its image is unchanged; {again}", so_far):
                notes += write_setting(client, plan.setting.value, fresh)
            so_far = f"the app setting {SETTING} of {site} is set; its image is unchanged; {again}"
            set_state(so_far)
            try:
                _check_reference(client, arm, observed, plan.setting.value, fresh.get(SETTING))
            except Refused:
                set_state(f"{site} is as it was before")
                raise
            # The write took a while, and the check of a reference up to a minute.
            image = current_image(client, observed)
            _check_image(observed, plan, image, "The changes are undone.")
    if plan.image is not None and not same_image(image, plan.image):
        during = (
            f"{site} may or may not run the new image yet; restore the old one with "
            f"`{restore_command(observed, observed.image)}`, or {again}"
        )
        with _write(set_state, during, so_far):
            set_image(client, observed, str(plan.image))
    if plan.removes_setting:
        notes += _remove_setting(client, set_state, continuing)
    return notes


def write_setting(client: SiteClient, value: str | None, fresh: Mapping[str, str]) -> list[str]:
    """Sets the connection string to `value` (None removes it); returns notes on other writers.

    App settings are one document, replaced as a whole and without conditions: `fresh` is what was
    read just before. A change between that read and the write can't be detected. The document is
    read back, and differences are returned as notes. Raises `AzureFailed` if the connection string
    differs.
    """
    wanted = {name: held for name, held in fresh.items() if name != SETTING}
    if value is not None:
        wanted[SETTING] = value
    client.put_settings(wanted)
    found = client.settings()
    if found.get(SETTING) != value:
        raise AzureFailed(
            f"The app setting {SETTING} of {client.id} doesn't read back as it was written: "
            "another process may be writing app settings.",
            "Run the same command again.",
        )
    names = ", ".join(_changed(wanted, found))
    if not names:
        return []
    return [f"Another process changed app settings right after they were written: {names}."]


def _remove_setting(
    client: SiteClient, set_state: Callable[[str], None], continuing: str
) -> list[str]:
    fresh = client.settings()
    if SETTING not in fresh:
        return []
    set_state(
        f"{client.id} runs the new image; the app setting {SETTING} may or may not be removed; "
        f"continue with `{continuing}`"
    )
    return write_setting(client, None, fresh)


def restore_command(observed: Observed, image: str) -> str:
    """The az command that makes the site (or its main container) run `image`."""
    site = observed.id
    if observed.container is None:
        return site.command("webapp config container set", "--container-image-name", image)
    words = ["--container-name", observed.container, "--image", image]
    # az resets these two unless they are given again (2.91: update_webapp_sitecontainer).
    if port := observed.container_properties.get("targetPort"):
        words += ["--target-port", str(port)]
    if startup := observed.container_properties.get("startUpCommand"):
        words += option("--startup-cmd", observed.startup_word(str(startup)))
    return site.command("webapp sitecontainers update", *words)


def _changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The names of other settings that differ between two readings."""
    names = {*before, *now} - {SETTING}
    return sorted(name for name in names if before.get(name) != now.get(name))


def _check_image(
    observed: Observed, plan: Plan, image: str, state: str = "Nothing was changed."
) -> None:
    if same_image(image, observed.image) or (plan.image and same_image(image, plan.image)):
        return
    raise Refused(
        f"Another process has changed the image of {observed.id}, from {observed.image} to "
        f"{image or 'none'}. {state}",
        "Run the same command again.",
    )


def _check_reference(
    client: SiteClient, arm: Arm, observed: Observed, value: str, before: str | None
) -> None:
    """Checks a Key Vault reference. One that can't be resolved is replaced by the old value."""
    try:
        check_reference(client, arm, observed, value)
    except Refused as refused:
        write_setting(client, before, client.settings())
        raise Refused(
            f"{refused.message} The setting was restored; the image is unchanged.",
            refused.recommendation,
        ) from None


@contextmanager
def _write(set_state: Callable[[str], None], during: str, refused: str) -> Iterator[None]:
    """Around a write: the state `during` it, and the state if Azure refuses it."""
    set_state(during)
    try:
        yield
    except OtelembedError as error:
        if error.refused:
            set_state(refused)
        raise
