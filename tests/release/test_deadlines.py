"""Azure and the registry hang or drip from some request on: each command ends in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import pytest

from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import OtelembedError
from azext_otelembed.records import record_store
from azext_otelembed.release import recorded_release, release_runner
from azext_otelembed.verification import verify
from tests.e2e.support import Site
from tests.release.driver import HASTY
from tests.release.support import Hand, session_of

CLIENT = "deadlines"
TIMEOUT = 6
CLOSING = 2.0
WAY_BACK = 5
"""In place of the 30 s and the 120 s that the last look and the way back have."""
LATE = 4.0
"""Seconds by which all of it together may be late on a busy machine."""
STEP = 6
FAULTS: dict[str, dict[str, Any]] = {"hangs": {"hold": True}, "drips": {"drip": 0.5}}


@dataclass(frozen=True)
class Command:
    """A command, and what has happened before. Both get the caller and the site."""

    prepare: Callable[[Hand, Site], object]
    run: Callable[[Hand, Site], object]
    releases: int = 1
    first: int = 1
    """The first request that is worth a look: those before it are another command's too."""


COMMANDS = {
    "deploy": Command(
        lambda hand, site: None,
        lambda hand, site: hand.deploy(site, timeout=TIMEOUT),
    ),
    "swap": Command(
        lambda hand, site: hand.deploy(site),
        lambda hand, site: hand.deploy(site, timeout=TIMEOUT, swap=True),
        releases=2,
        first=10,
    ),
    "rollback": Command(
        lambda hand, site: hand.deploy(site),
        lambda hand, site: hand.rollback(site, timeout=TIMEOUT),
    ),
    "remove": Command(
        lambda hand, site: hand.deploy(site),
        lambda hand, site: hand.remove(site, timeout=TIMEOUT),
    ),
    "wait": Command(
        lambda hand, site: hand.deploy(site, wait=False),
        lambda hand, site: hand.wait(site, timeout=TIMEOUT),
    ),
}


@pytest.fixture(autouse=True)
def _short_way_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verify, "CLOSING", CLOSING)
    monkeypatch.setattr(record_store, "CLOSING", CLOSING)
    monkeypatch.setattr(recorded_release, "ROLLBACK_TIMEOUT", WAY_BACK)
    monkeypatch.setattr(release_runner, "ROLLBACK_TIMEOUT", WAY_BACK)


def measure(
    make_site: Callable[..., Site], hand: Hand, command: str, fault: str, first: int
) -> tuple[float, str] | None:
    """The seconds that a command takes which `fault` hits from request `first` on, and how it ends.

    None if the command makes fewer requests.
    """
    how, site = COMMANDS[command], make_site()
    local = site.cloud.local
    if command == "swap":
        site = slot_of(site)
    how.prepare(replace(hand, pace=HASTY), site)
    session = replace(session_of(local, client=CLIENT), deadline=Deadline(TIMEOUT))
    number = local.fault(client=CLIENT, nth=first, times=0, **FAULTS[fault])
    began = time.monotonic()
    try:
        ended = how.run(replace(hand, session=session, pace=HASTY), site)
    except OtelembedError as error:
        ended = error
    seconds = time.monotonic() - began
    matches = next(one["matches"] for one in local.faults() if one["id"] == number)
    local.clear_faults()
    site.cloud.rest()
    return (seconds, f"{type(ended).__name__}: {ended}"[:100]) if matches >= first else None


def slot_of(site: Site) -> Site:
    """A new slot of a site."""
    return site.cloud.make_site(
        group=site.group,
        name=site.name,
        slot="staging",
        repository=site.repository,
        component=False,
    )


def bound(command: str) -> float:
    """Its releases, the last look, the way back, and two records."""
    return COMMANDS[command].releases * TIMEOUT + WAY_BACK + 3 * CLOSING + LATE


@pytest.mark.parametrize(
    ("command", "first"), [("deploy", 2), pytest.param("wait", 9, marks=pytest.mark.thorough)]
)
def test_a_command_ends_in_time(
    make_site: Callable[..., Site], hand: Hand, command: str, first: int
) -> None:
    measured = measure(make_site, hand, command, "drips", first)
    assert measured is not None
    assert measured[0] < bound(command)


def test_a_swap_that_is_refused_again_and_again_is_tried_once_a_second(
    make_site: Callable[..., Site], hand: Hand
) -> None:
    production = make_site()
    slot = slot_of(production)
    hand = replace(hand, pace=HASTY)
    hand.deploy(slot)
    local = production.cloud.local
    session = replace(session_of(local, client=CLIENT), deadline=Deadline(TIMEOUT))
    local.fault(client=CLIENT, path="/slotsswap$", status=429, retry_after=0, times=0)
    mark = local.mark()
    with pytest.raises(OtelembedError):
        replace(hand, session=session).deploy(slot, timeout=TIMEOUT, swap=True)
    starts = [r["time"] for r in local.requests(since=mark) if r["path"].endswith("/slotsswap")]
    assert len(starts) >= 2
    assert min(later - earlier for earlier, later in pairwise(starts)) >= 1


@pytest.mark.thorough
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_ends_in_time_whichever_request_is_the_first_without_an_end(
    make_site: Callable[..., Site], hand: Hand, command: str, fault: str
) -> None:
    late: list[str] = []
    first = COMMANDS[command].first
    while measured := measure(make_site, hand, command, fault, first):
        seconds, ended = measured
        print(f"{command} {fault} from request {first} on: {seconds:.1f} s, {ended}")
        if seconds > bound(command):
            late.append(f"request {first}: {seconds:.1f} s")
        first += STEP
    assert late == []
    assert first > COMMANDS[command].first
