"""The worker's double with az logged in; a site of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from localazure.az import Az
from tests.e2e.support import Cloud, Site


@pytest.fixture(scope="session")
def cloud(cloud: Cloud, az: Az) -> Cloud:
    """The worker's, with az logged in as the subscription's owner."""
    assert cloud.az is az
    return cloud


@pytest.fixture
def make_site(cloud: Cloud) -> Iterator[Callable[..., Site]]:
    """`Cloud.make_site` for one test, after which its sites are stopped and its faults cleared."""
    before = len(cloud.awake)
    yield cloud.make_site
    cloud.local.clear_faults()
    cloud.rest(before)


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A site that runs the sample app, not embedded."""
    return make_site()
