"""Which embedded images are retained, and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from hashlib import sha256

import pytest

from azext_otelembed.prune.deployed_images import DeployedImages
from azext_otelembed.prune.retention import StoredImage, decide
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from tests.unit.samples import NOW, RELEASE

HOST = "r.azurecr.io"
SITE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/shop"
NOTHING = DeployedImages()


def digest(tag: str) -> str:
    """The digest of the image that has `tag`."""
    return f"sha256:{sha256(tag.encode()).hexdigest()}"


def stored(*tags: str, age: timedelta = timedelta(days=30), of: str = "") -> StoredImage:
    """A manifest with tags, that of the image that had the tag `of`, or else the first one."""
    return StoredImage("shop", digest(of or tags[0]), tags, NOW - age, NOW - age)


def name(number: int) -> str:
    """The tag of an embedded image."""
    return f"{number}.0-otelembed-{number:012x}"


def release(number: int, tag: str = "", state: str = record.SUCCEEDED) -> Release:
    """A release of an image that replaced the one before."""
    started = NOW - timedelta(days=30 - number)
    return replace(
        RELEASE,
        id=str(number),
        site=SITE,
        state=state,
        started=started,
        expires=started,
        image=f"{HOST}/shop:{tag or name(number)}",
        digest=digest(tag or name(number)),
        previous_image=f"{HOST}/shop:{name(number - 1)}",
        recipe="sha256:0",
    )


def runs(*images: str, site: str = SITE) -> DeployedImages:
    """A site that runs images, and nothing else does."""
    return DeployedImages({site: images})


def kept(
    images: Sequence[StoredImage],
    deployed: DeployedImages = NOTHING,
    releases: Sequence[Release] = (),
    keep: int = 1,
    host: str = HOST,
) -> dict[str, str]:
    """Why each is kept, by its first tag or its digest."""
    decisions = decide(images, host, deployed, [list(releases)], keep, NOW)
    return {(*one.image.tags, one.image.digest)[0]: one.kept_because for one in decisions}


def test_what_runs_and_the_newest_releases_are_kept_and_the_rest_is_not() -> None:
    releases = [release(number) for number in (5, 4, 3, 2, 1)]
    images = [stored(name(number)) for number in (5, 4, 3, 2, 1, 9)]
    found = kept(images, runs(f"{HOST}/shop:{name(1)}"), releases, 2)
    assert found[name(5)] == "among the newest releases of 'shop'"
    assert found[name(4)] == "among the newest releases of 'shop'"
    assert found[name(3)] == "'shop' would roll back to it"
    assert found[name(2)] == ""
    assert found[name(1)] == "'shop' runs it"
    assert found[name(9)] == "", "an orphan: no record, no site"


def test_app_images_are_never_listed() -> None:
    assert kept([stored("1.0"), stored("latest", "2.0")]) == {}


def test_an_app_image_that_a_site_went_back_to_is_never_listed() -> None:
    removed = replace(release(2, "1.0"), recipe="")
    later = [release(number) for number in (6, 5, 4, 3)]
    assert kept([stored("1.0")], releases=[*later, removed, release(1)]) == {}


def test_an_app_image_under_a_tag_that_an_embedded_one_had_is_never_listed() -> None:
    releases = [release(3), release(2), release(1, "nightly")]
    assert kept([stored("nightly", of="pushed since")], releases=releases) == {}


def test_an_embedded_image_with_a_tag_of_another_origin_is_kept() -> None:
    assert kept([stored(name(1), "golden")]) == {name(1): "it has a tag that otelembed didn't make"}


def test_an_embedded_image_under_a_tag_of_the_callers_is_known_from_its_record() -> None:
    images = [stored("nightly"), stored(name(2)), stored(name(3))]
    releases = [release(3), release(2), release(1, "nightly")]
    assert kept(images, runs(f"{HOST}/shop:{name(3)}"), releases) == {
        "nightly": "",
        name(2): "'shop' would roll back to it",
        name(3): "'shop' runs it",
    }


def test_an_embedded_image_whose_tag_went_to_another_one_is_known_from_its_record() -> None:
    untagged, strange = stored(of="nightly"), stored(of="another")
    releases = [release(3), release(2), release(1, "nightly")]
    assert kept([untagged, strange], releases=releases) == {untagged.digest: ""}
    newest = kept([untagged], releases=[release(1, "nightly")])
    assert newest == {untagged.digest: "among the newest releases of 'shop'"}


def test_an_image_that_was_pushed_just_now_may_belong_to_a_deploy_in_progress() -> None:
    young = stored(name(1), age=timedelta(minutes=5))
    again = replace(stored(name(2)), pushed=NOW - timedelta(minutes=5))
    assert set(kept([young, again]).values()) == {"it is younger than an hour"}


@pytest.mark.parametrize(
    "image",
    [
        f"{HOST}/shop:{name(1)}",
        f"R.AzureCR.io/shop:{name(1)}",
        f"{HOST}/shop@{digest(name(1))}",
        f"{HOST}/shop:moved@{digest(name(1))}",
        f"r.westeurope.geo.azurecr.io/shop:{name(1)}",
    ],
)
def test_what_runs_is_known_however_it_is_named(image: str) -> None:
    images = [stored(name(1)), stored(name(2))]
    assert kept(images, runs(image)) == {name(1): "'shop' runs it", name(2): ""}
    assert kept(images, runs(image), host=HOST.upper())[name(1)] == "'shop' runs it"


@pytest.mark.parametrize(
    "image",
    [
        "",
        "r/Shop:1",
        f"https://{HOST}/shop:{name(1)}",
        f"other.azurecr.io/shop:{name(1)}",
        f"{HOST}/shops:{name(1)}",
        f"shop@{digest(name(1))}",
    ],
)
def test_what_can_be_no_image_of_the_registry_keeps_nothing_and_stops_nothing(image: str) -> None:
    strange = replace(release(1), image=image, previous_image=image)
    assert kept([stored(name(2))], runs(image), [strange]) == {name(2): ""}


def test_what_runs_it_is_told_first_whichever_of_its_tags_that_is_by() -> None:
    images = [stored("first", "second")]
    releases = [
        replace(release(2, "second"), digest=digest("first"), previous_image=f"{HOST}/shop:first"),
        release(1, "first"),
    ]
    found = kept(images, runs(f"{HOST}/shop:second"), releases)
    assert found == {"first": "'shop' runs it"}


def test_a_slot_is_told_by_its_own_name() -> None:
    found = kept([stored(name(1))], runs(f"{HOST}/shop:{name(1)}", site=f"{SITE}/slots/blue"))
    assert found == {name(1): "'shop/blue' runs it"}


def test_while_something_can_not_be_read_everything_is_kept() -> None:
    deployed = DeployedImages(unreadable=(("subscription 'far'", "not allowed"),))
    images = [stored(name(1)), stored("1.0")]
    assert kept(images, deployed) == {name(1): "subscription 'far' can't be read and may run it"}


def test_releases_that_did_not_stay_do_not_push_out_those_that_did() -> None:
    failed = [release(number, state=record.ROLLED_BACK) for number in (5, 4)]
    gone = replace(release(3, state=record.WITHDRAWN), previous_image="")
    images = [stored(name(number)) for number in (5, 4, 2, 1)]
    found = kept(images, releases=[*failed, gone, release(2)])
    assert found == {
        name(5): "",
        name(4): "",
        name(2): "among the newest releases of 'shop'",
        name(1): "'shop' would roll back to it",
    }


def test_what_rollback_would_go_to_is_kept_however_long_ago_it_ran() -> None:
    back = [
        replace(release(number, name(to)), recipe="", previous_image=f"{HOST}/shop:{name(to + 1)}")
        for number, to in ((7, 2), (6, 3))
    ]
    forth = [release(number) for number in (4, 3, 2)]
    images = [stored(name(1)), stored(name(4))]
    found = kept(images, runs(f"{HOST}/shop:{name(2)}"), [*back, *forth])
    assert found == {name(1): "'shop' would roll back to it", name(4): ""}


def test_a_release_in_progress_keeps_what_it_names_behind_newer_ones() -> None:
    pending = replace(release(2, state=record.PENDING), expires=NOW + timedelta(minutes=1))
    images = [stored(name(number)) for number in (2, 1)]
    assert kept(images, releases=[release(9), pending]) == {
        name(2): "among the newest releases of 'shop'",
        name(1): "'shop' would roll back to it",
    }
    ended = replace(pending, expires=NOW)
    assert kept(images, releases=[release(9), ended])[name(2)] == ""


def test_what_a_crash_left_pending_keeps_what_it_names() -> None:
    images = [stored(name(number)) for number in (2, 1)]
    assert "" not in kept(images, releases=[release(2, state=record.PENDING)]).values()


def test_the_image_of_an_unproven_release_is_kept_like_a_successful_ones() -> None:
    """It runs, or ran: the site had it and answered."""
    releases = [release(3), release(2, state=record.UNPROVEN), release(1)]
    images = [stored(name(number)) for number in (3, 2, 1)]
    found = kept(images, runs(f"{HOST}/shop:{name(3)}"), releases, 2)
    assert found[name(2)] == "among the newest releases of 'shop'"
    assert found[name(1)] == "'shop' would roll back to it"
