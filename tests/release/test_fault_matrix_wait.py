"""`wait` for pending releases that meet a fault at any of their requests, and are run again.

A part of the matrix of `test_fault_matrix`: files run side by side.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.release.fault_matrix import FAULTS, Place, check_row
from tests.release.fault_subjects import TITLES, Bench

RecordProperty = Callable[[str, object], None]
PlacesOf = Callable[[str], list[Place]]


@pytest.mark.thorough(minutes=1)
@pytest.mark.timeout(340)
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("title", [one for one in TITLES if one.startswith("wait")])
def test_a_wait_with_a_fault_at_any_request_converges(
    bench: Bench,
    places_of: PlacesOf,
    record_property: RecordProperty,
    title: str,
    fault: str,
) -> None:
    check_row(bench, places_of(title), title, fault, record_property)
