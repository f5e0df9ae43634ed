"""One double for the tests of releases, and a caller of the extension in this very process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from localazure.az import Az
from localazure.client import LocalAzure
from localazure.seed import demo
from tests.e2e import images
from tests.e2e.support import EXTENSIONS, IMAGES, Cloud, Site
from tests.release.support import Hand, session_of
from tests.warm import WarmAz

GROUPS = 500


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """The double with its registries. Its az is not logged in: see `az`."""
    if not (IMAGES / "app" / "index.json").exists():
        pytest.fail(f"{IMAGES} is missing: `make setup` makes it", pytrace=False)
    directory: Path = tmp_path_factory.mktemp("cloud")
    seed = demo()
    names = [f"group-{number}" for number in range(1, GROUPS)]
    seed["groups"] += [{"name": name, "location": "westeurope"} for name in names]
    seed["sites"] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "localhost,127.0.0.1")
        with (
            LocalAzure.start(directory / "localazure", seed) as local,
            WarmAz(local, directory / "azure", EXTENSIONS) as az,
        ):
            yield Cloud(local, az, directory)


@pytest.fixture(scope="session")
def az(cloud: Cloud) -> Az:
    """The real az, logged in as the owner."""
    cloud.az.login()
    return cloud.az


@pytest.fixture(scope="session")
def hand(cloud: Cloud) -> Hand:
    """The owner, with quick eyes."""
    return Hand(session_of(cloud.local))


@pytest.fixture
def make_site(cloud: Cloud) -> Iterator[Callable[..., Site]]:
    """`Cloud.make_site`; the sites are deleted after the test, and its faults cleared."""
    made: list[Site] = []

    def make(**spec: object) -> Site:
        made.append(cloud.make_site(**spec))  # type: ignore[arg-type]
        return made[-1]

    yield make
    cloud.local.clear_faults()
    for site in made:
        cloud.arm("DELETE", site.id)


@pytest.fixture
def site(make_site: Callable[..., Site]) -> Site:
    """A site that runs the sample app, not embedded."""
    return make_site()


@pytest.fixture
def push(tmp_path: Path) -> Callable[[Site, str, str], str]:
    """Pushes an image that runs a shell script on the sample app's files; returns its name."""

    def pushed(site: Site, tag: str, script: str) -> str:
        layout = images.variant(tmp_path / tag, Entrypoint=["/bin/sh", "-c", script], Cmd=[])
        site.push(tag, layout, source="1.0")
        return site.image(tag)

    return pushed
