"""A real Docker engine, and the worker's double with az."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.builders.support import Builds
from tests.e2e.conftest import cloud as cloud
from tests.e2e.support import Cloud
from tests.engine import Engine
from tests.engine import docker_engine as docker_engine


@pytest.fixture
def builds(cloud: Cloud, docker_engine: Engine, tmp_path: Path) -> Builds:
    """The three together, with a home folder and a source folder of the test's own."""
    return Builds(cloud, docker_engine, tmp_path)
