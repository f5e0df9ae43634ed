"""What a site's records tell of the time before."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from azext_otelembed.records import record
from azext_otelembed.records.record import Release, fingerprint
from azext_otelembed.records.record_history import before_this, had_before, is_ours, swapped
from azext_otelembed.release.release_runner import unfinished_of

START = datetime(2026, 11, 22, 12, tzinfo=timezone.utc)
OURS, OTHER = "InstrumentationKey=ours", "InstrumentationKey=other"


def released(*steps: str) -> list[Release]:
    """Records, newest first, from steps such as `a>b` or `a>b failed`: `a` was replaced by `b`."""
    made: list[Release] = []
    for number, step in enumerate(steps):
        images, _, state = step.partition(" ")
        before, _, after = images.partition(">")
        started = START + timedelta(hours=number)
        made.append(
            Release(
                id=str(number),
                site="/s",
                state=state or record.SUCCEEDED,
                started=started,
                expires=started,
                image=after,
                digest=after,
                previous_image=before,
                setting_was_there=False,
                setting_changed=False,
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
    ],
)
def test_going_back_takes_steps_back_over_what_came_up(
    runs: str, steps: list[str], expected: str | None
) -> None:
    assert before_this(runs, released(*steps)) == expected


def changed(release: Release, value: str, *, there: bool) -> Release:
    kept = fingerprint(release.id, value)
    return replace(release, setting_changed=True, setting_was_there=there, setting_print=kept)


def test_a_setting_is_ours_when_we_found_none_and_wrote_what_is_there() -> None:
    first, second = released("v0>v1", "v1>v2")[::-1]
    added = changed(first, OURS, there=False)
    assert is_ours(OURS, [second, added])
    assert not is_ours(OTHER, [second, added]), "somebody changed it since"
    assert not is_ours(OURS, [second, changed(first, OURS, there=True)])
    assert is_ours(OTHER, [changed(second, OTHER, there=True), added]), "we changed it since"
    assert not is_ours(OURS, [])


@pytest.mark.parametrize("state", [record.WITHDRAWN, record.ROLLED_BACK])
def test_a_release_that_left_nothing_owns_no_setting(state: str) -> None:
    (only,) = released("v0>v1")
    assert not is_ours(OURS, [replace(changed(only, OURS, there=False), state=state)])


def test_a_release_that_was_taken_back_owns_no_setting() -> None:
    (only,) = released("v0>v1 failed")
    added = changed(only, OURS, there=False)
    assert not is_ours(OURS, [replace(added, reason=f"{record.NOT_APPLIED}: 409")])
    assert is_ours(OURS, [replace(added, reason="it exited")]), "it was left"


def test_a_setting_that_was_removed_and_came_again_is_not_ours() -> None:
    first, second, third = released("v0>v1", "v1>v0", "v0>v1")[::-1]
    added = changed(first, OURS, there=False)
    removed = replace(second, setting_changed=True, setting_was_there=True, setting_removed=True)
    assert not is_ours(OURS, [third, removed, added])


def test_who_withdrew_hides_no_pending_release() -> None:
    known = released("v0>v1 pending", "v0>v2 withdrawn")
    pending = unfinished_of(known)
    assert pending is not None
    assert pending.image == "v1"
    assert unfinished_of(released("v0>v1 pending", "v0>v2 failed")) is None


def test_a_fingerprint_tells_settings_apart_and_says_nothing_else() -> None:
    assert fingerprint("a", OURS) == fingerprint("a", OURS)
    assert fingerprint("a", OURS) != fingerprint("a", OTHER)
    assert fingerprint("a", OURS) != fingerprint("b", OURS)
    assert fingerprint("a", None) == ""
    (release,) = released("v0>v1")
    told = changed(release, OURS, there=False)
    assert record.from_annotations(json.loads(record.to_manifest(told))["annotations"]) == told
    assert told.wants("v1", OURS)
    assert not told.wants("v1", OTHER)
    assert not told.wants("v2", OURS)
    assert not told.wants("v1", None)
    assert release.wants("v1", None)


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
    assert had_before(image, runs, released(*steps)) is expected


def test_a_swap_shows_by_its_slot_and_by_what_the_two_hold() -> None:
    first, *others = released("v0>v1", "v1>v2")
    known = [replace(first, slot="staging"), *others]
    assert swapped("Staging", "v1", "v2", known)
    assert not swapped("blue", "v1", "v2", known)
    assert not swapped("staging", "v0", "v2", known)
    assert not swapped("staging", "v1", "v1", known)
    assert not swapped("staging", "v1", "v2", [first, *others])
    assert not swapped("staging", "v1", "v2", [])
