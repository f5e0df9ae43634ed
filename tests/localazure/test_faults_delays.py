"""Delays of starts and swaps."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.localazure.arm_support import Arm
from tests.localazure.runtime_support import RuntimeFixture, server_image


async def test_a_start_can_be_delayed_and_the_start_limit_counts_it(here: RuntimeFixture) -> None:
    image = here.push(server_image())
    began = time.monotonic()
    site = await here.site(image, start_delay=1.5)
    await here.facts(site)
    assert time.monotonic() - began > 1.5
    limit = {"WEBSITES_CONTAINER_START_TIME_LIMIT": "1"}
    late = await here.site(image, "late", start_delay=30, app_settings=limit)
    while here.supervisor.instances(late)[0].state != "STOPPED":
        assert time.monotonic() - began < 20
        await asyncio.sleep(0.05)
    assert "listening" in here.log(late)


def test_a_swap_can_be_delayed(arm: Arm) -> None:
    site = arm.site()
    slot = arm.slot(site)
    arm.azure.delay(site, swap_delay=1.5)
    began = time.monotonic()
    answer = arm.call("POST", f"{slot}/slotsswap", {"targetSlot": "production"})
    assert arm.finish(answer).status_code == 200
    assert time.monotonic() - began > 2
    with pytest.raises(ValueError, match="can't be changed"):
        arm.azure.delay(site, name=1)
