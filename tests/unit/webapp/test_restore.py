"""The state that a failed release is rolled back to, as a table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from azext_otelembed.records.record import Release
from azext_otelembed.webapp.observe import SETTING, Observed
from azext_otelembed.webapp.plan import Plan
from azext_otelembed.webapp.restore import PreviousState, previous_state
from azext_otelembed.webapp.setting import Setting
from tests.unit.samples import RELEASE, SITE

KEY = "InstrumentationKey=there"
WRITES = Plan(Setting("InstrumentationKey=new", "test", "…"), "new", ())
KEEPS = Plan(None, "new", ())
REMOVES = Plan(None, "new", (), removes_setting=True)


def site(image: str, setting: str | None) -> Observed:
    settings = {} if setting is None else {SETTING: setting}
    return replace(SITE, linux_fx_version=f"DOCKER|{image}", settings=settings)


CRASHED = replace(RELEASE, image="crashed", digest="crashed", previous_image="good")
ADDED = replace(CRASHED, setting_changed=True)
REPLACED = replace(CRASHED, setting_changed=True, setting_existed=True)
REMOVED = replace(REPLACED, setting_removed=True)


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
        (site("crashed", KEY), REMOVES, REMOVED, PreviousState("good", KEY, True)),
        (site("crashed", None), KEEPS, REMOVED, PreviousState("good", None, False)),
    ],
)
def test_the_state_before_is_that_of_the_last_verified_release(
    observed: Observed, plan: Plan, unfinished: Release | None, expected: PreviousState
) -> None:
    assert previous_state(observed, plan, unfinished) == expected
