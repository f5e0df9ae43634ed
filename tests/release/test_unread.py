"""Settings and images that one answer of Azure lacks, between other answers that have them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from azext_otelembed.errors import AzureFailed, OtelembedError
from tests.e2e.support import SETTING, Cloud, Site
from tests.release.support import Ended, Hand, MakeSite
from tests.selection import rest_is_thorough

Command = Callable[[Hand, Site], Ended]
EMPTY: dict[str, Any] = {"id": None, "name": "appsettings", "properties": {}}
VALUES = (None, "", "not what it is")
COMMANDS: dict[str, Command] = {
    "deploy": lambda hand, site: hand.deploy(site),
    "rollback": lambda hand, site: hand.rollback(site),
    "remove": lambda hand, site: hand.remove(site),
}
READS = 4
"""Reads of the settings that a command makes at most, the way back included."""


ALWAYS_RUN = (("deploy", 1, 1), ("deploy", 2, 1), ("deploy", 3, 0), ("remove", 1, 1))
"""Of the cases below, those that `make test` has."""


def foreign(site: Site) -> dict[str, str]:
    """The settings that aren't the extension's."""
    return {name: value for name, value in site.settings().items() if name != SETTING}


def reads(site: Site, nth: int, **fault: Any) -> dict[str, Any]:
    """The fault of a read of the site's settings."""
    path = f"/sites/{site.name}/config/appsettings/list$"
    return {"service": "arm", "path": path, "nth": nth, "status": 200, "body": EMPTY, **fault}


@pytest.mark.parametrize(
    ("command", "nth", "times"),
    [
        *ALWAYS_RUN,
        *(
            pytest.param(command, nth, times, marks=pytest.mark.thorough)
            for command in COMMANDS
            for nth in range(1, READS + 1)
            for times in ((1,) if nth == 1 else (1, 0))
            if (command, nth, times) not in ALWAYS_RUN
        ),
    ],
)
def test_settings_that_read_as_none_are_not_written_over(
    make_site: MakeSite, cloud: Cloud, hand: Hand, command: str, nth: int, times: int
) -> None:
    """From the read number `nth` on: one read (`times` 1), or all of them (0)."""
    site = make_site()
    if command != "deploy":
        assert hand.deploy(site).exit_status == 0
    before, runs, whole = foreign(site), site.runs, site.settings()
    assert before
    cloud.local.fault(**reads(site, nth, times=times))
    message = ""
    try:
        COMMANDS[command](hand, site)
    except OtelembedError as error:
        message = error.message
    hit = any(one["fault"] for one in cloud.local.requests())
    cloud.local.clear_faults()
    assert foreign(site) == before
    if hit and nth <= 2:
        said = "none, though there were some before" if nth == 2 else "at first that there are none"
        assert f"App settings of Web App '{site.name}'" in message
        assert said in message
        assert (site.runs, site.settings()) == (runs, whole)
    if command == "deploy":
        assert hand.deploy(site).exit_status == 0
        assert foreign(site) == before


@pytest.mark.parametrize(
    "asked",
    rest_is_thorough(
        [
            (one, nth, value)
            for one in ("deploy", "remove")
            for nth in (2, 3, 4)
            for value in VALUES
        ],
        (("deploy", 2, None), ("remove", 2, "not what it is")).__contains__,
    ),
)
def test_a_setting_that_one_read_lacks_is_not_lost(
    make_site: MakeSite, cloud: Cloud, hand: Hand, asked: tuple[str, int, str | None]
) -> None:
    """Neither one that is missing (`value` None) nor one that has another value."""
    command, nth, value = asked
    site = make_site()
    if command == "remove":
        assert hand.deploy(site).exit_status == 0
    before, settings = foreign(site), site.settings()
    name = next(name for name, held in before.items() if held)
    del settings[name]
    if value is not None:
        settings[name] = value
    cloud.local.fault(**reads(site, nth, body={**EMPTY, "properties": settings}))
    assert COMMANDS[command](hand, site).exit_status == 0
    cloud.local.clear_faults()
    assert foreign(site) == before


@pytest.mark.parametrize("body", [{}, {"properties": {}}, {"properties": {"linuxFxVersion": None}}])
def test_a_configuration_without_an_image_stops_a_deploy_before_it_changes_anything(
    site: Site, cloud: Cloud, hand: Hand, body: Any
) -> None:
    """At its first read, and at the one right before the image is written."""
    before = site.settings()
    for nth in (1, 2):
        path = f"/sites/{site.name}/config/web$"
        cloud.local.fault(method="GET", path=path, nth=nth, times=0, status=200, body=body)
        with pytest.raises(AzureFailed, match=f"Configuration of Web App '{site.name}'"):
            hand.deploy(site)
        cloud.local.clear_faults()
        assert site.runs == site.image()
        assert site.settings() == before
