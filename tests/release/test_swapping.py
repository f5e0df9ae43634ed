"""Swaps that are disturbed, refused, crossed, killed or run again."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from azext_otelembed.console import Console
from azext_otelembed.errors import AzureFailed, NotFound, OtelembedError, Refused
from azext_otelembed.image.reference import Digest
from azext_otelembed.records import record, release_lock
from azext_otelembed.records.record import Release
from azext_otelembed.release import recorded_release, slot_swap
from azext_otelembed.release.deploy import deploy
from localazure.client import LocalAzure
from tests.e2e import images
from tests.e2e.support import Cloud, Site, eventually
from tests.release import driver
from tests.release.support import (
    PUT_RECORD,
    QUICK,
    Contents,
    Ended,
    Hand,
    id_of,
    meanwhile,
    request_of,
)
from tests.selection import rest_is_thorough

START: dict[str, Any] = {"service": "arm", "method": "POST", "path": "/slotsswap$"}
FOLLOW: dict[str, Any] = {"service": "arm", "method": "GET", "path": "/operationresults/"}
SWAP = {"targetSlot": "production", "preserveVnet": True}
HIDDEN = "slot-secret-7d41f0"
ONLY_IN_THE_SLOT = (
    'echo "the key is $SLOT_KEY"; [ "$WHERE" = staging ] || exit 3; exec /usr/local/bin/shop'
)
"""An image that starts only with a setting that stays in the slot."""

FAST = QUICK
"""For containers that end at once, each time."""


@dataclass(frozen=True)
class Pair:
    """A site that runs 1.0, and its slot with 2.0."""

    production: Site
    slot: Site
    hand: Hand

    @property
    def cloud(self) -> Cloud:
        return self.production.cloud

    def swap(self, version: str | None = "2.0", **given: Any) -> Ended:
        """`az otelembed deploy --slot staging --swap`; raises its errors."""
        image = None if version is None else self.slot.image(version)
        return self.hand.deploy(self.slot, image=image, swap=True, **given)

    def by_hand(self) -> None:
        """A swap by another process."""
        self.cloud.arm("POST", f"{self.slot.id}/slotsswap", SWAP)

    def starts(self, since: int) -> list[int]:
        """The answers to the extension's starts of a swap."""
        asked = self.cloud.requests(since)
        return [r["status"] for r in asked if r["path"].endswith("/slotsswap")]

    def releases(self) -> list[Release]:
        """Production's records."""
        return Contents(self.cloud, self.production.host).releases(self.production)

    def swaps_back(self) -> None:
        """Puts production's old image into production again."""
        old = self.slot.runs
        self.by_hand()
        eventually(lambda: self.production.runs == old, within=60)
        self.production.answers()


@contextmanager
def make_pair(cloud: Cloud, hand: Hand, directory: Path) -> Iterator[Pair]:
    production = cloud.make_site()
    slot = cloud.make_site(
        layout=images.variant(directory / "2.0", Labels={"version": "2.0"}),
        tag="2.0",
        group=production.group,
        name=production.name,
        slot="staging",
        repository=production.repository,
        component=False,
        settings={"WHERE": "staging", "SLOT_KEY": HIDDEN},
    )
    sticky = {"properties": {"appSettingNames": ["WHERE"]}}
    cloud.arm("PUT", f"{production.id}/config/slotConfigNames", sticky)
    yield Pair(production, slot, hand)
    cloud.local.clear_faults()
    cloud.delete(production)


