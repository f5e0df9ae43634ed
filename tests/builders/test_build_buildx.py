"""docker with buildx, whose BuildKit builds and pushes."""

from __future__ import annotations

import pytest

from localazure.images.shell import static_busybox
from tests.builders.support import Builds
from tests.needs import program

# buildx takes minutes to compile.
pytestmark = pytest.mark.thorough


@pytest.fixture
def buildx(builds: Builds) -> dict[str, str]:
    """The environment of az for somebody whose docker has buildx."""
    environment = builds.environment()
    plugins = builds.folder / "home" / ".docker" / "cli-plugins"
    plugins.mkdir(parents=True)
    (plugins / "docker-buildx").symlink_to(program("buildx"))
    return environment


def test_buildx_builds_and_pushes_with_credentials_that_were_lent(
    builds: Builds, buildx: dict[str, str]
) -> None:
    # No FROM the registry: BuildKit within Docker 20.10 speaks plain HTTP to localhost.
    source = builds.write(
        "FROM scratch", "COPY --chmod=755 busybox /bin/sh", 'CMD ["/bin/sh", "-c", "echo started"]'
    )
    (source / "busybox").write_bytes(static_busybox())
    answer = builds.build(env=buildx)
    assert answer.returncode == 0, answer.show()
    assert answer.json["build"]["engine"].startswith("docker buildx ")
    assert "COPY --chmod=755 busybox /bin/sh" in answer.stderr
    builds.log_in()
    embedded = answer.json["image"]["name"]
    builds.engine.pull(embedded)
    assert builds.engine.run("run", "--rm", embedded).stdout == "started\n"


def test_a_build_that_fails_shows_buildxs_last_lines(
    builds: Builds, buildx: dict[str, str]
) -> None:
    builds.write("FROM scratch", "COPY missing /")
    answer = builds.build(env=buildx)
    assert answer.returncode == 1
    assert "docker buildx" in answer.stderr
    assert "/missing" in answer.stderr
    assert "docker buildx build -f" in answer.stderr
