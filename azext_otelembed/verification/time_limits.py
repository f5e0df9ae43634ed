"""The time limits of a site's start, from its app settings. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from azext_otelembed.whole_number import whole_number

START_LIMIT = 230
"""Seconds within which App Service expects a container to answer; the app setting changes it."""
LONGEST_START_LIMIT = 1800
"""The largest value of the app setting (learn.microsoft.com, "Environment variables and app
settings in Azure App Service")."""
START_LIMIT_SETTING = "WEBSITES_CONTAINER_START_TIME_LIMIT"
PULL_ALLOWANCE = 300
"""Seconds granted for pulling an image, which App Service doesn't count: a real pull took 169 s."""
SETTLING = 70
"""Seconds that follow ready: the old container stops, and the new one answers steadily."""


def start_limit(settings: Mapping[str, str]) -> int:
    """Seconds after which App Service stops a container that doesn't answer."""
    given = settings.get(START_LIMIT_SETTING, "").strip()
    return min(whole_number(given, 10**9 - 1) or START_LIMIT, LONGEST_START_LIMIT)


def default_timeout(settings: Mapping[str, str]) -> int:
    """Seconds that a verification may take: 600, or more where the start limit is longer."""
    return PULL_ALLOWANCE + max(start_limit(settings), START_LIMIT) + SETTLING
