"""Commands that meet a fault at any of their requests, and are run again: rollback and remove here.

The other commands are in `test_fault_matrix_*`: files run side by side.

A test run that includes all of it prints the table of cells at its end (`tests/conftest.py`).
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.release.fault_matrix import FAULTS, Cell, Place, cells, check_row, try_all
from tests.release.fault_subjects import Bench

RecordProperty = Callable[[str, object], None]
PlacesOf = Callable[[str], list[Place]]


def is_likely(cell: Cell) -> bool:
    """Whether it is one that most mistakes show in."""
    if cell.fault == "kill":
        return cell.after
    reads = "/referrers/" in cell.place.path or cell.place.service == "arm"
    return reads and cell.place.nth == 1 and not cell.place.writes


@pytest.mark.parametrize(
    "title", ["rollback", pytest.param("remove", marks=pytest.mark.thorough), "prune --delete"]
)
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
@pytest.mark.parametrize("title", ["rollback", "remove"])
def test_a_command_with_a_fault_at_any_request_converges(
    bench: Bench,
    places_of: PlacesOf,
    record_property: RecordProperty,
    title: str,
    fault: str,
) -> None:
    check_row(bench, places_of(title), title, fault, record_property)
