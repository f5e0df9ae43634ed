"""`--timeout` bounds a command of az, wherever Azure or the registry drips."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.support import Site
from tests.selection import rest_is_thorough

TIMEOUT = 6
START = 12.0
"""Seconds that az itself takes on a busy machine."""
PLACES: dict[str, dict[str, Any]] = {
    "the site's configuration": {"service": "arm", "path": "/config/web$"},
    "a list of registries": {"service": "arm", "path": "/registries$"},
    "the exchange of a token": {"service": "acr", "path": "^/oauth2/exchange$"},
    "a manifest": {"service": "acr", "path": "/manifests/1.0$"},
    "an upload": {"service": "acr", "path": "/blobs/uploads/"},
    "an app setting": {"service": "arm", "method": "PUT", "path": "/config/appsettings$"},
    "the write of the image": {"service": "arm", "method": "PATCH", "path": "/config/web$"},
}


@pytest.mark.parametrize("place", rest_is_thorough(PLACES, lambda place: place == "a manifest"))
def test_a_deploy_whose_time_is_up_says_so_and_leaves_the_site_as_it_was(
    site: Site, place: str
) -> None:
    with site.cloud.fault(**PLACES[place], drip=0.5, times=0):
        answer = site.deploy("--timeout", str(TIMEOUT))
    assert answer.returncode == 1, answer.show()
    assert f"The {TIMEOUT} s of --timeout ended before" in answer.stderr
    assert answer.seconds < TIMEOUT + START
    assert site.runs == site.image()
    again = site.deploy()
    assert again.returncode == 0, again.show()
