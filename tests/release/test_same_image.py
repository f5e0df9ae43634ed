"""Commands that find that another process has set their image since they observed the site."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.support import IMAGES, Cloud, Site
from tests.release.support import Ended, Hand, meanwhile
from tests.selection import rest_is_thorough

Command = Callable[[Hand, Site], Ended]
READS = {"service": "acr", "method": "GET", "path": "/otelembed/releases/referrers/"}
PLACES: dict[str, dict[str, Any]] = {
    "before the records are read": {**READS, "nth": 1},
    "before the log is read": {"service": "arm", "method": "POST", "path": "/containerlogs$"},
    "after its own record is written": {**READS, "nth": 2},
}


def deploy(hand: Hand, site: Site) -> Ended:
    """A deploy of the second image."""
    return hand.deploy(site, image=site.image("2.0"))


COMMANDS: dict[str, Command] = {"deploy": deploy, "rollback": Hand.rollback, "remove": Hand.remove}


@pytest.mark.parametrize(
    "meeting",
    rest_is_thorough(
        list(itertools.product(COMMANDS, PLACES)),
        lambda one: one == ("deploy", "before the records are read"),
    ),
    ids=", ".join,
)
def test_a_command_whose_twin_ends_meanwhile_proves_what_the_twin_has_set(
    site: Site, cloud: Cloud, hand: Hand, meeting: tuple[str, str]
) -> None:
    name, place = meeting
    command = COMMANDS[name]
    site.push("2.0", IMAGES / "app", source="1.0")
    hand.deploy(site)
    if name == "rollback":
        deploy(hand, site)
    ended: list[Ended] = []
    with meanwhile(cloud, lambda: ended.append(command(hand, site)), **PLACES[place]):
        ended.append(command(hand, site))
    assert [one.exit_status for one in ended] == [0, 0], ended
    assert set(hand.states(site)) == {"succeeded"}
    assert site.runs == ended[0].result["image"]["name"]
