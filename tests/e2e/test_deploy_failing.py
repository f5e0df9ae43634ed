"""A site whose new container fails to start: the messages, and the command that restores it."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.support import API_KEY, IMAGES, SETTING, Answer, Cloud, Site

LEAVE = ("--no-rollback", "--timeout")
BOOM = "boom: the database is not there"


@pytest.fixture(scope="module")
def shared(cloud: Cloud) -> Site:
    """A site that runs embedded, and well; each test leaves it that way."""
    site = cloud.make_site()
    answer = site.deploy("--only-show-errors")
    assert answer.returncode == 0, answer.show()
    return site


def way_back(answer: Answer) -> list[str]:
    """The command that a failed deploy offers, as words."""
    lines = [line.strip() for line in answer.stderr.splitlines()]
    (command,) = [line for line in lines if line.startswith("az webapp config container set ")]
    return shlex.split(command)


def goes_back(site: Site, answer: Answer) -> None:
    """Runs the command that a failed deploy offers, and sees the site come back."""
    words = way_back(answer)
    assert words[0] == "az"
    done = site.cloud.run(*words[1:], "-o", "none")
    assert done.returncode == 0, done.show()
    assert site.runs == answer.json["changes"][-1]["before"]
    site.answers()


def test_a_container_that_exits_is_told_with_its_last_words_and_the_way_back(
    shared: Site, tmp_path: Path
) -> None:
    shared.push("crash", images.shell(tmp_path, f"echo '{BOOM}'; echo $PAYMENT_API_KEY; exit 3"))
    answer = shared.deploy("--image", shared.image("crash"), *LEAVE, "25")
    assert answer.returncode == 5, answer.show()
    result = answer.json
    assert result["healthy"] is False
    assert result["changed"] is True
    assert result["reason"] == "the new container failed: it exited with status 3"
    assert result["image"]["name"] == shared.runs
    assert f"Web App '{shared.name}' fails to start" in answer.stderr
    assert result["reason"] in answer.stderr
    assert BOOM in answer.stderr
    assert API_KEY not in answer.stderr + answer.stdout
    again = shared.deploy("--image", shared.image("crash"))
    assert again.returncode == 5, again.show()
    assert again.json["changed"] is False
    assert "runs the wanted image, but" in again.stderr
    assert BOOM in again.stderr
    assert API_KEY not in again.stderr
    assert f"az otelembed rollback {' '.join(shared.arguments)}" in again.stderr
    goes_back(shared, answer)


def test_a_container_that_listens_nowhere_is_told_by_its_port(shared: Site, tmp_path: Path) -> None:
    shared.push("silent", images.shell(tmp_path, "echo here I am; sleep 1000"))
    shared.set(WEBSITES_CONTAINER_START_TIME_LIMIT="3")
    answer = shared.deploy("--image", shared.image("silent"), *LEAVE, "25")
    assert answer.returncode == 5, answer.show()
    assert answer.json["reason"] == (
        "the new container failed: it didn't answer on port 8080 within 3 s"
    )
    assert "here I am" in answer.stderr
    shared.set(WEBSITES_CONTAINER_START_TIME_LIMIT=None)
    goes_back(shared, answer)


def test_an_old_container_that_still_answers_is_not_taken_for_the_new_one(
    shared: Site, tmp_path: Path
) -> None:
    shared.push("slow", images.shell(tmp_path, "sleep 1000"))
    answer = shared.deploy("--image", shared.image("slow"), *LEAVE, "8")
    assert answer.returncode == 5, answer.show()
    assert shared.get().status_code == 200, "the old container serves meanwhile"
    assert answer.json["reason"] == "after 8 s the container log doesn't show the new image ready"
    assert answer.json["evidence"]["log"] == "the new image is starting"
    goes_back(shared, answer)


def test_an_image_that_the_site_may_not_pull_is_told(
    cloud: Cloud, make_site: Callable[..., Site]
) -> None:
    site = make_site()
    other = cloud.add_registry()
    cloud.push("moved", "1.0", IMAGES / "app", registry=other)
    group = f"/subscriptions/{cloud.local.subscription}/resourceGroups/{site.group}"
    # Who may not read the registry's role assignments can't see beforehand that one is missing.
    caller = cloud.caller(
        ("Website Contributor", group),
        ("AcrPush", cloud.registry_id(other)),
    )
    hub = cloud.local.registries["hub"]
    answer = site.deploy(
        *("--image", f"{cloud.local.registries[other]}/moved:1.0"),
        *("--collector-image", f"{hub}/otel/opentelemetry-collector-contrib:0.150.0"),
        *LEAVE,
        "25",
        az=caller,
    )
    assert answer.returncode == 5, answer.show()
    reason = "the new container failed: its image can't be pulled: unauthorized"
    assert answer.json["reason"] == reason
    assert f"--setting-names {SETTING}" in answer.stderr
    goes_back(site, answer)


def test_a_stopped_site_is_left_alone_since_nothing_could_be_verified(shared: Site) -> None:
    runs, settings = shared.runs, shared.settings()
    assert shared.cloud.run("webapp", "stop", *shared.arguments).returncode == 0
    answer = shared.deploy("--tag", "never")
    assert answer.returncode == 1, answer.show()
    assert "is stopped" in answer.stderr
    assert answer.writes == []
    assert (shared.runs, shared.settings()) == (runs, settings)
    command = re.search(r"`(az webapp start [^`]*)`", answer.stderr)
    assert command
    assert shared.cloud.run(*shlex.split(command[1])[1:]).returncode == 0
    shared.answers()


def test_only_show_errors_still_tells_what_failed(shared: Site, tmp_path: Path) -> None:
    shared.push("quiet", images.shell(tmp_path, f"echo '{BOOM}'; exit 4"))
    arguments = ("--image", shared.image("quiet"), *LEAVE, "25", "--only-show-errors")
    answer = shared.deploy(*arguments)
    assert answer.returncode == 5, answer.show()
    assert answer.stderr.startswith(f"otelembed: Web App '{shared.name}' fails to start: ")
    assert BOOM in answer.stderr
    again = shared.deploy(*arguments)
    assert again.returncode == 5, again.show()
    assert again.json["changed"] is False, (
        "what runs is what was asked for, and it is still unhealthy"
    )
    assert again.json["healthy"] is False
    goes_back(shared, answer)
