"""Which release has to withdraw, by the records of a site."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from azext_otelembed.errors import Refused
from azext_otelembed.records import record, release_lock
from azext_otelembed.records.record import Release, fingerprint
from azext_otelembed.records.release_lock import check_free, extended, find_rival, lasts
from tests.unit.samples import NOW, RELEASE

SETTING = "InstrumentationKey=wanted"

HISTORY = "See `az otelembed history -g rg -n shop`."


def release(
    name: str, image: str = "other", state: str = record.PENDING, *, seconds: float = 0
) -> Release:
    """A release that starts so many seconds after NOW, and expires a minute later."""
    started = NOW + timedelta(seconds=seconds)
    return replace(
        RELEASE,
        id=name,
        state=state,
        started=started,
        expires=started + timedelta(minutes=1),
        image=image,
        digest=image,
        setting_changed=True,
        setting_fingerprint=fingerprint(name, SETTING),
    )


OWN = release("own", "mine")


@pytest.mark.parametrize(
    ("others", "expected"),
    [
        ([], None),
        ([release("old", seconds=-1)], "old"),
        ([release("young", seconds=1)], "young"),
        ([release("young", seconds=1), release("old", seconds=-1)], "old"),
        ([release("expired", seconds=-60)], None),
        ([release("same", "mine", seconds=-1)], None),
        ([release("left", state=record.WITHDRAWN)], None),
        ([release("done", state=record.SUCCEEDED)], "done"),
        ([release("unproven", state=record.UNPROVEN)], "unproven"),
        ([release("bad", state=record.FAILED), release("old", seconds=-1)], "bad"),
        ([release("known", state=record.SUCCEEDED)], None),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_rival_is_in_progress_or_has_ended_since_the_records_were_read(
    others: list[Release], expected: str | None
) -> None:
    known = [release("known", state=record.SUCCEEDED)]
    found = find_rival(OWN, [OWN, *others], known, SETTING, NOW)
    assert (found and found.id) == expected


def test_a_release_of_the_same_image_with_another_setting_is_a_rival() -> None:
    same = release("same", "mine")
    other = replace(same, setting_fingerprint=fingerprint("same", "InstrumentationKey=another"))
    assert find_rival(OWN, [OWN, same], [], SETTING, NOW) is None
    assert find_rival(OWN, [OWN, other], [], SETTING, NOW) == other


def test_only_a_release_of_something_else_that_is_in_progress_refuses_a_new_one() -> None:
    now = datetime.now(timezone.utc)
    pending = replace(release("p"), started=now, expires=now + timedelta(minutes=1))
    with pytest.raises(Refused, match="is in progress: other") as refused:
        check_free([pending], "mine", SETTING, see_history=HISTORY)
    assert "Nothing was changed." in refused.value.message
    assert (refused.value.recommendation or "").endswith(HISTORY)
    check_free([pending], "other", SETTING, see_history=HISTORY)
    check_free([replace(pending, expires=now)], "mine", SETTING, see_history=HISTORY)
    check_free([replace(pending, state=record.FAILED)], "mine", SETTING, see_history=HISTORY)


def test_an_unproven_release_that_is_extended_is_pending_again_and_for_no_shorter() -> None:
    now = datetime.now(timezone.utc)
    long = replace(release("p"), expires=now + timedelta(hours=1))
    unproven = long.completed(record.UNPROVEN, now, "nothing in the log")
    again = extended(unproven, 60)
    assert (again.state, again.finished, again.reason) == (record.PENDING, None, "")
    assert again.expires == long.expires


def test_an_extended_release_lasts_for_the_timeout_and_the_margin() -> None:
    pending = extended(release("p"), 60)
    margin = release_lock.MARGIN.total_seconds()
    assert lasts(pending, 60 + margin - 5)
    assert not lasts(pending, 60 + margin)
