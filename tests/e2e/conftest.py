"""One double and one logged-in az for all end-to-end tests; a site of its own for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from localazure.az import AZ
from localazure.client import LocalAzure
from localazure.seed import demo
from tests.e2e.support import EXTENSIONS, IMAGES, Cloud, Site
from tests.warm import WarmAz

GROUPS = 500
"""Resource groups there are from the start: a test's site takes the next one."""


_CLOUDS: list[Cloud] = []
"""The session's one, once a test has asked for it."""


def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> None:
    """Stops the sites of a test file with its last test."""
    if nextitem is not None and nextitem.path != item.path:
        for cloud in _CLOUDS:
            cloud.rest()


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The double with its registries, and az logged in as the subscription's owner."""
    for needed in (AZ, EXTENSIONS / "otelembed", IMAGES / "app" / "index.json"):
        if not needed.exists():
            pytest.fail(f"{needed} is missing: `make setup` makes it", pytrace=False)
    directory = tmp_path_factory.mktemp("cloud")
    seed = demo()
    names = [f"group-{number}" for number in range(1, GROUPS)]
    seed["groups"] += [{"name": name, "location": "westeurope"} for name in names]
    with (
        LocalAzure.start(directory / "localazure", seed) as local,
        WarmAz(local, directory / "azure", EXTENSIONS) as az,
    ):
        az.login()
        _CLOUDS.append(Cloud(local, az, directory))
        yield _CLOUDS[0]


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
