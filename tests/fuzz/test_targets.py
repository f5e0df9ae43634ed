"""A short run over every parser of foreign bytes; `run.py` is the long one."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import SEEDS
from tests.fuzz.shapes import reshaped
from tests.fuzz.targets import TARGETS, run


@pytest.mark.parametrize("name", TARGETS)
def test_the_seeds_and_json_of_another_shape_are_read_or_are_a_problem(name: str) -> None:
    for seed in SEEDS[name]:
        run(name, seed)
        try:
            document = json.loads(seed)
        except ValueError:
            continue
        for other in reshaped(document):
            run(name, json.dumps(other).encode())
    run(name, b"[" * 200_000)


@pytest.mark.parametrize("name", TARGETS)
@settings(deadline=None, max_examples=100)
@given(data=st.data())
def test_damaged_seeds_and_any_bytes_are_read_or_are_a_problem(
    name: str, data: st.DataObject
) -> None:
    damaged = bytearray(data.draw(st.sampled_from(SEEDS[name]) | st.binary(max_size=2000)))
    for _ in range(data.draw(st.integers(0, 6))):
        start = data.draw(st.integers(0, len(damaged)))
        end = data.draw(st.integers(start, min(len(damaged), start + 40)))
        damaged[start:end] = data.draw(st.binary(max_size=40))
    run(name, bytes(damaged))
