"""Releases whose site answers while nothing shows the new container."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from azext_otelembed.console import Console
from azext_otelembed.errors import NotFound, Refused
from azext_otelembed.records import release_lock
from azext_otelembed.release import recorded_release
from azext_otelembed.release.fleet import deploy_fleet
from tests.e2e.support import IMAGES, SETTING, Cloud, Site
from tests.release.support import (
    PUT_RECORD,
    Contents,
    Hand,
    MakeSite,
    Push,
    id_of,
    meanwhile,
    request_of,
    writes,
)

SHORT = 10
"""Seconds until the time is up. They are too few to prove a site by its answers alone."""
START_LIMIT = "WEBSITES_CONTAINER_START_TIME_LIMIT"


def hide_log(site: Site) -> None:
    """Azure gives no container log of the site, or of its slot, until the faults are cleared."""
    of_slot = f"/slots/{site.slot}" if site.slot else ""
    path = f"/sites/{site.name}{of_slot}/containerlogs"
    site.cloud.local.fault(service="arm", path=path, status=403, times=0)


@contextmanager
def hidden_log(site: Site) -> Iterator[None]:
    hide_log(site)
    try:
        yield
    finally:
        site.cloud.local.clear_faults()


@pytest.fixture
def unproven(site: Site, hand: Hand) -> Site:
    """A site whose newest release is unproven."""
    with hidden_log(site):
        assert hand.deploy(site, timeout=SHORT).exit_status == 6
    return site


def test_a_site_that_answers_is_neither_called_healthy_nor_rolled_back(
    site: Site, hand: Hand
) -> None:
    with hidden_log(site):
        ended = hand.deploy(site, timeout=SHORT)
    assert (ended.exit_status, ended.release) == (6, "unproven")
    assert ended.result["healthy"] is None
    assert ended.result["changed"] is True
    assert ended.result["reason"].startswith(f"after {SHORT} s ")
    assert site.runs == ended.result["image"]["name"]
    assert SETTING in site.settings()
    (told,) = hand.history(site)
    assert (told["state"], told["current"]) == ("unproven", True)
    assert told["reason"] == ended.result["reason"]
    assert "The release is unproven and stays in place." in ended.said
    assert f"Missing: {ended.result['reason']}." in ended.said
    arguments = " ".join(site.arguments)
    for command in (f"wait {arguments}", f"status {arguments} --check", f"rollback {arguments}"):
        assert f"  az otelembed {command}\n" in ended.said


def test_it_is_verified_again_by_the_same_command(unproven: Site, hand: Hand) -> None:
    (first,) = hand.history(unproven)
    ended = hand.deploy(unproven)
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    assert (ended.result["healthy"], ended.result["changes"]) == (True, [])
    (told,) = hand.history(unproven)
    assert (told["id"], told["state"]) == (first["id"], "succeeded")


def test_it_is_verified_again_by_wait(unproven: Site, hand: Hand) -> None:
    (first,) = hand.history(unproven)
    with hidden_log(unproven):
        still = hand.wait(unproven, timeout=SHORT)
    assert (still.exit_status, still.release, still.result["healthy"]) == (6, "unproven", None)
    ended = hand.wait(unproven)
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    (told,) = hand.history(unproven)
    assert (told["id"], told["state"]) == (first["id"], "succeeded")
    with pytest.raises(NotFound, match="no pending release"):
        hand.wait(unproven)


@pytest.mark.thorough
def test_it_is_rolled_back_when_it_is_verified_again_and_has_failed(
    site: Site, hand: Hand, push: Push
) -> None:
    app = "exec /usr/local/bin/docker-entrypoint.sh /usr/local/bin/shop"
    image = push(site, "late", f'[ -z "$BROKEN" ] || exit 3; {app}')
    with hidden_log(site):
        assert hand.deploy(site, image=image, timeout=SHORT).exit_status == 6
    site.set(BROKEN="1")
    ended = hand.deploy(site, image=image, timeout=20)
    assert (ended.exit_status, ended.release) == (4, "rolled back")
    assert ended.result["changed"] is False
    assert site.runs == site.image()
    assert SETTING not in site.settings()
    assert hand.states(site) == ["rolled back"]


@pytest.mark.thorough
def test_another_image_is_released_over_it_and_a_rollback_skips_it(
    site: Site, hand: Hand, push: Push
) -> None:
    proven = hand.deploy(site).result["image"]["name"]
    site.push("2.0", IMAGES / "app", source="1.0")
    with hidden_log(site):
        hand.deploy(site, image=site.image("2.0"), timeout=SHORT)
    unproven = site.runs
    failed = hand.deploy(site, image=push(site, "bad", "exit 3"), timeout=20)
    assert failed.exit_status == 4
    assert site.runs == unproven, "the site had it and answered: a failed release restores it"
    ended = hand.rollback(site)
    assert (ended.exit_status, ended.result["image"]["name"]) == (0, proven)
    assert hand.states(site) == ["succeeded", "rolled back", "unproven", "succeeded"]


@pytest.mark.thorough
def test_a_release_that_is_verified_again_stops_another_one_and_withdraws_for_none(
    unproven: Site, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    unproven.push("2.0", IMAGES / "app", source="1.0")
    other = {"image": unproven.image("2.0"), "wait": False}
    with (
        meanwhile(unproven.cloud, lambda: refuse(hand, unproven, other), service="site", nth=2),
        hidden_log(unproven),
    ):
        hand.wait(unproven, timeout=SHORT)
    monkeypatch.setattr(release_lock, "PATIENCE", 1.0)
    # This time the other one begins first, after this one has read the records.
    with (
        meanwhile(unproven.cloud, lambda: hand.deploy(unproven, **other), **PUT_RECORD),
        pytest.raises(Refused, match="in progress"),
    ):
        hand.deploy(unproven)
    assert hand.states(unproven) == ["pending", "unproven"]


def refuse(hand: Hand, site: Site, given: dict[str, Any]) -> None:
    with pytest.raises(Refused, match="in progress"):
        hand.deploy(site, **given)


def test_accepted_it_ends_with_status_0_and_is_not_verified_again(site: Site, hand: Hand) -> None:
    with hidden_log(site):
        ended = hand.deploy(site, timeout=SHORT, accept_unproven=True)
    assert (ended.exit_status, ended.release, ended.result["healthy"]) == (0, "unproven", None)
    assert "--accept-unproven accepts" in ended.said
    assert "az otelembed" not in ended.said
    before = site.cloud.mark()
    with hidden_log(site):
        again = hand.deploy(site, timeout=SHORT)
    assert (again.exit_status, again.result["release"]) == (0, None)
    assert writes(site.cloud.requests(before)) == []
    assert hand.history(site)[0]["reason"].startswith("accepted: after")


@pytest.mark.thorough
def test_a_release_without_wait_is_unproven_when_it_is_waited_for(site: Site, hand: Hand) -> None:
    hand.deploy(site, wait=False)
    with hidden_log(site):
        assert hand.wait(site, timeout=SHORT).exit_status == 6
        accepted = hand.wait(site, timeout=SHORT, accept_unproven=True)
    assert (accepted.exit_status, accepted.release) == (0, "unproven")


@pytest.mark.thorough
def test_a_removal_and_a_rollback_can_be_unproven_too(site: Site, hand: Hand) -> None:
    hand.deploy(site)
    with hidden_log(site):
        ended = hand.remove(site, timeout=SHORT)
    assert (ended.exit_status, ended.release, ended.result["healthy"]) == (6, "unproven", None)
    assert ended.result["changed"] is True
    assert site.runs == site.image()


# The way back


@pytest.mark.parametrize(
    ("accept", "status"),
    [pytest.param(False, 5), pytest.param(True, 4, marks=pytest.mark.thorough)],
    ids=["not accepted", "accepted"],
)
def test_an_unproven_way_back_is_said_and_is_status_4_only_if_it_is_accepted(
    site: Site,
    hand: Hand,
    push: Push,
    monkeypatch: pytest.MonkeyPatch,
    accept: bool,
    status: int,
) -> None:
    monkeypatch.setattr(recorded_release, "ROLLBACK_TIMEOUT", SHORT)
    image = push(site, "bad", "exit 3")
    back: dict[str, Any] = {"method": "PATCH", "path": f"{site.name}/config/web", "nth": 2}
    with meanwhile(site.cloud, lambda: hide_log(site), **back):
        ended = hand.deploy(site, image=image, timeout=SHORT, accept_unproven=accept)
    assert (ended.exit_status, ended.release) == (status, "rolled back")
    assert (ended.result["healthy"], ended.result["changed"]) == (False, False)
    told = f"was rolled back to {site.image()}, but nothing shows that its container serves."
    assert told in ended.said
    assert site.runs == site.image()
    assert "; rolled back, unproven: after" in hand.history(site)[0]["reason"]


# Slots and fleets


@pytest.fixture
def pair(cloud: Cloud) -> Iterator[tuple[Site, Site]]:
    """Production and its slot, with the same app."""
    production = cloud.make_site()
    slot = cloud.make_site(
        group=production.group,
        name=production.name,
        slot="staging",
        repository=production.repository,
        component=False,
    )
    yield production, slot
    cloud.local.clear_faults()
    cloud.delete(production)


@pytest.mark.thorough
def test_an_unproven_slot_is_swapped_only_if_it_is_accepted(
    pair: tuple[Site, Site], hand: Hand
) -> None:
    production, slot = pair
    with hidden_log(slot):
        ended = hand.deploy(slot, swap=True, timeout=SHORT)
        assert (ended.exit_status, ended.release) == (6, "unproven")
        assert "was not swapped with production" in ended.said
        assert production.runs == production.image()
        accepted = hand.deploy(slot, swap=True, timeout=15, accept_unproven=True)
    assert (accepted.exit_status, accepted.release) == (0, "succeeded")
    assert production.runs == accepted.result["image"]["name"]


@pytest.mark.thorough
def test_an_unproven_production_is_not_swapped_back_and_is_verified_again(
    pair: tuple[Site, Site], hand: Hand
) -> None:
    production, slot = pair
    with hidden_log(production):
        ended = hand.deploy(slot, swap=True, image=slot.image(), timeout=SHORT)
    assert (ended.exit_status, ended.release, ended.result["healthy"]) == (6, "unproven", None)
    assert production.runs == ended.result["image"]["name"]
    assert slot.runs == slot.image()
    assert f"az otelembed wait {' '.join(production.arguments)}\n" in ended.said
    again = hand.deploy(slot, swap=True, image=slot.image())
    assert (again.exit_status, again.release) == (0, "succeeded")
    assert [release.state for release in Contents(slot.cloud, slot.host).releases(production)] == [
        "succeeded"
    ]


@pytest.mark.parametrize(
    ("accept", "missing", "status"),
    [
        pytest.param(False, False, 6),
        pytest.param(False, True, 3, marks=pytest.mark.thorough),
        pytest.param(True, False, 0, marks=pytest.mark.thorough),
    ],
)
def test_an_unproven_site_is_the_least_bad_one_of_a_fleet(
    site: Site, hand: Hand, accept: bool, missing: bool, status: int
) -> None:
    sites = [id_of(site)] + [replace(id_of(site), name="nowhere")] * missing
    said = io.StringIO()
    request = request_of(timeout=SHORT, pace=hand.pace, accept_unproven=accept)
    with hidden_log(site):
        outcome = deploy_fleet(hand.session, sites, request, Console(stream=said), 1)
    assert outcome.exit_status == status
    assert outcome.result["failed"] == (not accept) + missing
    assert f"{site.name}: {'ok' if accept else 'unproven (6)'}" in said.getvalue()
    assert outcome.result["sites"][0]["healthy"] is None


# The time limit


@pytest.mark.parametrize(
    ("settings", "timeout", "expected"),
    [({}, None, 600), ({START_LIMIT: "900"}, None, 1270), ({START_LIMIT: "900"}, 100, 100)],
)
def test_a_pending_release_lasts_as_long_as_the_site_may_take_to_start(
    make_site: MakeSite, hand: Hand, settings: dict[str, str], timeout: int | None, expected: int
) -> None:
    site = make_site(settings=settings)
    hand.deploy(site, timeout=timeout, wait=False)
    (release,) = Contents(site.cloud, site.host).releases(site)
    lasts = release.expires - release.started - release_lock.MARGIN
    assert timedelta(0) <= lasts - timedelta(seconds=expected) < timedelta(seconds=10)


def test_a_swap_takes_as_long_as_the_slots_settings_require(
    pair: tuple[Site, Site], hand: Hand
) -> None:
    """They become production's."""
    production, slot = pair
    slot.set(**{START_LIMIT: "900"})
    left: list[timedelta] = []

    def look() -> None:
        (release,) = Contents(slot.cloud, slot.host).releases(production)
        left.append(release.expires - release.started)

    start: dict[str, Any] = {"service": "arm", "method": "POST", "path": "/slotsswap$"}
    with meanwhile(slot.cloud, look, **start):
        ended = hand.deploy(slot, swap=True, timeout=None)
    assert ended.exit_status == 0, ended
    assert left[0] >= timedelta(seconds=1270) + release_lock.MARGIN


def test_the_time_limit_bounds_the_command_and_not_only_the_verification(
    site: Site, hand: Hand
) -> None:
    """What comes before the release counts; without time for it nothing is changed."""
    pull = {"service": "acr", "method": "PUT", "path": f"/v2/{site.repository}/manifests/"}
    with (
        site.cloud.fault(**pull, latency=3.5),
        pytest.raises(Refused, match="the 3 s of --timeout"),
    ):
        hand.deploy(site, timeout=3)
    assert site.runs == site.image()
    assert SETTING not in site.settings()
    assert hand.history(site) == []
    with site.cloud.fault(**pull, latency=3.5):
        assert hand.deploy(site, timeout=60).exit_status == 0
