"""The state that a failed release is rolled back to, as a table."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timezone

import pytest

from azext_otelembed.azure.sites import SiteId
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.webapp.observe import SETTING, Observed
from azext_otelembed.webapp.plan import Plan
from azext_otelembed.webapp.restore import PreviousState, previous_state
from azext_otelembed.webapp.setting import Setting

NOW = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
KEY = "InstrumentationKey=there"
WRITES = Plan(Setting("InstrumentationKey=new", "test", "…"), "new", ())
KEEPS = Plan(None, "new", ())
REMOVES = Plan(None, "new", (), removes_setting=True)


def site(image: str, setting: str | None) -> Observed:
    return Observed(
        id=SiteId("sub", "rg", "shop"),
        kind="app,linux,container",
        state="Running",
        host="shop.azurewebsites.net",
        linux_fx_version=f"DOCKER|{image}",
        windows=False,
        startup_command="",
        tags={},
        settings={} if setting is None else {SETTING: setting},
    )


CRASHED = Release(
    id="1",
    site="/s",
    state=record.PENDING,
    started=NOW,
    expires=NOW,
    image="crashed",
    digest="crashed",
    previous_image="good",
    setting_existed=False,
    setting_changed=False,
)
ADDED = replace(CRASHED, setting_changed=True)
REPLACED = replace(CRASHED, setting_changed=True, setting_existed=True)


@pytest.mark.parametrize(
    ("observed", "plan", "unfinished", "expected"),
    [
        (site("v1", None), WRITES, None, PreviousState("v1", None, True)),
        (site("v1", KEY), WRITES, None, PreviousState("v1", KEY, True)),
        (site("v1", ""), WRITES, None, PreviousState("v1", "", True)),
        (site("v1", KEY), KEEPS, None, PreviousState("v1", KEY, False)),
        (site("v1", KEY), REMOVES, None, PreviousState("v1", KEY, True)),
        # The crashed release didn't set its image, and may have set its setting.
        (site("v1", KEY), KEEPS, CRASHED, PreviousState("v1", KEY, False)),
        (site("v1", KEY), KEEPS, ADDED, PreviousState("v1", None, True)),
        (site("v1", KEY), KEEPS, REPLACED, PreviousState("v1", KEY, False)),
        # It set its image, which was never verified.
        (site("crashed", KEY), KEEPS, CRASHED, PreviousState("good", KEY, False)),
        (site("crashed", KEY), WRITES, CRASHED, PreviousState("good", KEY, True)),
        (site("crashed", KEY), KEEPS, ADDED, PreviousState("good", None, True)),
        (site("crashed", KEY), WRITES, REPLACED, PreviousState("good", KEY, False)),
    ],
)
def test_the_state_before_is_that_of_the_last_verified_release(
    observed: Observed, plan: Plan, unfinished: Release | None, expected: PreviousState
) -> None:
    assert previous_state(observed, plan, unfinished) == expected
