"""podman in docker's place."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.builders.support import Builds
from tests.needs import lacking, program

STORAGE = """\
[storage]
driver = "overlay"
runroot = "{0}/run"
graphroot = "{0}/root"
"""
# As in a container that is given no network and no cgroups of its own.
CONTAINERS = """\
[containers]
netns = "host"
cgroups = "disabled"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
"""


@pytest.fixture
def podman(builds: Builds) -> Iterator[dict[str, str]]:
    """The environment of az on a machine that has podman and no docker."""
    program("podman")
    if os.geteuid() != 0:
        lacking("podman would need subordinate ids for this user")
    folder = builds.folder / "podman"
    folder.mkdir()
    (folder / "storage.conf").write_text(STORAGE.format(folder))
    (folder / "containers.conf").write_text(CONTAINERS)
    environment = builds.environment(
        PATH=builds.path_without("docker"),
        CONTAINERS_STORAGE_CONF=str(folder / "storage.conf"),
        CONTAINERS_CONF=str(folder / "containers.conf"),
    )
    yield environment
    everything = {**os.environ, **environment}
    subprocess.run(["podman", "system", "reset", "--force"], env=everything, check=False)


@pytest.mark.thorough
def test_podman_builds_and_pushes_with_credentials_that_were_lent(
    builds: Builds, podman: dict[str, str]
) -> None:
    builds.write(
        f"FROM {builds.base()}", "RUN echo built by podman", 'HEALTHCHECK CMD ["true"]', "LABEL a=b"
    )
    answer = builds.build(env=podman)
    assert answer.returncode == 0, answer.show()
    assert answer.json["build"]["engine"].startswith("podman ")
    assert "built by podman" in answer.stderr
    builds.log_in()
    found = builds.engine.pull(answer.json["image"]["name"])
    assert found["Config"]["Labels"]["a"] == "b"
    assert found["Config"]["Healthcheck"]["Test"] == ["CMD", "true"]
    assert not Path(builds.folder / "home" / ".config").exists()


def test_a_build_that_fails_shows_podmans_last_lines(
    builds: Builds, podman: dict[str, str]
) -> None:
    builds.write(
        f"FROM {builds.base()}",
        *("ARG NPM_TOKEN", "ARG AZURE_CLIENT_SECRET=none"),
        "RUN echo 401 with $NPM_TOKEN and $AZURE_CLIENT_SECRET; echo compiling && exit 7",
    )
    variables = {"NPM_TOKEN": "npm-5f1e8b7c", "AZURE_CLIENT_SECRET": "sesame-1"}
    answer = builds.build("--build-arg", "NPM_TOKEN", env=podman | variables)
    assert answer.returncode == 1
    assert "podman" in answer.stderr
    assert "\n  | 401 with *** and none\n" in answer.stderr
    assert "\n  | compiling\n" in answer.stderr
    assert "npm-5f1e8b7c" not in answer.stderr
    assert "podman build -f" in answer.stderr
