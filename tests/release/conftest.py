"""A caller of the extension in this very process, and a site of its own for each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.support import Cloud, Site
from tests.release.fault_matrix import GROUP, Place, of_like_sites, places
from tests.release.fault_subjects import Bench
from tests.release.support import Hand, session_of


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
        cloud.delete(site)


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


@pytest.fixture(scope="module")
def bench(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(cloud, tmp_path_factory.mktemp("bench"))
    bench.release_all(f"group-{GROUP - 1}")
    return bench


@pytest.fixture(scope="module")
def places_of(bench: Bench) -> Callable[[str], list[Place]]:
    """The requests of a command."""
    known: dict[str, list[Place]] = {}

    def found(title: str) -> list[Place]:
        if title not in known:
            known[title] = places(bench, title, f"group-{GROUP - 1}")
            if "fleet" in title:
                known[title] = of_like_sites(known[title])
        return known[title]

    return found
