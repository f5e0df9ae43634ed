"""Every list comes in pages of one entry: what the extension reads, it reads to the end."""

from __future__ import annotations

from typing import Any

import pytest

from azext_otelembed.azure import components
from azext_otelembed.azure.arm import Arm
from azext_otelembed.prune.deployed_images import find_deployed_images
from tests.e2e.support import IMAGES, SETTING, Cloud
from tests.release.many_releases import prune
from tests.release.support import Hand, MakeSite


@pytest.mark.thorough
def test_a_site_is_deployed_released_again_and_rolled_back(
    make_site: MakeSite, hand: Hand, cloud: Cloud
) -> None:
    shelf = cloud.add_registry()
    site = make_site(registry=shelf)
    # The component that belongs to the site isn't the first one of its group.
    cloud.local.add_component({"name": "another", "group": f"{site.group}"})
    cloud.local.change_registry(shelf, page_size=1)
    with cloud.local.arm_pages(1):
        first = hand.deploy(site, app_insights=site.component)
        assert first.exit_status == 0, first
        site.push("2.0", IMAGES / "app", source="1.0")
        again = hand.deploy(site, image=site.image("2.0"), app_insights=site.component)
        assert again.exit_status == 0
        assert hand.states(site) == ["succeeded", "succeeded"]
        assert hand.rollback(site).exit_status == 0
        found = prune(hand.session, shelf)
    assert site.runs == first.result["image"]["name"]
    assert SETTING in site.settings()
    assert len(found.decisions) == 2
    assert not found.images, "one runs, and the other one is among the newest releases"


@pytest.mark.parametrize("size", [1, 3, 0])
def test_sites_slots_and_components_are_read_from_all_pages(
    make_site: MakeSite, hand: Hand, cloud: Cloud, size: int
) -> None:
    sites = [make_site(wait=False, state="Stopped", component=False) for _ in range(2)]
    named: dict[str, Any] = {
        "group": sites[0].group,
        "name": sites[0].name,
        "state": "Stopped",
        "wait": False,
    }
    slots = [cloud.make_site(slot=slot, component=False, **named) for slot in ("one", "two")]
    for name in ("first", "second", "third"):
        cloud.local.add_component({"name": name, "group": sites[0].group})
    arm = Arm(hand.session)
    subscription = cloud.local.subscription
    with cloud.local.arm_pages(size):
        found = find_deployed_images(hand.session)
        listed = components.find_all(arm, subscription, sites[0].group)
    assert {one.id.lower() for one in (*sites, *slots)} <= {key.lower() for key in found.images}
    assert {one.name for one in listed} == {"first", "second", "third"}
    assert found.unreadable == ()
