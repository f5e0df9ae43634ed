"""Which rows of a table `make test` runs; `make test-all` runs the others as well."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest

Row = TypeVar("Row")


def rest_is_thorough(rows: Iterable[Row], always: Callable[[Row], bool]) -> list[Any]:
    """All rows, for `parametrize`; those that `make test` doesn't run have the mark `thorough`."""
    return [row if always(row) else pytest.param(row, marks=pytest.mark.thorough) for row in rows]