@pytest.fixture
def pair(cloud: Cloud, hand: Hand, tmp_path: Path) -> Iterator[Pair]:
    with make_pair(cloud, hand, tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def kept(cloud: Cloud, hand: Hand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    with make_pair(cloud, hand, tmp_path_factory.mktemp("pair")) as made:
        hand.deploy(made.slot)
        yield made


@pytest.fixture
def shared(kept: Pair) -> Iterator[Pair]:
    """A pair with 1.0 in production and 2.0, embedded, in the slot: for tests that leave both."""
    yield kept
    kept.cloud.local.clear_faults()
    if kept.production.runs != kept.production.image():
        kept.swaps_back()


@pytest.fixture(scope="module")
def picky(cloud: Cloud, hand: Hand, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    directory = tmp_path_factory.mktemp("picky")
    command = ["/bin/sh", "-c", ONLY_IN_THE_SLOT]
    with make_pair(cloud, hand, directory) as made:
        made.slot.push("picky", images.variant(directory / "picky", Entrypoint=command, Cmd=[]))
        hand.deploy(made.slot, image=made.slot.image("picky"))
        yield made


@pytest.fixture
def failing(picky: Pair) -> Iterator[Pair]:
    """A pair with 1.0 in production, and in the slot an image that fails to start in production."""
    slot = picky.slot.runs
    yield picky
    picky.cloud.local.clear_faults()
    if picky.production.runs != picky.production.image():
        picky.slot.configure(linuxFxVersion=f"DOCKER|{picky.production.image()}")
        picky.swaps_back()
    assert picky.slot.runs == slot


def conflict(operation: str) -> dict[str, Any]:
    """App Service's 409 while it is busy with something."""
    details = f"Details: Id: 1, OperationName: {operation}, CreatedTime: 5/4/2026 8:23:05 AM"
    message = f"Cannot modify this site because another operation is in progress. {details}"
    return {"Code": "Conflict", "Message": message, "Target": None, "Innererror": None}


LOST: dict[str, dict[str, Any]] = {
    "the answer to the start is lost": {**START, "reset_after": True},
    "the way to follow it is lost": {**FOLLOW, "status": 404, "times": 0},
}


@pytest.mark.parametrize(
    "lost", rest_is_thorough(LOST, lambda lost: lost == "the answer to the start is lost")
)
def test_a_swap_that_is_lost_sight_of_is_seen_from_production(shared: Pair, lost: str) -> None:
    before = shared.cloud.mark()
    with shared.cloud.fault(**LOST[lost]):
        ended = shared.swap()
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    assert ended.evidence["log"] == "the new image started and is ready"
    assert len(shared.starts(before)) == 1


@pytest.mark.thorough
def test_a_start_that_never_arrived_leaves_its_record_pending_for_the_next_run(
    shared: Pair,
) -> None:
    before = shared.cloud.mark()
    with shared.cloud.fault(**START, reset=True), pytest.raises(AzureFailed, match="no answer"):
        shared.swap(timeout=6)
    (pending, *_) = shared.releases()
    assert pending.state == "pending"
    assert shared.production.runs == shared.production.image()
    # The first run's swap might go on even where the second one may not swap at all.
    with shared.cloud.fault(**START, status=403), pytest.raises(OtelembedError, match="allowed"):
        shared.swap()
    assert shared.releases()[0].state == "pending"
    ended = shared.swap()
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    assert ended.result["release"]["id"] == pending.id
    assert len(shared.starts(before)) == 3


def test_a_swap_that_goes_on_already_is_waited_for_and_not_undone(shared: Pair) -> None:
    before = shared.cloud.mark()
    with meanwhile(shared.cloud, shared.by_hand, **START):
        ended = shared.swap()
    assert shared.starts(before) == [409]
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    assert shared.slot.runs == shared.slot.image("1.0")


@pytest.mark.thorough
def test_a_swap_that_crosses_another_one_is_made_again(shared: Pair) -> None:
    """Another swap ends between the read and the start of this one, which then undoes it."""

    def all_of_it() -> None:
        new = shared.slot.runs
        shared.by_hand()
        eventually(lambda: shared.production.runs == new, within=60)

    before = shared.cloud.mark()
    with meanwhile(shared.cloud, all_of_it, **START):
        ended = shared.swap()
    assert shared.starts(before) == [202, 202]
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    assert shared.slot.runs == shared.slot.image("1.0")


def test_a_busy_site_and_a_throttled_start_are_asked_again(
    shared: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slot_swap, "BUSY_WAIT", 0.1)
    before = shared.cloud.mark()
    busy = conflict("UpdateSite")
    shared.cloud.local.fault(**START, status=409, body=busy)
    shared.cloud.local.fault(**START, nth=2, status=429, retry_after=1)
    ended = shared.swap()
    shared.cloud.local.clear_faults()
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    assert shared.starts(before) == [409, 429, 202]
    asked = [r["time"] for r in shared.cloud.requests(before) if r["path"].endswith("/slotsswap")]
    assert asked[2] - asked[1] >= 1, "it waited as long as Azure asked"


REFUSED: dict[str, tuple[list[dict[str, Any]], str]] = {
    "may not": ([{**START, "status": 403}], "not allowed"),
    "throttled for minutes": ([{**START, "status": 429, "retry_after": 324}], "throttles"),
    "fails under way": (
        [
            {**START, "status": 202, "headers": {"Location": "{slot}/operationresults/1"}},
            {**FOLLOW, "status": 417, "body": {"Code": "ExpectationFailed", "Message": "No ping."}},
        ],
        "No ping",
    ),
}


@pytest.mark.parametrize("why", rest_is_thorough(REFUSED, lambda why: "throttled" not in why))
def test_a_swap_that_certainly_did_not_take_place_blocks_no_other_release(
    shared: Pair, why: str
) -> None:
    faults, said = REFUSED[why]
    at = f"{shared.cloud.local.management}{shared.slot.id}"
    before = shared.cloud.mark()
    for fault in faults:
        headers = {k: v.format(slot=at) for k, v in fault.get("headers", {}).items()}
        shared.cloud.local.fault(**{**fault, "headers": headers})
    began = time.monotonic()
    with pytest.raises(OtelembedError, match=said) as stopped:
        shared.swap()
    shared.cloud.local.clear_faults()
    assert time.monotonic() - began < 15
    assert stopped.value.refused
    assert len(shared.starts(before)) == 1
    (release, *_) = shared.releases()
    assert (release.state, release.applied) == ("failed", False)
    assert release.reason.startswith("not applied: ")
    assert shared.production.runs == shared.production.image()


@pytest.mark.parametrize(
    "other", rest_is_thorough(["production", "staging"], lambda other: other == "production")
)
def test_an_image_that_another_process_released_meanwhile_is_not_swapped(
    shared: Pair, other: str
) -> None:
    site = shared.production if other == "production" else shared.slot
    runs = site.runs
    before = shared.cloud.mark()

    def change() -> None:
        site.configure(linuxFxVersion=f"DOCKER|{site.image('3.0')}")

    with meanwhile(shared.cloud, change, **PUT_RECORD), pytest.raises(Refused, match="by now, not"):
        shared.swap()
    assert shared.starts(before) == []
    assert shared.releases()[0].reason.startswith("not applied: ")
    site.configure(linuxFxVersion=f"DOCKER|{runs}")
    site.answers()


@pytest.mark.thorough
def test_a_swap_shows_how_it_goes_on(shared: Pair) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    screen = Terminal()
    given = request_of(image=shared.slot.image("2.0"), swap=True)
    outcome = deploy(shared.hand.session, id_of(shared.slot), given, Console(stream=screen))
    assert outcome.exit_status == 0
    assert "running, 0 s" in screen.getvalue()


@pytest.mark.thorough
def test_a_pending_record_outlives_a_long_swap(
    shared: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorded_release, "SPARE", release_lock.MARGIN.total_seconds())
    seen: list[Release] = []
    with meanwhile(shared.cloud, lambda: seen.extend(shared.releases()[:1]), **FOLLOW):
        shared.swap(timeout=20)
    (release,) = seen
    assert release.state == "pending"
    assert release.expires - release.started > release_lock.MARGIN + timedelta(seconds=20)


@pytest.mark.thorough
def test_a_swap_proves_the_image_that_a_deploy_gave_production_meanwhile(pair: Pair) -> None:
    """The swap has read production before, and its records afterwards."""
    pair.hand.deploy(pair.slot)
    image = pair.slot.image("2.0")
    anchor = Digest.of(record.anchor(pair.production.id))
    reads: dict[str, Any] = {"service": "acr", "method": "GET", "path": f"/referrers/{anchor}$"}
    with meanwhile(pair.cloud, lambda: pair.hand.deploy(pair.production, image=image), **reads):
        ended = pair.swap()
    assert (ended.exit_status, ended.release) == (0, "succeeded"), ended
    assert [one.state for one in pair.releases()] == ["succeeded"] * 2


def test_a_release_of_production_in_progress_stops_a_swap_at_once(pair: Pair) -> None:
    pair.hand.deploy(pair.production, wait=False)
    records, before = pair.releases(), pair.cloud.mark()
    with pytest.raises(Refused, match="in progress"):
        pair.swap()
    asked = [request["path"] for request in pair.cloud.requests(before)]
    log = f"/sites/{pair.production.name}/containerlogs"
    assert not any(path.endswith(log) for path in asked), "production's log isn't needed"
    assert (pair.releases(), pair.starts(before)) == (records, [])


def test_the_result_of_a_swap_tells_the_slot_from_production(pair: Pair) -> None:
    ended = pair.swap()
    assert ended.exit_status == 0
    apart = ended.result["swap"]
    name, slot, production = pair.production.name, apart["slot"], apart["production"]
    assert (slot["site"], production["site"]) == (f"{name}/staging", name)
    assert slot["host"] != production["host"]
    assert slot["release"]["id"] != production["release"]["id"]
    assert production["release"]["id"] == pair.releases()[0].id
    for one in (slot, production):
        assert (one["healthy"], one["changed"], one["reachable"]) == (True, True, True)


@pytest.mark.thorough
def test_the_very_command_without_an_image_can_be_run_again(pair: Pair) -> None:
    """After a swap the slot holds production's old image: that must not come back by itself."""
    killed(pair, {**START, "hold_after": True}, image=None)
    first = pair.swap(None)
    assert (first.exit_status, first.release) == (0, "succeeded")
    new = pair.slot.image("2.0-otelembed-")
    assert pair.production.runs.startswith(new)
    assert pair.slot.runs == pair.slot.image("1.0")

    before = pair.cloud.mark()
    again = pair.swap(None)
    assert (again.exit_status, again.result["changed"]) == (0, False)
    assert again.result["image"] == first.result["image"]
    assert again.result["swap"]["slot"] is None
    assert again.result["swap"]["production"]["site"] == pair.production.name
    assert f"runs {pair.production.runs} already: it isn't swapped" in again.said
    assert pair.swap(None, dry_run=True).result["changes"] == []
    with pytest.raises(Refused, match="Without --image it is ambiguous") as refused:
        pair.swap(None, tag="another")
    assert "--image" in str(refused.value.recommendation)

    # Another process swapped back: a rerun can't decide whether 2.0 is still wanted.
    pair.swaps_back()
    with pytest.raises(Refused, match="Without --image it is ambiguous"):
        pair.swap(None)
    assert pair.starts(before) == []
    assert [release.state for release in pair.releases()] == ["succeeded"]
    assert pair.swap("2.0").exit_status == 0
    assert pair.production.runs.startswith(new)


@pytest.mark.thorough
def test_a_slot_with_productions_app_embedded_otherwise_is_swapped(pair: Pair) -> None:
    old = pair.production.image("1.0")
    pair.slot.configure(linuxFxVersion=f"DOCKER|{old}")
    assert pair.swap(None).exit_status == 0
    assert pair.slot.runs == old
    again = pair.swap(None, tag="otherwise")
    assert again.exit_status == 0
    assert pair.production.runs == pair.production.image("otherwise")


@pytest.mark.parametrize(
    "moment",
    rest_is_thorough(["the swap goes on", "the swap is done"], lambda moment: "done" in moment),
)
def test_a_swap_killed_after_its_start_converges(shared: Pair, moment: str) -> None:
    before = shared.cloud.mark()
    killed(shared, {**START, "hold_after": True}, image=shared.slot.image("2.0"))
    if moment == "the swap is done":
        eventually(lambda: shared.production.runs != shared.production.image(), within=60)
    (pending, *_) = shared.releases()
    assert pending.state == "pending"
    ended = shared.swap()
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    assert ended.result["release"]["id"] == pending.id
    assert ended.evidence["log"] == "the new image started and is ready"
    assert shared.slot.runs == shared.slot.image("1.0")
    if moment == "the swap is done":
        assert shared.starts(before)[1:] == [], "it was swapped once"


@pytest.mark.parametrize(
    "fault",
    rest_is_thorough(
        [{**PUT_RECORD, "hold_after": True}, {**START, "hold_after": True}],
        lambda fault: fault["method"] == "POST",
    ),
    ids=["before its start", "after its start"],
)
def test_wait_completes_a_swap_with_one_swap(shared: Pair, fault: dict[str, Any]) -> None:
    before = shared.cloud.mark()
    killed(shared, fault, image=shared.slot.image("2.0"))
    (pending, *_) = shared.releases()
    assert (pending.state, pending.slot) == ("pending", "staging")
    ended = shared.hand.wait(shared.production)
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    assert ended.result["release"]["id"] == pending.id
    # None: the process that was killed got no answer to a start that was handled.
    assert len([status for status in shared.starts(before) if status != 409]) == 1
    assert shared.slot.runs == shared.slot.image("1.0")
    with pytest.raises(NotFound, match="no pending release"):
        shared.hand.wait(shared.production)


def killed(pair: Pair, fault: dict[str, Any], image: str | None) -> None:
    """A swap in a process of its own, killed while the request that `fault` selects waits."""
    local = pair.cloud.local
    number = local.fault(**fault)
    sent = LocalAzure(local.directory, local.info)
    given = {"image": image, "swap": True}
    arguments = (sent, local.token(), "", id_of(pair.slot), driver.HASTY, given)
    assert driver.killed(local, number, arguments), "it ended before"
    local.clear_faults()


def test_a_failed_swap_is_swapped_back_and_shows_the_log_without_secrets(failing: Pair) -> None:
    with failing.cloud.fault(**START, nth=2, times=0, status=403):
        ended = failing.swap("picky", pace=FAST, timeout=20)
    assert (ended.exit_status, ended.release) == (5, "pending")
    assert ended.result["reason"] == "the new container failed: it exited with status 3"
    assert "the key is ***" in ended.said
    assert HIDDEN not in ended.said
    command = f"az webapp deployment slot swap {' '.join(failing.slot.arguments)}"
    assert "was not swapped back: " in ended.said
    assert f"{command} --target-slot production" in ended.said
    left: list[timedelta] = []
    bad = failing.production.runs

    def look() -> None:
        (release,) = failing.releases()
        left.append(release.expires - release.started)

    # The same command goes on: it sees the same, and swaps back.
    with meanwhile(failing.cloud, look, **START):
        again = failing.swap("picky", pace=FAST, timeout=20)
    assert (again.exit_status, again.release) == (4, "rolled back")
    assert (failing.production.runs, failing.slot.runs) == (failing.production.image(), bad)
    assert "the key is ***" in again.said
    assert left[0] > timedelta(seconds=120) + release_lock.MARGIN, "what is swapped back gets 120 s"


@pytest.mark.thorough
def test_production_that_another_process_swapped_back_is_not_swapped_again(failing: Pair) -> None:
    before = failing.cloud.mark()
    host = failing.production.url.partition("://")[2]
    with meanwhile(failing.cloud, failing.swaps_back, service="site", host=host, nth=2):
        ended = failing.swap("picky", pace=FAST, timeout=20)
    assert (ended.exit_status, ended.release) == (4, "rolled back")
    assert "another process has restored it" in ended.said
    assert failing.starts(before) == [202]
    assert failing.production.runs == failing.production.image()
    failing.production.answers()


@pytest.mark.thorough
def test_a_slot_that_lost_the_previous_image_is_not_swapped_back(failing: Pair) -> None:
    host = failing.production.url.partition("://")[2]

    def change() -> None:
        failing.slot.configure(linuxFxVersion=f"DOCKER|{failing.slot.image('3.0')}")

    before = failing.cloud.mark()
    with meanwhile(failing.cloud, change, service="site", host=host, nth=2):
        ended = failing.swap("picky", pace=FAST, timeout=20)
    assert (ended.exit_status, ended.release) == (5, "failed")
    assert failing.starts(before) == [202]
    arguments = " ".join(failing.production.arguments)
    command = f"az webapp config container set {arguments} --container-image-name"
    assert f"{command} {failing.production.image()}" in ended.said


@pytest.mark.thorough
def test_a_release_that_was_never_completed_is_closed_by_a_swap(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as hurried:
        hurried.setattr(release_lock, "MARGIN", timedelta(0))
        pair.hand.deploy(pair.production, timeout=1, wait=False)
    time.sleep(1)
    assert pair.swap().exit_status == 0
    states = [(release.state, release.reason) for release in pair.releases()]
    assert states == [("succeeded", ""), ("failed", "never completed")]


def test_without_rollback_a_failed_swap_prints_the_command_that_swaps_back(failing: Pair) -> None:
    ended = failing.swap("picky", pace=FAST, timeout=20, rollback=False)
    assert (ended.exit_status, ended.release) == (5, "failed")
    assert f"az webapp deployment slot swap {' '.join(failing.slot.arguments)}" in ended.said


def test_wait_swaps_back_a_swap_that_fails(failing: Pair) -> None:
    bad, good = failing.slot.runs, failing.production.runs
    slot, production = failing.slot.settings(), failing.production.settings()
    killed(failing, {**START, "hold_after": True}, image=failing.slot.image("picky"))
    ended = failing.hand.wait(failing.production, timeout=20)
    assert (ended.exit_status, ended.release) == (4, "rolled back")
    assert (failing.production.runs, failing.slot.runs) == (good, bad)
    assert (failing.slot.settings(), failing.production.settings()) == (slot, production)
    assert HIDDEN not in ended.said
