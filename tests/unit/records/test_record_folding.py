"""Which records of a site may be deleted once it has many."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import timedelta

import pytest

from azext_otelembed.records import record
from azext_otelembed.records.record import Release, fingerprint, latest_states
from azext_otelembed.records.record_folding import RELEASES_KEPT, StoredRecord, fold
from azext_otelembed.records.record_history import (
    added_the_setting,
    image_before,
    unfinished_release,
    unproven_release,
)
from tests.unit.samples import NOW, RELEASE

SETTING = "InstrumentationKey=ours"
STATES = (
    *(record.SUCCEEDED, record.SUCCEEDED, record.SUCCEEDED, record.FAILED, record.ROLLED_BACK),
    *(record.WITHDRAWN, record.UNPROVEN),
)


def released(number: int, state: str = record.SUCCEEDED, **fields: object) -> Release:
    """Release `number` of a site, an hour after the one before."""
    started = NOW + timedelta(hours=number)
    given: dict[str, object] = {
        "id": f"r{number}",
        "state": state,
        "started": started,
        "expires": started + timedelta(minutes=10),
        "finished": None if state == record.PENDING else started + timedelta(minutes=1),
        "image": f"v{number}",
        "digest": f"v{number}",
        "previous_image": f"v{number - 1}",
        "setting_fingerprint": fingerprint(f"r{number}", SETTING),
    }
    return replace(RELEASE, **{**given, **fields})  # type: ignore[arg-type]


def stored(releases: list[Release]) -> list[StoredRecord]:
    """The records of releases: a pending one, and one of their state."""
    found = []
    for one in releases:
        pending = replace(one, state=record.PENDING, finished=None, reason="")
        states = [pending] if one.state == record.PENDING else [pending, one]
        found += [StoredRecord(f"{one.id} {each.state}", each) for each in states]
    return found


def left(records: list[StoredRecord], *gone: str) -> list[Release]:
    """The releases on record once some records are deleted, newest first."""
    return latest_states(one.release for one in records if one.digest not in gone)


def test_a_site_with_few_releases_keeps_all_records() -> None:
    assert fold(stored([released(number) for number in range(RELEASES_KEPT)]), 3) is None


def test_the_newest_releases_stay_each_with_one_record() -> None:
    records = stored([released(number) for number in range(RELEASES_KEPT + 50)])
    folding = fold(records, 3)
    assert folding is not None
    assert folding.releases == 50
    assert [one.release.id for one in folding.last[:2]] == ["r0", "r1"], "the oldest first"
    after = [one for one in records if one.digest not in folding.digests]
    assert len(after) == RELEASES_KEPT
    assert left(after) == left(records)[:RELEASES_KEPT]


def test_keep_raises_the_number_of_releases_that_stay() -> None:
    records = stored([released(number) for number in range(200)])
    folding = fold(records, 150)
    assert folding is not None
    assert folding.releases == 50
    assert fold(records, 200) is None


@pytest.mark.parametrize("state", [record.PENDING, "paused"])
def test_a_release_that_may_go_on_stays_however_old(state: str) -> None:
    old = replace(released(0, state), expires=NOW + timedelta(days=900))
    records = stored([old, *(released(number) for number in range(1, 300))])
    folding = fold(records, 3)
    assert folding is not None
    assert old in left(records, *folding.digests)


def test_what_the_caller_needs_stays() -> None:
    records = stored([released(number) for number in range(300)])
    folding = fold(records, 3, lambda release: release.id == "r7")
    assert folding is not None
    assert [one.id for one in left(records, *folding.digests)][RELEASES_KEPT:] == ["r7"]


def test_releases_that_changed_nothing_do_not_crowd_out_the_one_that_runs() -> None:
    tail = [released(number, record.ROLLED_BACK) for number in range(3, 300)]
    tail += [released(number, record.WITHDRAWN) for number in range(300, 600)]
    known = [released(1), released(2, record.UNPROVEN), *tail]
    records = stored(known)
    folding = fold(records, 3)
    assert folding is not None
    after = left(records, *folding.digests)
    assert image_before("v2", after) == image_before("v2", left(records)) == "v1"
    assert unproven_release("v2", after) == unproven_release("v2", left(records))


def random_history(seed: int) -> list[Release]:
    """A long one, with settings that are added, changed and removed, and images that come back."""
    chance = random.Random(seed)  # noqa: S311
    count = chance.randrange(RELEASES_KEPT - 5, 400)
    made = []
    image = "v0"
    for number in range(count):
        wanted = f"v{chance.choice((number, number, max(number - 3, 0)))}"
        state = chance.choice(STATES)
        rare = chance.random()
        made.append(
            released(
                number,
                record.PENDING if rare < 0.01 else state,
                image=wanted,
                digest=wanted,
                previous_image=image,
                setting_changed=rare > 0.98,
                setting_existed=chance.random() < 0.5,
                setting_removed=0.02 < rare < 0.03,
            )
        )
        if made[-1].applied:
            image = wanted
    return made


@pytest.mark.parametrize("seed", range(40))
def test_a_fold_that_ends_anywhere_changes_no_fact(seed: int) -> None:
    records = stored(random_history(seed))
    before = left(records)
    folding = fold(records, 3)
    if folding is None:
        assert len(before) <= RELEASES_KEPT + 10, "the oldest are all needed"
        return
    chance = random.Random(seed)  # noqa: S311
    for _ in range(20):
        # Eight requests run at a time: within each of the two parts, any records may be gone.
        part = [one.digest for one in folding.superseded]
        rest = [one.digest for one in folding.last]
        end = chance.randrange(len(part) + len(rest) + 1)
        chance.shuffle(part)
        gone = (*part[:end], *rest[: max(end - len(part), 0)])
        after = left(records, *gone)
        states = {one.id: one for one in before}
        assert all(states[one.id] == one for one in after), "each in its latest state"
        assert after[:RELEASES_KEPT] == before[:RELEASES_KEPT]
        assert added_the_setting(SETTING, after) == added_the_setting(SETTING, before)
        assert unfinished_release(after) == unfinished_release(before)
        newest = next(one for one in before if one.applied)
        for image in (newest.image, newest.previous_image):
            assert image_before(image, after) == image_before(image, before)


def test_a_second_fold_finds_nothing_more() -> None:
    records = stored(random_history(5))
    folding = fold(records, 3)
    assert folding is not None
    after = [one for one in records if one.digest not in folding.digests]
    assert fold(after, 3) is None


def test_only_what_was_asked_about_is_deleted() -> None:
    folding = fold(stored([released(number) for number in range(300)]), 3)
    assert folding is not None
    chosen = {"r0 succeeded", "r0 pending", "r299 succeeded"}
    assert folding.among(chosen).digests == {"r0 succeeded", "r0 pending"}


def test_a_release_with_a_record_that_was_not_seen_before_stays() -> None:
    records = stored([released(number) for number in range(300)])
    cut = [one for one in records if one.digest not in ("r3 pending", "r5 succeeded")]
    folding = fold(cut, 3)
    assert folding is not None
    assert "r3 succeeded" in folding.digests
    confirmed = folding.confirmed(records)
    after = left(records, *confirmed.digests)
    states = {one.id: one for one in left(records)}
    assert all(states[one.id] == one for one in after), "each in its latest state"
    assert {"r3", "r5"} <= {one.id for one in after}


def test_the_image_before_is_found_among_thousands_of_images() -> None:
    known = [released(number) for number in range(5000)][::-1]
    assert image_before("v4999", known) == "v4998"
