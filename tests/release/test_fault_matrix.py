"""Every command that meets a fault at any of its requests, and is run again.

A test run that includes all of it prints the table of cells at its end (`tests/conftest.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.support import Cloud
from tests.release.fault_matrix import (
    FAULTS,
    GROUP,
    Cell,
    Place,
    cells,
    of_like_sites,
    places,
    try_all,
)
from tests.release.fault_subjects import TITLES, Bench

RecordProperty = Callable[[str, object], None]
PlacesOf = Callable[[str], list[Place]]


@pytest.fixture(scope="module")
def bench(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(cloud, tmp_path_factory.mktemp("bench"))
    bench.release_all(f"group-{GROUP - 1}")
    return bench


@pytest.fixture(scope="module")
def places_of(bench: Bench) -> PlacesOf:
    """The requests of a command."""
    known: dict[str, list[Place]] = {}

    def found(title: str) -> list[Place]:
        if title not in known:
            known[title] = places(bench, title, f"group-{GROUP - 1}")
            if "fleet" in title:
                known[title] = of_like_sites(known[title])
        return known[title]

    return found


def is_likely(cell: Cell) -> bool:
    """Whether it is one that most mistakes show in."""
    if cell.fault == "kill":
        return cell.after
    reads = "/referrers/" in cell.place.path or cell.place.service == "arm"
    return reads and cell.place.nth == 1 and not cell.place.writes


@pytest.mark.parametrize("title", ["rollback", "remove", "prune --delete"])
def test_a_command_killed_after_a_write_or_told_nothing_by_a_read_converges(
    bench: Bench, places_of: PlacesOf, title: str
) -> None:
    wanted = [cell for cell in cells(places_of(title), "kill", "empty 200") if is_likely(cell)]
    assert len(wanted) > 3
    results = try_all(bench, title, wanted)
    assert not results.wrong, results.show()


@pytest.mark.thorough(minutes=1)
@pytest.mark.timeout(340)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("title", TITLES)
def test_a_command_with_a_fault_at_any_request_converges(
    bench: Bench,
    places_of: PlacesOf,
    record_property: RecordProperty,
    title: str,
    fault: str,
) -> None:
    results = try_all(bench, title, cells(places_of(title), fault))
    failed = len(results.wrong)
    record_property("cells", [title, fault, results.run, failed, results.seconds])
    assert not results.wrong, results.show()
    assert results.missed * 4 <= results.run, "only a look more or less"
