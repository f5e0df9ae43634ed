"""The one app setting, written into a document that others write to as well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from azext_otelembed.errors import AzureFailed
from azext_otelembed.webapp.observe import SETTING

if TYPE_CHECKING:
    from azext_otelembed.azure.sites import SiteClient


def write_setting(client: SiteClient, value: str | None, fresh: Mapping[str, str]) -> list[str]:
    """Sets the connection string to `value` (None removes it); returns notes on other writers.

    App settings are one document, replaced as a whole and without conditions: `fresh` is what was
    read just before. What falls between that read and the write can't be seen, so the document is
    read back: what differs then is told. Raises `AzureFailed` where our own setting does.
    """
    wanted = {name: held for name, held in fresh.items() if name != SETTING}
    if value is not None:
        wanted[SETTING] = value
    client.put_settings(wanted)
    found = client.settings()
    if found.get(SETTING) != value:
        raise AzureFailed(
            f"The app setting {SETTING} of {client.id} doesn't read back as it was written: "
            "somebody else may be writing app settings.",
            "Run the same command again.",
        )
    differ = changed(wanted, found)
    if not differ:
        return []
    names = ", ".join(differ)
    return [f"Somebody else changed app settings right after they were written: {names}."]


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The names of other settings that two readings differ in."""
    names = {*before, *now} - {SETTING}
    return sorted(name for name in names if before.get(name) != now.get(name))
