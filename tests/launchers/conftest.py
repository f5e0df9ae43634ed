"""One folder of unpacked images for all tests of launchers."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where images are unpacked and containers write."""
    return tmp_path_factory.mktemp("containers")
