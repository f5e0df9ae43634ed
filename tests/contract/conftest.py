"""One double for all recordings, of its own: lists of a subscription hold what was recorded and no
other test's resources, whose shapes may differ."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from localazure.client import LocalAzure
from localazure.images.assemble import Entry, Image, layer, write_layout
from tests.contract.stage import COMPONENT, GROUP, PLAN, REGISTRY, Stage


@pytest.fixture(scope="session")
def hello_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An OCI layout with a small image, tag latest."""
    layout = tmp_path_factory.mktemp("images")
    image = Image([layer([Entry("hello", b"hello", 0o755)])], {"Cmd": ["/hello"]})
    write_layout(layout, image, "latest")
    return layout


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, hello_world: Path) -> Iterator[Stage]:
    """A running double with what the recordings need."""
    image = {"tag": "latest", "layout": str(hello_world)}
    seed = {
        "groups": [{"name": GROUP, "location": "westeurope", "tags": {"product": "otelembed"}}],
        "plans": [{"group": GROUP, "name": PLAN, "location": "West Europe"}],
        "registries": [
            {"name": REGISTRY, "group": GROUP, "admin_enabled": True},
            {"name": "hub", "acr": False, "aliases": ["docker.io", "registry.hub.docker.com"]},
            {"name": "anonymous", "group": GROUP, "anonymous_pull": True},
        ],
        "components": [{"name": COMPONENT, "group": GROUP}],
        "images": [
            {"registry": REGISTRY, "repository": "hello-world", **image},
            {"registry": "anonymous", "repository": "hello-world", **image},
            {"registry": "hub", "repository": "library/hello-world", **image},
        ],
    }
    directory = tmp_path_factory.mktemp("contract")
    with LocalAzure.start(directory, seed) as double, double.http() as http:
        yield Stage(double, http, double.token())
