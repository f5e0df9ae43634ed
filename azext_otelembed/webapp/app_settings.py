"""Writes the connection string into the app settings, which other processes write to as well."""

from __future__ import annotations

from collections.abc import Mapping

from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.errors import AzureFailed
from azext_otelembed.webapp.observe import SETTING


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
    names = ", ".join(changed(wanted, found))
    if not names:
        return []
    return [f"Another process changed app settings right after they were written: {names}."]


def changed(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """The names of other settings that differ between two readings."""
    names = {*before, *now} - {SETTING}
    return sorted(name for name in names if before.get(name) != now.get(name))
