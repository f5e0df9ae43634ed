"""Releases that meet others, or whose rollback is refused."""

from __future__ import annotations

import time
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from azext_otelembed.errors import NotFound, Refused
from azext_otelembed.records.record import Release
from tests.e2e.support import IMAGES, SETTING, Cloud, Site
from tests.release.support import NEW, OLD, PUT_RECORD, Contents, Hand, MakeSite, Push, meanwhile

CONFIGURATION: dict[str, Any] = {"service": "arm", "method": "PATCH"}


def put_settings(site: Site) -> dict[str, Any]:
    """Selects the write of the site's app settings."""
    return {"service": "arm", "method": "PUT", "path": f"{site.name}/config/appsettings$"}


def test_the_setting_that_a_release_brings_is_hidden_in_its_containers_log(
    site: Site, hand: Hand, push: Push
) -> None:
    key = site.cloud.connection_string(site.component or "").split(";")[0].partition("=")[2]
    image = push(site, "chatty", f'echo "telemetry: ${SETTING}"; echo "key: {key}"; exit 3')
    ended = hand.deploy(site, image=image, timeout=20)
    assert ended.exit_status == 4, ended
    assert "telemetry: " in ended.said
    assert "key: " in ended.said
    assert key not in ended.said


@pytest.mark.thorough
def test_a_withdrawal_leaves_the_other_pending_release_as_it_was(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    """The loser read the records before the winner began, and writes its own after that."""
    site.push("2.0", IMAGES / "app", source="1.0")
    begun: list[str] = []

    def win() -> None:
        begun.append(hand.deploy(site, wait=False).release)

    pushing: dict[str, Any] = {
        "service": "acr",
        "method": "PUT",
        "path": "/manifests/2.0-otelembed",
    }
    with meanwhile(cloud, win, **pushing), pytest.raises(Refused, match="in progress"):
        hand.deploy(site, image=site.image("2.0"))
    assert begun == ["pending"]
    assert hand.states(site) == ["withdrawn", "pending"]
    assert hand.wait(site).exit_status == 0
    assert hand.states(site) == ["withdrawn", "succeeded"]


@pytest.mark.thorough
def test_twins_that_want_another_setting_are_no_twins(site: Site, hand: Hand) -> None:
    hand.deploy(site, connection_string=OLD, wait=False)
    with pytest.raises(Refused, match="in progress"):
        hand.deploy(site, connection_string=NEW)
    assert site.settings()[SETTING] == OLD
    assert hand.deploy(site, connection_string=OLD).exit_status == 0
    assert hand.states(site) == ["succeeded"]


@pytest.mark.thorough
def test_a_pending_record_outlives_the_rollback(
    site: Site, hand: Hand, cloud: Cloud, push: Push
) -> None:
    left: list[timedelta] = []

    def look() -> None:
        (release,) = Contents(cloud, site.host).releases(site)
        assert release.state == "pending"
        left.append(release.expires - datetime.now(timezone.utc))

    path = f"{site.name}/config/web$"
    with meanwhile(cloud, look, **CONFIGURATION, path=path, nth=2):
        ended = hand.deploy(site, image=push(site, "bad", "exit 3"), timeout=20)
    assert ended.exit_status == 4, ended
    assert left[0] > timedelta(seconds=230), "the old image gets 120 s, and the margin is 120 s"


def test_a_rollback_that_azure_refuses_is_told_and_can_be_repeated(
    site: Site, hand: Hand, cloud: Cloud, push: Push
) -> None:
    image = push(site, "bad", "exit 3")
    path = f"{site.name}/config/web$"
    with cloud.fault(**CONFIGURATION, path=path, nth=2, times=0, status=403):
        ended = hand.deploy(site, image=image, timeout=20)
    assert (ended.exit_status, ended.release) == (5, "pending")
    assert ended.result["healthy"] is False
    assert ended.result["reason"] == "the new container failed: it exited with status 3"
    assert "was not rolled back" in ended.said
    assert (
        f"az webapp config container set {' '.join(site.arguments)} --container-image-name "
        f"{site.image()}" in ended.said
    )
    assert site.runs != site.image()
    again = hand.deploy(site, image=image, timeout=20)
    assert again.exit_status == 4, again
    assert site.runs == site.image()
    assert SETTING not in site.settings()
    assert hand.states(site) == ["rolled back"]


def test_a_record_that_cannot_be_completed_does_not_hide_how_the_site_is(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    with cloud.fault(**PUT_RECORD, nth=2, times=0, status=403):
        ended = hand.deploy(site)
    assert (ended.exit_status, ended.release) == (0, "pending")
    assert ended.result["healthy"] is True
    assert "stays pending" in ended.said
    assert hand.wait(site).release == "succeeded"


@pytest.mark.parametrize(
    "written",
    [pytest.param(False, marks=pytest.mark.thorough, id="before"), pytest.param(True, id="after")],
)
def test_an_image_that_another_process_sets_around_the_write_of_the_setting_stays(
    site: Site, hand: Hand, cloud: Cloud, written: bool
) -> None:
    other = f"DOCKER|{site.image('9.9')}"
    before = site.settings()
    change = lambda: site.configure(linuxFxVersion=other)  # noqa: E731
    moment = put_settings(site) if written else {"path": f"{site.name}/containerlogs"}
    with (
        meanwhile(cloud, change, after=written, **moment),
        pytest.raises(Refused, match="Another process has changed the image"),
    ):
        hand.deploy(site)
    assert f"DOCKER|{site.runs}" == other
    assert site.settings() == before


@pytest.mark.thorough
def test_an_image_that_another_process_sets_in_the_verification_is_not_called_rolled_back(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    """The way back ends at once: nothing that it could wait for will come."""
    other = f"DOCKER|{site.image()}-other"
    site.push("1.0-other", IMAGES / "app", source="1.0")
    change = lambda: site.configure(linuxFxVersion=other)  # noqa: E731
    began = time.monotonic()
    with meanwhile(cloud, change, method="GET", path=f"{site.name}/instances"):
        ended = hand.deploy(site, timeout=30)
    assert time.monotonic() - began < 100
    assert (ended.exit_status, ended.release) == (5, "failed"), ended
    assert "was not rolled back: Another process has changed the image" in ended.said
    assert "was rolled back to" not in ended.said
    assert f"DOCKER|{site.runs}" == other


@pytest.mark.thorough
@pytest.mark.parametrize("value", [None, OLD], ids=["dropped", "replaced"])
def test_a_connection_string_that_another_process_takes_in_the_verification_is_no_success(
    site: Site, hand: Hand, cloud: Cloud, value: str | None
) -> None:
    change = lambda: site.set(**{SETTING: value})  # noqa: E731
    with meanwhile(cloud, change, method="GET", path=f"{site.name}/instances"):
        ended = hand.deploy(site, connection_string=NEW)
    assert (ended.exit_status, ended.release) == (6, "unproven"), ended
    assert f"another process has changed the app setting {SETTING} since" in ended.said
    assert site.settings().get(SETTING) == value
    again = hand.deploy(site, connection_string=NEW)
    assert (again.exit_status, again.release) == (0, "succeeded"), again
    assert site.settings()[SETTING] == NEW


def test_remove_leaves_a_setting_that_another_process_changed_since(site: Site, hand: Hand) -> None:
    hand.deploy(site)
    site.set(**{SETTING: OLD})
    assert hand.remove(site).exit_status == 0
    assert site.settings()[SETTING] == OLD


@pytest.mark.thorough
def test_what_others_write_while_a_removal_takes_the_setting_is_told(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    hand.deploy(site)
    with meanwhile(cloud, lambda: site.set(ADDED="1"), after=True, **put_settings(site)):
        ended = hand.remove(site)
    assert ended.exit_status == 0, ended
    assert "right after they were written: ADDED" in ended.said
    assert site.settings()["ADDED"] == "1"
    assert SETTING not in site.settings()


def test_a_rollback_from_the_rollback_goes_a_step_further_back(site: Site, hand: Hand) -> None:
    site.push("2.0", IMAGES / "app", source="1.0")
    first = hand.deploy(site).result["image"]["name"]
    hand.deploy(site, image=site.image("2.0"))
    back = hand.rollback(site).result["release"]["id"]
    assert site.runs == first
    assert hand.rollback(site).result["changed"] is False, "a job that is run twice"
    further = hand.rollback(site, goes_back_from=back).result["release"]["id"]
    assert site.runs == site.image()
    with pytest.raises(NotFound, match="No image on record ran successfully before"):
        hand.rollback(site, goes_back_from=further)


@pytest.fixture
def moving(make_site: MakeSite, cloud: Cloud) -> tuple[Site, str]:
    """A site that may pull from two registries, and an image for it in the second one."""
    shelf, other = cloud.add_registry(), cloud.add_registry()
    roles = [{"role": "AcrPull", "scope": f"{{{name}.id}}"} for name in (shelf, other)]
    site = make_site(registry=shelf, roles=roles)
    cloud.push(site.repository, "2.0", IMAGES / "app", "1.0", other)
    return site, f"{cloud.local.registries[other]}/{site.repository}:2.0"


@pytest.mark.thorough
def test_a_site_that_moves_to_another_registry_can_go_back(
    moving: tuple[Site, str], hand: Hand
) -> None:
    site, image = moving
    first = hand.deploy(site).result["image"]["name"]
    assert hand.deploy(site, image=image).exit_status == 0
    assert site.runs.startswith(image)
    back = hand.rollback(site)
    assert (back.exit_status, site.runs) == (0, first)


@pytest.mark.thorough
def test_a_release_under_way_stops_one_that_moves_to_another_registry(
    moving: tuple[Site, str], hand: Hand
) -> None:
    site, image = moving
    hand.deploy(site, wait=False)
    runs = site.runs
    with pytest.raises(Refused, match="in progress"):
        hand.deploy(site, image=image)
    assert site.runs == runs


@pytest.mark.thorough
def test_the_log_is_read_from_where_it_stood_by_azures_clock(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    stamp = site.log().splitlines()[-1].split(" ")[0]
    hand.deploy(site, wait=False)
    (release,) = Contents(cloud, site.host).releases(site)
    assert isinstance(release, Release)
    assert release.log_since >= stamp
    assert release.log_since[-1] == "Z"
    assert hand.wait(site).evidence["log"] == "the new image started and is ready"
