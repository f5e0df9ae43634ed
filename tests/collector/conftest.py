"""The collector's program, for tests of the default configuration in the collector itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from localazure.images import build
from tests.localazure.images_support import LOCAL


@pytest.fixture(scope="session")
def program() -> Path:
    """The program of the test collector."""
    return build.collector_binary(LOCAL)
