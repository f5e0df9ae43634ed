"""Whether a launcher is done before App Service loses patience."""

from __future__ import annotations

from collections.abc import Mapping

from azext_otelembed.image.launcher import Launcher

# "Environment variables and app settings in Azure App Service" (learn.microsoft.com): how long a
# container has from its stop signal until it is killed.
SETTING = "WEBSITES_CONTAINER_STOP_TIME_LIMIT"
DEFAULT = 5

_APP = 1
"""Seconds for the app itself, which ends before the grace begins."""


def too_short(launcher: Launcher, settings: Mapping[str, str]) -> str | None:
    """A word of warning where the grace of `drain` doesn't fit; None where it does."""
    if launcher.kind != "drain":
        return None
    told = settings.get(SETTING, "").strip()
    limit = int(told) if told.isascii() and told.isdigit() else DEFAULT
    if launcher.grace + _APP <= limit:
        return None
    return (
        f"App Service kills a container {limit} s after it told it to stop: too soon for the app's "
        f"own end and the {launcher.grace} s that the collector is left then. Give a smaller "
        f"--grace, or set {SETTING} to {launcher.grace + 3} or more."
    )
