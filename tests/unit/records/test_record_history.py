"""Facts that follow from all records of a site."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from azext_otelembed.records import record
from azext_otelembed.records.record import Release, fingerprint
from azext_otelembed.records.record_history import (
    added_the_setting,
    awaits_verification,
    image_before,
    ran_before,
    running_release,
    unfinished_release,
    unproven_release,
    was_swapped,
)
from azext_otelembed.verification.platform_log import stamp_time
from tests.unit.samples import NOW, RELEASE

ADDED, OTHER = "InstrumentationKey=ours", "InstrumentationKey=other"


def released(*steps: str) -> list[Release]:
    """Records, newest first, from steps such as `a>b` or `a>b failed`: `a` was replaced by `b`."""
    made: list[Release] = []
    for number, step in enumerate(steps):
        images, _, state = step.partition(" ")
        before, _, after = images.partition(">")
        accepted = state == record.ACCEPTED
        made.append(
            replace(
                RELEASE,
                id=str(number),
                state=record.UNPROVEN if accepted else state or record.SUCCEEDED,
                reason=f"{record.ACCEPTED}: nothing in the log" if accepted else "",
                started=NOW + timedelta(hours=number),
                image=after,
                digest=after,
                previous_image=before,
            )
        )
    return made[::-1]


@pytest.mark.parametrize(
    ("runs", "steps", "expected"),
    [
        ("v1", ["v0>v1"], "v0"),
        ("v2", ["v0>v1", "v1>v2"], "v1"),
        ("v1", ["v0>v1", "v1>v2", "v2>v1"], "v0"),
        ("v3", ["v0>v1", "v1>v2", "v2>v1", "v1>v3"], "v1"),
        ("v0", ["v0>v1", "v1>v0"], None),
        ("v2", ["v0>v1", "v1>bad failed", "bad>v2"], "v1"),
        ("bad", ["v0>v1", "v1>bad failed"], "v1"),
        ("v1", ["v0>v1", "v1>bad rolled back"], "v0"),
        ("v1", ["v0>v1", "v1>v2 withdrawn"], "v0"),
        ("v2", ["v0>v1", "v1>v2 failed", "v2>v3 failed", "v3>v2"], "v1"),
        ("hand", ["v0>v1"], "v1"),
        ("v2", ["v0>v1", "hand>v2"], "hand"),
        ("new", [], None),
        ("v2", ["v0>v1", "v1>v2 unproven"], "v1"),
        ("v3", ["v0>v1", "v1>v2 unproven", "v2>v3"], "v1"),
        ("v1", ["v0>v1", "v1>v2 unproven", "v2>v1"], "v0"),
        ("v3", ["v0>v1", "v1>v2 accepted", "v2>v3"], "v2"),
    ],
)
def test_a_rollback_goes_to_the_image_that_ran_successfully_before(
    runs: str, steps: list[str], expected: str | None
) -> None:
    assert image_before(runs, released(*steps)) == expected


def changed(release: Release, value: str, *, there: bool) -> Release:
    kept = fingerprint(release.id, value)
    return replace(release, setting_changed=True, setting_existed=there, setting_fingerprint=kept)


def test_releases_added_the_setting_if_there_was_none_and_its_value_is_theirs() -> None:
    first, second = released("v0>v1", "v1>v2")[::-1]
    added = changed(first, ADDED, there=False)
    assert added_the_setting(ADDED, [second, added])
    assert not added_the_setting(OTHER, [second, added]), "another process changed it since"
    assert not added_the_setting(ADDED, [second, changed(first, ADDED, there=True)])
    assert added_the_setting(OTHER, [changed(second, OTHER, there=True), added]), (
        "a release changed it since"
    )
    assert not added_the_setting(ADDED, [])


@pytest.mark.parametrize("state", [record.WITHDRAWN, record.ROLLED_BACK])
def test_a_release_that_was_undone_added_no_setting(state: str) -> None:
    (only,) = released("v0>v1")
    assert not added_the_setting(ADDED, [replace(changed(only, ADDED, there=False), state=state)])


def test_a_release_that_was_not_applied_added_no_setting() -> None:
    (only,) = released("v0>v1 failed")
    added = changed(only, ADDED, there=False)
    assert not added_the_setting(ADDED, [replace(added, reason=f"{record.NOT_APPLIED}: 409")])
    assert added_the_setting(ADDED, [replace(added, reason="it exited")]), "it was left in place"


def test_a_setting_that_came_again_after_its_removal_was_not_added_by_releases() -> None:
    first, second, third = released("v0>v1", "v1>v0", "v0>v1")[::-1]
    added = changed(first, ADDED, there=False)
    removed = replace(second, setting_changed=True, setting_existed=True, setting_removed=True)
    assert not added_the_setting(ADDED, [third, removed, added])


@pytest.mark.parametrize("state", [record.PENDING, record.FAILED])
def test_a_removal_that_was_not_completed_leaves_the_setting_to_the_releases(state: str) -> None:
    first, second, third = released("v0>v1", "v1>v0", "v0>v1")[::-1]
    added = changed(first, ADDED, there=False)
    removed = replace(
        second, state=state, setting_changed=True, setting_existed=True, setting_removed=True
    )
    assert added_the_setting(ADDED, [third, removed, added])
    assert not added_the_setting(OTHER, [third, removed, added])


def test_a_site_runs_the_newest_release_of_its_image() -> None:
    known = released("v0>v1", "v1>v2", "v2>v1", "v1>v3 rolled back")
    found = [running_release(image, known) for image in ("v1", "v2", "v3", "v0")]
    assert [one and one.id for one in found] == ["2", "1", None, None]


def test_a_record_tells_its_command_and_is_none_of_another_one() -> None:
    (plain,) = released("v2>v1")
    back = replace(plain, command=record.ROLLBACK, goes_back_from="7", target="3")
    assert record.from_annotations(json.loads(record.to_manifest(back))["annotations"]) == back
    assert back.is_of("v1", None, record.ROLLBACK)
    assert not back.is_of("v1", None)
    assert not plain.is_of("v1", None, record.ROLLBACK)
    entry = back.as_result()
    assert (entry["command"], entry["from"]) == ("rollback", "7")
    assert plain.as_result()["command"] == "deploy"
    assert replace(plain, slot="staging").as_result()["command"] == "swap"
    # An older version of the extension wrote none of these.
    old = json.loads(record.to_manifest(plain))["annotations"]
    assert not {f"{record.PREFIX}{name}" for name in ("command", "target")} & old.keys()
    assert record.from_annotations(old) == plain


def test_the_reason_of_a_release_is_bounded() -> None:
    (begun,) = released("v1>v2 pending")
    failed = begun.completed(record.FAILED, NOW, f"{record.NOT_APPLIED}: {'x' * 100_000}")
    assert len(failed.reason) < 1100
    assert not failed.applied


@pytest.mark.parametrize(
    "stamp", ["soon", "2026-05-04T08:23:05.1e9Z", "2026-05-04T08:23:05.٣", "²"]
)
def test_a_damaged_log_stamp_of_a_record_is_none(stamp: str) -> None:
    (plain,) = released("v1>v2")
    damaged = json.loads(record.to_manifest(replace(plain, log_stamp=stamp)))["annotations"]
    read = record.from_annotations(damaged)
    assert read is not None
    assert read.log_since == plain.started.strftime("%Y-%m-%dT%H:%M:%S")
    assert stamp_time(stamp) >= 0


def test_a_withdrawn_release_hides_no_pending_one() -> None:
    known = released("v0>v1 pending", "v0>v2 withdrawn")
    pending = unfinished_release(known)
    assert pending is not None
    assert pending.image == "v1"
    assert unfinished_release(released("v0>v1 pending", "v0>v2 failed")) is None


def test_an_unproven_release_is_the_newest_one_of_the_image_that_runs() -> None:
    known = released("v0>v1", "v1>v2 unproven", "v2>v3 withdrawn")
    found = unproven_release("v2", known)
    assert found is not None
    assert found.image == "v2"
    assert unproven_release("v1", known) is None, "another process has set another image"
    assert unproven_release("v2", released("v1>v2 unproven", "v2>v3", "v3>v2")) is None


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        (["v1>v2 unproven"], True),
        (["v1>v2 pending"], True),
        (["v1>v2 accepted"], False),
        (["v1>v2"], False),
        (["v1>v2 failed"], False),
    ],
)
def test_what_is_neither_proven_nor_accepted_is_verified_again(
    steps: list[str], expected: bool
) -> None:
    assert awaits_verification("v2", released(*steps)) is expected


def test_of_two_verifications_that_expire_at_the_same_time_the_later_one_counts() -> None:
    begun = replace(released("v0>v1 pending")[0], expires=NOW + timedelta(hours=1))
    first = begun.completed(record.UNPROVEN, NOW + timedelta(minutes=1), "nothing in the log")
    last = begun.completed(record.UNPROVEN, NOW + timedelta(minutes=2), f"{record.ACCEPTED}: so")
    for records in ([first, last], [last, first]):
        assert record.latest_states([begun, *records]) == [last]


def test_an_unproven_release_is_pending_while_it_is_verified_again_and_then_what_that_shows() -> (
    None
):
    (begun,) = released("v1>v2 pending")
    unproven = begun.completed(record.UNPROVEN, NOW + timedelta(minutes=10), "nothing in the log")
    again = replace(begun, expires=begun.expires + timedelta(minutes=10))
    still = again.completed(record.UNPROVEN, NOW + timedelta(minutes=20), "nothing in the log")
    proven = again.completed(record.SUCCEEDED, NOW + timedelta(minutes=20))
    for number, last in ((2, unproven), (3, again), (4, still)):
        records = [begun, unproven, again, still][:number]
        assert record.latest_states(records) == [last]
        assert record.latest_states(records[::-1]) == [last]
    assert record.latest_states([proven, still, again, unproven, begun]) == [proven]


def test_a_fingerprint_distinguishes_settings_and_reveals_nothing() -> None:
    assert fingerprint("a", ADDED) == fingerprint("a", ADDED)
    assert fingerprint("a", ADDED) != fingerprint("a", OTHER)
    assert fingerprint("a", ADDED) != fingerprint("b", ADDED)
    assert fingerprint("a", None) == ""
    (release,) = released("v0>v1")
    told = changed(release, ADDED, there=False)
    assert record.from_annotations(json.loads(record.to_manifest(told))["annotations"]) == told
    assert told.is_of("v1", ADDED)
    assert not told.is_of("v1", OTHER)
    assert not told.is_of("v2", ADDED)
    assert not told.is_of("v1", None)
    assert release.is_of("v1", None)


@pytest.mark.parametrize(
    ("image", "runs", "steps", "expected"),
    [
        ("v0", "v1", ["v0>v1"], True),
        ("v1", "v2", ["v0>v1", "v1>v2"], True),
        ("v1", "v0", ["v0>v1", "v1>v0"], True),
        ("v1", "v1", ["v0>v1", "v1>v1"], False),
        ("v2", "v1", ["v0>v1"], False),
        ("v2", "v1", ["v0>v1", "v1>v2 rolled back"], False),
        ("v2", "v1", ["v0>v1", "v1>v2 pending"], False),
        ("v0", "v1", ["v0>v1 pending"], True),
        ("v0", "v1", [], False),
    ],
)
def test_what_production_ran_before_is_on_record(
    image: str, runs: str, steps: list[str], expected: bool
) -> None:
    assert ran_before(image, runs, released(*steps)) is expected


def test_a_swap_shows_by_its_slot_and_by_what_the_two_hold() -> None:
    first, *others = released("v0>v1", "v1>v2")
    known = [replace(first, slot="staging"), *others]
    assert was_swapped("Staging", "v1", "v2", known)
    assert not was_swapped("blue", "v1", "v2", known)
    assert not was_swapped("staging", "v0", "v2", known)
    assert not was_swapped("staging", "v1", "v1", known)
    assert not was_swapped("staging", "v1", "v2", [first, *others])
    assert not was_swapped("staging", "v1", "v2", [])
