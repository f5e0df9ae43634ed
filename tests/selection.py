"""Which rows of a table `make test` runs; `make test-all` runs the others as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest
from _pytest.mark import ParameterSet

Row = TypeVar("Row")


def rest_is_thorough(
    rows: Iterable[Row], always: Callable[[Row], bool]
) -> list[Row | ParameterSet]:
    """All rows, for `parametrize`; those that aren't run `always` carry the mark `thorough`."""
    return [row if always(row) else pytest.param(row, marks=pytest.mark.thorough) for row in rows]
