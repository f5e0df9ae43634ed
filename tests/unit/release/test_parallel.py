"""Calls side by side, a few at a time."""

from __future__ import annotations

import threading
import time

import pytest

from azext_otelembed.release.parallel import for_each


def test_each_item_gets_its_result_and_no_more_than_so_many_run_at_once() -> None:
    lock = threading.Lock()
    counts = [0, 0]

    def call(item: int) -> int:
        with lock:
            counts[0] += 1
            counts[1] = max(counts)
        time.sleep(0.01)
        with lock:
            counts[0] -= 1
        return item * item

    assert for_each(range(20), call, 4) == [item * item for item in range(20)]
    assert 2 <= counts[1] <= 4
    assert for_each([], call) == []


@pytest.mark.parametrize("error", [ValueError, IndexError])
def test_an_error_is_raised_and_nothing_further_begins(error: type[Exception]) -> None:
    begun: list[int] = []

    def call(item: int) -> None:
        begun.append(item)
        raise error(item)

    with pytest.raises(error):
        for_each(range(100), call, 2)
    assert len(begun) <= 2
