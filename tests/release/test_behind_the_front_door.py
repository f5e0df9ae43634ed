"""Sites whose front door answers in place of the app: what is read of them, and their releases."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.webapp.front_door import (
    NOT_READ,
    FrontDoor,
    is_front_door_answer,
    read_front_door,
)
from azext_otelembed.webapp.observe import observe
from tests.e2e.support import Cloud, Site
from tests.release.support import Hand, MakeSite, Push, id_of

RESTRICTED = "access restrictions may deny this machine's address"
READ = "/config/authsettingsV2"
CLOSE: dict[str, Callable[[Site], None]] = {
    "restrictions": Site.restrict_access,
    "login": Site.require_login,
    "Return401": lambda site: site.require_login("Return401"),
}


def reading(hand: Hand, site: Site) -> FrontDoor:
    client = SiteClient(hand.session, id_of(site))
    return read_front_door(client, observe(client), "/")


def is_its_answer(front_door: FrontDoor, site: Site) -> bool:
    """Whether the site's present answer is the front door's."""
    answer = site.get()
    return is_front_door_answer(front_door, answer.status_code, answer.headers.get("location", ""))


@pytest.mark.parametrize(
    ("closed", "reason"),
    [
        ("restrictions", RESTRICTED),
        ("login", "Easy Auth redirects requests without a login"),
        pytest.param(
            "Return401",
            "Easy Auth answers 401 to requests without a login",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_the_reason_is_read_with_one_request(
    site: Site, hand: Hand, cloud: Cloud, closed: str, reason: str
) -> None:
    assert not is_its_answer(NOT_READ, site)
    CLOSE[closed](site)
    assert is_its_answer(NOT_READ, site)
    client = SiteClient(hand.session, id_of(site))
    observed = observe(client)
    before = cloud.mark()
    front_door = read_front_door(client, observed, "/")
    assert [r["path"] for r in cloud.requests(before)] == [site.id + READ]
    assert (front_door.reasons, front_door.problem) == ((reason,), "")
    assert is_its_answer(front_door, site)


def test_a_slot_has_a_front_door_of_its_own(make_site: MakeSite, hand: Hand, cloud: Cloud) -> None:
    site = make_site(wait=False)
    # It is deleted with its site.
    slot = cloud.make_site(group=site.group, name=site.name, slot="staging", component=False)
    slot.require_login()
    assert reading(hand, slot).reasons
    assert reading(hand, site) == FrontDoor()


def test_without_the_right_to_read_the_settings_any_refusal_may_be_the_front_doors(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    site.require_login("Return403")
    with cloud.fault(service="arm", path=f"{site.name}{READ}", status=403, times=0):
        front_door = reading(hand, site)
    assert front_door.reasons == ()
    assert f"Authentication settings of Web App '{site.name}': not allowed" in front_door.problem
    assert is_its_answer(front_door, site)


@pytest.mark.parametrize(
    ("closed", "why"), [("restrictions", RESTRICTED), ("login", "Easy Auth redirects requests")]
)
def test_a_site_behind_its_front_door_is_released(
    site: Site, hand: Hand, closed: str, why: str
) -> None:
    CLOSE[closed](site)
    ended = hand.deploy(site)
    assert ended.exit_status == 0, ended
    assert f"from App Service's front door ({why}" in ended.evidence["http"]
    assert ended.evidence["http"].endswith("the app itself wasn't asked")
    assert site.runs == ended.result["image"]["name"]
    assert is_its_answer(reading(hand, site), site)


def test_the_front_doors_answer_does_not_prove_that_the_app_starts(
    site: Site, hand: Hand, push: Push
) -> None:
    site.restrict_access()
    ended = hand.deploy(site, image=push(site, "bad", "exit 3"), timeout=20)
    assert ended.exit_status == 4, ended
    assert "it exited with status 3" in ended.result["reason"]


def test_without_a_log_the_front_doors_answer_leaves_a_release_unproven(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    site.restrict_access()
    with cloud.fault(service="arm", path=f"{site.name}/containerlogs", status=403, times=0):
        ended = hand.deploy(site, timeout=12)
    assert ended.result["healthy"] is None, ended
    assert "Azure gives no container log" in ended.result["reason"]
