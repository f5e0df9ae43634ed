"""Azure's time on a machine whose clock differs."""

from __future__ import annotations

import time
from email.utils import formatdate

import pytest

from azext_otelembed.azure.clock import Clock


@pytest.mark.parametrize("ahead", [-120, 0, 120])
def test_the_date_of_an_answer_is_azures_time(ahead: int) -> None:
    clock = Clock()
    clock.set(formatdate(time.time() + ahead, usegmt=True))
    assert clock.now() - time.time() == pytest.approx(ahead, abs=1.5)


@pytest.mark.parametrize(
    "date", [None, "", "yesterday", "Fri, 99 Nov 2026 06:00:00 GMT", "1" * 200]
)
def test_an_answer_without_a_date_changes_nothing(date: str | None) -> None:
    clock = Clock()
    clock.set(date)
    assert clock.now() == pytest.approx(time.time(), abs=0.5)
