"""`az otelembed deploy --source`: from the team's Dockerfile to a site that runs it embedded."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.builders.support import Builds
from tests.e2e.support import SETTING, Site, eventually


def commit(folder: Path) -> str:
    """Make a git checkout of a folder; the commit's first 12 digits."""
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    for arguments in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "one")):
        subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)
    said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, capture_output=True, check=True)
    return said.stdout.decode()[:12]


def greets(site: Site, greeting: str) -> bool:
    """Whether the app that answers says so, and hands a span to a collector of its own."""
    greeted = site.get().text.startswith(f"{greeting} from the shop")
    return greeted and bool(site.get("/spans?n=1").json() == {"spans": 1})


def test_a_commit_becomes_a_release_and_the_same_commit_changes_nothing(builds: Builds) -> None:
    site = builds.cloud.make_site()
    builds.write(f"FROM {site.image()}", 'CMD ["/usr/local/bin/shop", "--greeting", "Built"]')
    tag = commit(builds.source)
    command = ("--source", str(builds.source))

    plan = builds.deploy(site, *command, "--dry-run", env={"DOCKER_HOST": "unix:///nowhere"})
    assert plan.returncode == 0, plan.show()
    assert f"build {builds.source} and push it as {site.image(tag)}" in plan.stderr
    assert plan.json["base"] == {"name": site.image(tag), "digest": None}
    assert plan.writes == []

    answer = builds.deploy(site, *command)
    assert answer.returncode == 0, answer.show()
    result = answer.json
    assert result["base"]["name"] == site.image(tag)
    assert result["image"]["name"].startswith(site.image(f"{tag}-otelembed-"))
    assert result["build"]["image"] == site.image(tag)
    assert [change["what"] for change in result["changes"]] == [f"app setting {SETTING}", "image"]
    assert result["seconds"]["build"] > 0
    eventually(lambda: greets(site, "Built"))

    again = builds.deploy(site, *command)
    assert again.returncode == 0, again.show()
    assert again.json["changed"] is False
    assert again.json["image"] == result["image"]


def test_a_build_that_fails_leaves_the_site_as_it_is(builds: Builds) -> None:
    site = builds.cloud.make_site()
    builds.write(f"FROM {site.image()}", "RUN exit 3")
    answer = builds.deploy(site, "--source", str(builds.source), "--tag", "2.0")
    assert answer.returncode == 1
    assert answer.stdout == ""
    assert "could not build" in answer.stderr
    assert site.runs == site.image("1.0")
    assert SETTING not in site.settings()
    assert builds.tags(site.repository) == ["1.0"]


def test_many_sites_are_deployed_with_an_image_not_with_a_source(builds: Builds) -> None:
    builds.write("FROM scratch")
    sites = [builds.cloud.make_site(wait=False).id for _ in range(2)]
    answer = builds.otelembed("deploy", "--ids", *sites, "--source", str(builds.source))
    assert answer.returncode == 1
    assert "az otelembed build" in answer.stderr, answer.show()
    assert answer.writes == []


def test_companions_of_source_are_refused_without_it(builds: Builds) -> None:
    site = builds.cloud.make_site(wait=False)
    answer = builds.deploy(site, "--build-arg", "A=1")
    assert answer.returncode == 1
    assert "--build-arg requires --source" in answer.stderr
    assert answer.writes == []
