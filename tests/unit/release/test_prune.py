"""Which embedded images nothing needs."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

from azext_otelembed.release import record
from azext_otelembed.release.prune import Judged, Stored, judge
from azext_otelembed.release.record import Release

NOW = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
HOST = "r.azurecr.io"
SITE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/shop"


def stored(*tags: str, age: timedelta = timedelta(days=30)) -> Stored:
    """A manifest with tags."""
    return Stored("shop", f"sha256:{hash(tags) & 0xFFFF:064x}", tags, NOW - age, 1000)


def name(number: int) -> str:
    """The tag of an embedded image."""
    return f"{number}.0-otelembed-{number:012x}"


def release(number: int, image: str = "") -> Release:
    """A release of an image that replaced the one before."""
    started = NOW - timedelta(days=30 - number)
    return Release(
        id=str(number),
        site=SITE,
        state=record.SUCCEEDED,
        started=started,
        expires=started,
        image=image or f"{HOST}/shop:{name(number)}",
        digest="",
        previous_image=f"{HOST}/shop:{name(number - 1)}",
        setting_was_there=True,
        setting_changed=False,
    )


def kept(judged: list[Judged]) -> dict[str, str]:
    """Why each is kept, by its first tag."""
    return {one.stored.tags[0]: one.kept_because for one in judged}


def test_what_runs_and_the_newest_releases_are_kept_and_the_rest_is_not() -> None:
    releases = [release(number) for number in (5, 4, 3, 2, 1)]
    images = [stored(name(number)) for number in (5, 4, 3, 2, 1, 9)]
    running = {f"{HOST}/shop:{name(1)}": "shop"}
    found = kept(judge(images, HOST, running, [releases], 2, NOW))
    assert found[name(5)] == "among the newest releases of 'shop'"
    assert found[name(4)] == "among the newest releases of 'shop'"
    assert found[name(3)] == "what 'shop' goes back to"
    assert found[name(2)] == ""
    assert found[name(1)] == "'shop' runs it"
    assert found[name(9)] == "", "an orphan: no record, no site"


def test_app_images_are_never_judged() -> None:
    assert judge([stored("1.0"), stored("latest", "2.0")], HOST, {}, [], 1, NOW) == []


def test_an_embedded_image_that_somebody_tagged_otherwise_too_is_kept() -> None:
    found = kept(judge([stored(name(1), "golden")], HOST, {}, [], 1, NOW))
    assert found[name(1)] == "it has a tag that isn't ours"


def test_an_embedded_image_under_a_tag_of_the_callers_is_known_from_its_record() -> None:
    old, new = release(1, f"{HOST}/shop:nightly"), release(2)
    images = [stored("nightly"), stored(name(2))]
    found = kept(judge(images, HOST, {}, [[new, old]], 1, NOW))
    assert found == {"nightly": "", name(2): "among the newest releases of 'shop'"}


def test_a_young_image_may_belong_to_a_deploy_that_is_under_way() -> None:
    found = kept(judge([stored(name(1), age=timedelta(minutes=5))], HOST, {}, [], 1, NOW))
    assert found[name(1)] == "it is younger than an hour"


def test_the_case_of_a_host_makes_no_difference() -> None:
    running = {f"{HOST}/shop:{name(1)}": "shop"}
    found = kept(judge([stored(name(1))], HOST.upper(), running, [], 1, NOW))
    assert found[name(1)] == "'shop' runs it"
