"""What `prune --delete` makes of lists that are empty, or shorter than they must be."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from azext_otelembed.console import Console
from azext_otelembed.errors import OtelembedError
from azext_otelembed.prune.deployed_images import find_deployed_images
from azext_otelembed.records import record
from azext_otelembed.release.recorded_site import open_site
from azext_otelembed.release.rollback import plan_rollback
from tests.e2e.support import IMAGES, Cloud, Site
from tests.release.many_releases import prune
from tests.release.support import Contents, Hand, MakeSite, id_of
from tests.selection import rest_is_thorough

LONG_AGO = "2026-01-05T08:00:00.0000000Z"
TAGS = "/acr/v1/otelembed(/|%2F)releases/_tags$"
REFERRERS = "/otelembed/releases/referrers/"


@dataclass(frozen=True)
class Released:
    """A site with two releases: the image of the first one is old, and on record only."""

    site: Site
    hand: Hand
    first: str
    """The tag that a rollback goes back to."""

    def prune(self) -> str:
        """`az otelembed prune --delete --yes`; returns the error, if there is one."""
        try:
            prune(self.hand.session, self.site.registry)
        except OtelembedError as error:
            return error.message
        return ""

    def held(self) -> set[str]:
        """The tags in the repository of the site's images."""
        listed = Contents(self.site.cloud, self.site.host).manifests(self.site.repository)
        return {tag for tags in listed.values() for tag in tags}


@pytest.fixture
def released(make_site: MakeSite, cloud: Cloud, hand: Hand) -> Iterator[Released]:
    site = make_site(registry=cloud.add_registry())
    first = hand.deploy(site).result["image"]["name"].rpartition(":")[2]
    site.push("2.0", IMAGES / "app", source="1.0")
    assert hand.deploy(site, image=site.image("2.0"), tag="second").exit_status == 0
    for tag in (first, "second"):
        cloud.local.backdate(site.registry, site.repository, tag, LONG_AGO)
    yield Released(site, hand, first)
    cloud.local.clear_faults()


@pytest.mark.parametrize(
    "answer",
    rest_is_thorough(
        [
            {"status": 404, "body": "<html>Not Found</html>"},
            {"status": 404},
            {"status": 200, "body": {"registry": "x", "imageName": "x", "tags": None}},
            {"status": 200, "body": {"registry": "x", "imageName": "x", "tags": []}},
        ],
        {"status": 404}.__eq__,
    ),
    ids=json.dumps,
)
def test_no_image_of_a_rollback_is_deleted_where_the_list_of_sites_with_records_is_empty(
    released: Released, cloud: Cloud, answer: dict[str, Any]
) -> None:
    cloud.local.fault(service="acr", path=TAGS, times=0, **answer)
    said = released.prune()
    assert released.first in released.held()
    assert "holds release records in" in said


def test_no_image_of_a_rollback_is_deleted_where_records_come_without_their_annotations(
    released: Released, cloud: Cloud
) -> None:
    contents = Contents(cloud, released.site.host)
    (anchor,) = (
        digest
        for digest, tags in contents.manifests(record.REPOSITORY).items()
        if any(tag.startswith("site-") for tag in tags)
    )
    listed = contents.referrers(record.REPOSITORY, anchor)
    for one in listed:
        one["annotations"] = None
    body = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
    cloud.local.fault(
        service="acr", path=REFERRERS, times=0, status=200, body={**body, "manifests": listed}
    )
    assert released.prune() == ""
    assert released.first in released.held()
    opened = open_site(released.hand.session, id_of(released.site), Console(stream=io.StringIO()))
    assert plan_rollback(opened, None).image.name == released.site.image(released.first)


def test_a_list_of_subscriptions_without_the_callers_own_one_keeps_all_images(
    make_site: MakeSite, hand: Hand, cloud: Cloud
) -> None:
    make_site(wait=False, state="Stopped")
    cloud.local.fault(service="arm", path="^/subscriptions$", status=200, body={"value": []})
    found = find_deployed_images(hand.session)
    assert [name for name, _ in found.unreadable] == ["the list of subscriptions"]


@pytest.mark.parametrize("code", ["ResourceNotFound", "AuthorizationFailed"])
def test_a_404_of_another_kind_does_not_mean_that_a_subscription_is_gone(
    make_site: MakeSite, hand: Hand, cloud: Cloud, code: str
) -> None:
    make_site(wait=False, state="Stopped")
    sites = f"/subscriptions/{cloud.local.subscription}/providers/Microsoft.Web/sites$"
    body = {"error": {"code": code, "message": "It was not found."}}
    cloud.local.fault(service="arm", path=sites, status=404, body=body, times=0)
    found = find_deployed_images(hand.session)
    assert [name for name, _ in found.unreadable] == [f"subscription '{cloud.local.subscription}'"]
