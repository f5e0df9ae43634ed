"""`--no-wait` begins a release and returns; `az otelembed wait` ends it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.support import SETTING, Answer, Cloud, Site

BOOM = "boom: the database is not there"


@pytest.fixture(scope="module")
def shared(cloud: Cloud) -> Site:
    """A site that runs embedded, and well; each test leaves it that way."""
    site = cloud.make_site()
    answer = site.deploy("--only-show-errors")
    assert answer.returncode == 0, answer.show()
    return site


def wait(site: Site, *arguments: str) -> Answer:
    return site.cloud.otelembed("wait", *site.arguments, *arguments)


def newest(site: Site) -> dict[str, object]:
    answer = site.cloud.otelembed("history", *site.arguments, "--only-show-errors")
    found: dict[str, object] = answer.json[0]
    return found


def test_a_release_that_is_not_waited_for_is_printed_as_pending_and_completed_by_wait(
    site: Site,
) -> None:
    begun = site.deploy("--no-wait")
    assert begun.returncode == 0, begun.show()
    result = begun.json
    assert result["release"]["state"] == "pending"
    assert (result["changed"], result["healthy"], result["evidence"]) == (True, None, {})
    assert "verify" not in result["seconds"]
    assert site.runs == result["image"]["name"]
    assert SETTING in site.settings()
    assert not [r for r in begun.requests if r["service"] == "site"], "it didn't ask the app"
    assert newest(site)["state"] == "pending"

    done = wait(site)
    assert done.returncode == 0, done.show()
    assert done.json["release"] == {"id": result["release"]["id"], "state": "succeeded"}
    assert done.json["healthy"] is True
    assert done.json["image"] == result["image"]
    assert newest(site)["state"] == "succeeded"
    # It only watches: nothing but the record's end is written.
    assert {write.split()[1].split("/manifests/")[0] for write in done.writes} == {
        "/v2/otelembed/releases"
    }


def test_wait_rolls_back_what_does_not_come_up(site: Site, tmp_path: Path) -> None:
    site.push("crash", images.shell(tmp_path, f"echo '{BOOM}'; exit 3"))
    begun = site.deploy("--image", site.image("crash"), "--no-wait")
    assert begun.returncode == 0, begun.show()
    done = wait(site, "--timeout", "20")
    assert done.returncode == 4, done.show()
    assert done.json["release"] == {**begun.json["release"], "state": "rolled back"}
    assert done.json["changed"] is False
    assert done.json["reason"] == "the new container failed: it exited with status 3"
    assert BOOM in done.stderr
    assert site.runs == site.image()
    assert SETTING not in site.settings(), "it was absent before the release"
    site.answers()
    assert newest(site)["reason"] == done.json["reason"]


@pytest.mark.thorough
def test_wait_leaves_what_does_not_come_up_when_told_to(shared: Site, tmp_path: Path) -> None:
    before = shared.runs
    shared.push("broken", images.shell(tmp_path, f"echo '{BOOM}'; exit 3"))
    begun = shared.deploy("--image", shared.image("broken"), "--no-wait")
    done = wait(shared, "--timeout", "25", "--no-rollback")
    assert done.returncode == 5, done.show()
    assert done.json["release"]["state"] == "failed"
    assert shared.runs == begun.json["image"]["name"]
    assert "az webapp config container set" in done.stderr
    shared.configure(linuxFxVersion=f"DOCKER|{before}")
    shared.answers()


@pytest.mark.thorough
def test_what_nothing_shows_is_unproven_and_told_by_status_until_it_is_accepted(
    shared: Site,
) -> None:
    shared.push("unproven", source="1.0")
    begun = shared.deploy("--image", shared.image("unproven"), "--no-wait")
    assert begun.returncode == 0, begun.show()
    unseen = {"service": "arm", "path": f"/sites/{shared.name}/containerlogs", "times": 0}
    with shared.cloud.fault(status=403, **unseen):
        done = wait(shared, "--timeout", "2")
        assert done.returncode == 6, done.show()
        assert done.json["healthy"] is None
        assert done.json["release"] == {**begun.json["release"], "state": "unproven"}
        assert shared.runs == begun.json["image"]["name"]
        told = shared.status("--check", "--wait", "60")
        assert told.returncode == 0, told.show()
        (note,) = told.json["notes"]
        assert note.startswith(f"Release {begun.json['release']['id']} is unproven: after 2 s ")
        assert f"`az otelembed wait {' '.join(shared.arguments)}`" in note
        accepted = wait(shared, "--timeout", "2", "--accept-unproven")
    assert accepted.returncode == 0, accepted.show()
    assert accepted.json["healthy"] is None
    assert newest(shared)["state"] == "unproven"
    assert shared.status().json["notes"] == []
    proven = wait(shared)
    assert proven.returncode == 0, proven.show()
    assert proven.json["release"] == {**begun.json["release"], "state": "succeeded"}


def test_with_nothing_pending_wait_ends_with_status_3(shared: Site) -> None:
    done = wait(shared)
    assert done.returncode == 3, done.show()
    assert "has no pending release" in done.stderr
    assert f"az otelembed history {' '.join(shared.arguments)}" in done.stderr
    assert done.stdout == ""
    assert done.writes == []


def test_the_same_deploy_again_ends_what_was_not_waited_for_and_another_one_stops(
    shared: Site,
) -> None:
    shared.push("2.0")
    begun = shared.deploy("--image", shared.image("2.0"), "--no-wait")
    shared.push("3.0", source="1.0")
    other = shared.deploy("--image", shared.image("3.0"), "--tag", "another")
    assert other.returncode == 1, other.show()
    assert "Another release of this site is in progress" in other.stderr
    assert shared.runs == begun.json["image"]["name"]
    again = shared.deploy("--image", shared.image("2.0"))
    assert again.returncode == 0, again.show()
    assert again.json["release"] == {**begun.json["release"], "state": "succeeded"}
    assert wait(shared).returncode == 3
