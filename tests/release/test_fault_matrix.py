"""Every command that meets a fault at any of its requests, and is run again.

`make test-all` prints the table of all cells at its end (`tests/conftest.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.e2e.support import Cloud
from tests.release.fault_matrix import GROUP, Cell, cells, places, try_all
from tests.release.fault_subjects import TITLES, Bench

RecordProperty = Callable[[str, object], None]


@pytest.fixture(scope="module")
def bench(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Bench:
    bench = Bench(cloud, tmp_path_factory.mktemp("bench"))
    bench.release_all(f"group-{GROUP - 1}")
    return bench


def is_likely(cell: Cell) -> bool:
    """Whether it is one that most mistakes show in."""
    if cell.fault == "kill":
        return cell.after
    reads = "/referrers/" in cell.place.path or cell.place.service == "arm"
    return cell.fault == "empty 200" and reads and cell.place.nth == 1 and not cell.place.writes


@pytest.mark.parametrize("title", ["rollback", "remove", "prune --delete"])
def test_a_command_killed_after_a_write_or_told_nothing_by_a_read_converges(
    bench: Bench, title: str
) -> None:
    wanted = [cell for cell in cells(places(bench, title, f"group-{GROUP - 1}")) if is_likely(cell)]
    assert len(wanted) > 3
    row = try_all(bench, title, wanted)
    assert not row.wrong, row.show()


@pytest.mark.thorough(minutes=2)
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("title", TITLES)
def test_a_command_with_a_fault_at_any_request_converges(
    bench: Bench, title: str, record_property: RecordProperty
) -> None:
    row = try_all(bench, title, cells(places(bench, title, f"group-{GROUP - 1}")))
    record_property("faults", row.as_property())
    assert not row.wrong, row.show()
    assert row.missed * 5 < sum(row.run.values()), "only a look more or less"
