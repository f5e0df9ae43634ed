"""Rollback, remove and wait that are stopped and run again, or run twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from azext_otelembed.errors import InvalidInput, NotFound, OtelembedError, Refused
from azext_otelembed.records import release_lock
from tests.e2e.support import IMAGES, SETTING, Cloud, Site
from tests.release.stopping import stop_at
from tests.release.support import OLD, Contents, Ended, Hand, MakeSite, Push, writes
from tests.selection import rest_is_thorough

RECORD = ("PUT", "/otelembed/releases/manifests/sha256")
IMAGE = ("PATCH", "/config/web")
SETTINGS = ("PUT", "/config/appsettings")
LOG = ("POST", "/containerlogs")
REFERRERS: dict[str, Any] = {
    "service": "acr",
    "method": "GET",
    "path": "/v2/otelembed/releases/referrers/",
}
PLACES: dict[str, tuple[str, str, int, bool]] = {
    "before its record": (*RECORD, 1, False),
    "after its record": (*RECORD, 1, True),
    "before the image": (*IMAGE, 1, False),
    "after the image": (*IMAGE, 1, True),
    "in the verification": (*LOG, 3, True),
    "before its end is recorded": (*RECORD, 2, False),
    "after its end is recorded": (*RECORD, 2, True),
}


def stop(place: str, command: Callable[[], object]) -> None:
    """Runs a command, and ends its process at `place`."""
    method, path, nth, after = PLACES[place]
    stop_at(command, method, path, nth, after=after)


@pytest.fixture
def two(site: Site, hand: Hand) -> tuple[Site, str, str]:
    """A site that was deployed twice, and the images: it runs the second one."""
    site.push("2.0", IMAGES / "app", source="1.0")
    first = hand.deploy(site).result["image"]["name"]
    second = hand.deploy(site, image=site.image("2.0")).result["image"]["name"]
    return site, first, second


@pytest.mark.parametrize("is_over", rest_is_thorough([False, True], lambda over: over))
@pytest.mark.parametrize("place", rest_is_thorough(PLACES, lambda place: "verif" in place))
def test_a_rollback_that_was_stopped_goes_back_no_further_when_it_is_run_again(
    two: tuple[Site, str, str],
    hand: Hand,
    place: str,
    is_over: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    site, first, second = two
    settings = site.settings()
    with monkeypatch.context() as hurried:
        if is_over:
            hurried.setattr(release_lock, "MARGIN", timedelta(seconds=-100))
        stop(place, lambda: hand.rollback(site))
    again = hand.rollback(site)
    assert (again.exit_status, site.runs) == (0, first)
    assert again.result["from"]["image"] == second
    assert hand.states(site) == ["succeeded"] * 3, "one record of the rollback"
    assert site.settings() == settings
    site.answers()


def test_a_rollback_that_is_made_is_not_made_again(two: tuple[Site, str, str], hand: Hand) -> None:
    site, first, second = two
    newest, oldest = (one["id"] for one in hand.history(site))
    back = hand.rollback(site)
    assert (back.exit_status, site.runs) == (0, first)
    assert back.result["from"] == {"id": newest, "image": second}
    listed = hand.history(site)
    assert [one["command"] for one in listed] == ["rollback", "deploy", "deploy"]
    assert [one["from"] for one in listed] == [newest, None, None]
    made = back.result["release"]["id"]

    before = site.cloud.mark()
    again = hand.rollback(site)
    assert (again.exit_status, again.result["changed"], again.result["changes"]) == (0, False, [])
    assert again.result["release"] == {"id": made, "state": "succeeded"}
    assert f"release {made} has set {first} already" in again.said
    assert f"--from {made}" in again.said
    pinned = hand.rollback(site, goes_back_from=newest)
    assert (pinned.exit_status, pinned.result["changed"]) == (0, False)
    tag = first.rpartition(":")[2]
    assert hand.rollback(site, tag).result["changed"] is False
    assert hand.rollback(site, "0").result["changed"] is False
    assert not writes(site.cloud.requests(before))
    assert site.runs == first

    with pytest.raises(InvalidInput, match=f"doesn't run this release.*of release {made}"):
        hand.rollback(site, goes_back_from=oldest)
    with pytest.raises(NotFound, match="'0123' is no release on record"):
        hand.rollback(site, goes_back_from="0123")
    further = hand.rollback(site, goes_back_from=made)
    assert (further.exit_status, site.runs) == (0, site.image())
    assert hand.rollback(site, goes_back_from=newest).result["changed"] is False


@pytest.mark.thorough
def test_a_rollback_to_a_number_that_is_made_is_not_made_again(
    two: tuple[Site, str, str], hand: Hand
) -> None:
    site, first, second = two
    assert (hand.rollback(site, "1").exit_status, site.runs) == (0, first)
    again = hand.rollback(site, "1")
    assert (again.exit_status, again.result["changed"], site.runs) == (0, False, first)
    assert hand.deploy(site, image=site.image("2.0")).exit_status == 0
    assert site.runs == second
    assert (hand.rollback(site).exit_status, site.runs) == (0, first)
    # Another process sets an image: the next rollback is another one.
    site.configure(linuxFxVersion=f"DOCKER|{second}")
    assert (hand.rollback(site).exit_status, site.runs) == (0, first)


@pytest.mark.thorough
def test_a_rollback_to_something_else_waits_for_the_one_in_progress(
    two: tuple[Site, str, str], hand: Hand
) -> None:
    site, first, _ = two
    stop("after the image", lambda: hand.rollback(site))
    with pytest.raises(Refused, match="in progress"):
        hand.rollback(site, "1.0")
    with pytest.raises(Refused, match="in progress"):
        hand.remove(site)
    tag = first.rpartition(":")[2]
    assert (hand.rollback(site, tag).exit_status, site.runs) == (0, first)
    assert hand.states(site) == ["succeeded"] * 3


REMOVALS = ["after its record", "after the image", "before its end is recorded"]
FINISH: dict[str, Callable[[Hand, Site], Ended]] = {"remove": Hand.remove, "wait": Hand.wait}


@pytest.mark.parametrize("is_over", rest_is_thorough([False, True], lambda over: not over))
@pytest.mark.parametrize("place", rest_is_thorough(REMOVALS, lambda place: "image" in place))
@pytest.mark.parametrize("command", FINISH)
def test_a_removal_that_was_stopped_is_finished(
    site: Site,
    hand: Hand,
    command: str,
    place: str,
    is_over: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = site.settings()
    hand.deploy(site)
    with monkeypatch.context() as hurried:
        if is_over:
            hurried.setattr(release_lock, "MARGIN", timedelta(seconds=-100))
        stop(place, lambda: hand.remove(site))
    ended = FINISH[command](hand, site)
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    assert (site.runs, site.settings()) == (site.image(), settings)
    assert hand.states(site) == ["succeeded", "succeeded"]
    assert hand.history(site)[0]["command"] == "remove"
    site.answers()


@pytest.mark.thorough
def test_a_removal_that_keeps_the_setting_after_all(site: Site, hand: Hand) -> None:
    hand.deploy(site)
    settings = site.settings()
    stop("after the image", lambda: hand.remove(site))
    ended = hand.remove(site, keep_setting=True)
    assert (ended.exit_status, site.runs, site.settings()) == (0, site.image(), settings)


@pytest.mark.thorough
def test_a_setting_that_another_process_wrote_during_a_removal_stays(
    site: Site, hand: Hand
) -> None:
    hand.deploy(site)
    stop("after the image", lambda: hand.remove(site))
    site.set(**{SETTING: OLD})
    ended = hand.remove(site)
    assert (ended.exit_status, site.runs, site.settings()[SETTING]) == (0, site.image(), OLD)


@pytest.mark.thorough
def test_a_removal_that_never_ended_leaves_the_setting_to_the_next_one(
    site: Site, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = site.settings()
    hand.deploy(site)
    with monkeypatch.context() as hurried:
        hurried.setattr(release_lock, "MARGIN", timedelta(seconds=-100))
        stop("after the image", lambda: hand.remove(site))
    assert hand.deploy(site).exit_status == 0
    assert hand.remove(site).exit_status == 0
    assert site.settings() == settings


@pytest.mark.thorough
def test_a_stopped_removal_whose_image_fails_puts_image_and_setting_back(
    site: Site, hand: Hand, push: Push
) -> None:
    embedded = hand.deploy(site).result["image"]["name"]
    settings = site.settings()
    push(site, "1.0", "exit 3")
    stop("after the image", lambda: hand.remove(site))
    ended = hand.remove(site, timeout=6)
    assert (ended.exit_status, site.runs) == (4, embedded)
    assert site.settings() == settings
    assert hand.states(site) == ["rolled back", "succeeded"]


@pytest.mark.thorough
@pytest.mark.parametrize("place", list(PLACES)[1:-1])
def test_wait_finishes_a_rollback(two: tuple[Site, str, str], hand: Hand, place: str) -> None:
    site, first, _ = two
    stop(place, lambda: hand.rollback(site))
    ended = hand.wait(site)
    assert (ended.exit_status, ended.release, site.runs) == (0, "succeeded", first)
    assert hand.states(site) == ["succeeded"] * 3
    with pytest.raises(NotFound, match="no pending release"):
        hand.wait(site)


@pytest.mark.thorough
def test_wait_ends_a_rollback_whose_image_another_process_has_changed(
    two: tuple[Site, str, str], hand: Hand
) -> None:
    site, *_ = two
    stop("before the image", lambda: hand.rollback(site))
    site.configure(linuxFxVersion=f"DOCKER|{site.image()}")
    with pytest.raises(Refused, match="another process has changed it"):
        hand.wait(site)
    assert hand.states(site) == ["failed", "succeeded", "succeeded"]
    assert site.runs == site.image()


@pytest.mark.thorough
def test_wait_that_was_stopped_is_run_again(site: Site, hand: Hand) -> None:
    hand.deploy(site, wait=False)
    stop("in the verification", lambda: hand.wait(site))
    assert hand.wait(site).exit_status == 0
    assert hand.states(site) == ["succeeded"]


@pytest.mark.thorough
def test_wait_sets_the_image_of_a_deploy_that_was_stopped_after_the_setting(
    site: Site, hand: Hand
) -> None:
    stop("before the image", lambda: hand.deploy(site))
    ended = hand.wait(site)
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    assert site.runs.startswith(site.image("1.0-otelembed-"))
    assert SETTING in site.settings()


@pytest.mark.thorough
def test_an_unproven_rollback_is_verified_again_when_it_is_run_again(
    two: tuple[Site, str, str], hand: Hand, cloud: Cloud
) -> None:
    site, first, _ = two
    with cloud.fault(service="arm", path="/containerlogs$", times=0, status=500):
        unproven = hand.rollback(site, timeout=6)
    assert (unproven.exit_status, site.runs) == (6, first)
    assert f"--from {unproven.result['release']['id']}" in unproven.said
    again = hand.rollback(site)
    assert (again.exit_status, site.runs) == (0, first)
    assert again.result["release"]["id"] == unproven.result["release"]["id"]
    assert hand.states(site) == ["succeeded"] * 3


COMMANDS: dict[str, Callable[[Hand, Site], Ended]] = {
    "deploy": lambda hand, site: hand.deploy(site, image=site.image()),
    "rollback": Hand.rollback,
    "remove": Hand.remove,
}


@pytest.mark.parametrize("command", rest_is_thorough(COMMANDS, lambda one: one == "deploy"))
def test_a_release_whose_begin_fails_leaves_no_pending_record(
    two: tuple[Site, str, str], hand: Hand, cloud: Cloud, command: str
) -> None:
    site, _, second = two
    with (
        cloud.fault(**REFERRERS, nth=2, times=0, status=400),
        pytest.raises(OtelembedError, match="referrers"),
    ):
        COMMANDS[command](hand, site)
    assert site.runs == second
    (newest, *_) = hand.history(site)
    assert newest["state"] == "failed"
    assert newest["reason"].startswith("not applied: ")
    assert COMMANDS[command](hand, site).exit_status == 0


EMPTY: dict[str, dict[str, Any]] = {
    "an empty list": {"status": 200, "body": {"schemaVersion": 2, "manifests": []}},
    "not found": {"status": 404},
}


@pytest.mark.parametrize("nth", rest_is_thorough([1, 2], lambda nth: nth == 1))
@pytest.mark.parametrize("how", rest_is_thorough(EMPTY, lambda how: "list" in how))
def test_one_empty_answer_is_not_taken_for_a_site_without_releases(
    two: tuple[Site, str, str], hand: Hand, cloud: Cloud, how: str, nth: int
) -> None:
    site, first, _ = two
    with cloud.fault(**REFERRERS, nth=nth, **EMPTY[how]):
        back = hand.rollback(site)
    assert (back.exit_status, site.runs) == (0, first)
    assert hand.states(site) == ["succeeded"] * 3


@pytest.mark.thorough
def test_a_record_that_the_registry_does_not_list_is_no_lock(
    make_site: MakeSite, hand: Hand, cloud: Cloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_lock, "PATIENCE", 1.0)
    site = make_site(registry=cloud.add_registry())
    settings = site.settings()
    empty = EMPTY["an empty list"]
    with (
        cloud.fault(**REFERRERS, times=0, **empty),
        pytest.raises(OtelembedError, match="doesn't list the release record"),
    ):
        hand.deploy(site)
    assert (site.runs, site.settings()) == (site.image(), settings)
    assert [one.state for one in Contents(cloud, site.host).releases(site)] == ["failed"]


def test_odd_digits_are_no_number_of_a_release(site: Site, hand: Hand) -> None:
    hand.deploy(site)
    for number in ("²", "١", "9" * 5000):
        with pytest.raises(NotFound, match="neither a number nor a tag"):
            hand.rollback(site, number)


@pytest.mark.thorough
def test_a_deploy_that_could_not_read_the_collector_releases_nothing_that_runs(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    hand.deploy(site)
    collector = {"service": "acr", "method": "GET", "path": "/v2/otelembed/collector/manifests/"}
    with cloud.fault(**collector, status=200, body={}):
        again = hand.deploy(site, timeout=10)
    assert (again.exit_status, again.result["changed"]) == (0, False)
    assert hand.states(site) == ["succeeded"]
