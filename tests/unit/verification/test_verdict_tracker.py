"""Verdicts from observations, as tables: one observation a second."""

from __future__ import annotations

import pytest

from azext_otelembed.verification.log_evidence import LogEvidence
from azext_otelembed.verification.verdict_tracker import Pace, VerdictTracker, start_limit

PACE = Pace(answers=3, settled=2, blind=6, recovery=5)
START_LIMIT = 20
NO_LOG = None
NOTHING = LogEvidence(started=False, ready=False, failure=None, tail=())
STARTED = LogEvidence(started=True, ready=False, failure=None, tail=())
READY = LogEvidence(started=True, ready=True, failure=None, tail=())
FAILED = LogEvidence(started=True, ready=False, failure="it exited", tail=(), failures=1)
READY_AGAIN = LogEvidence(started=True, ready=True, failure=None, tail=(), failures=1)
READY_A_THIRD_TIME = LogEvidence(started=True, ready=True, failure=None, tail=(), failures=2)


def observe(
    log: LogEvidence | None, seconds: int, tracker: VerdictTracker | None = None, **given: bool
) -> VerdictTracker:
    """Adds so many observations of the same kind; the app answers unless told otherwise."""
    seen = tracker or VerdictTracker(PACE, PACE.recovery, START_LIMIT)
    for _ in range(seconds):
        stopped, answered = given.get("stopped", False), given.get("answered", True)
        seen.observe(seen.now + 1, log, stopped, answered)
    return seen


@pytest.mark.parametrize(
    ("log", "seconds"),
    [(READY, 3), (STARTED, START_LIMIT + 1)],
    ids=["ready", "started"],
)
def test_the_less_the_log_shows_the_longer_the_site_has_to_answer(
    log: LogEvidence | None, seconds: int
) -> None:
    assert not observe(log, seconds - 1).is_up
    assert observe(log, seconds).is_up


def test_answers_of_the_old_container_do_not_count_for_the_new_one() -> None:
    tracker = observe(STARTED, 10)
    assert not observe(READY, 2, tracker).is_up
    assert observe(READY, 1, tracker).is_up


@pytest.mark.parametrize("bad", [{"answered": False}, {"stopped": True}], ids=str)
def test_a_missing_answer_or_a_stopped_instance_starts_the_count_again(
    bad: dict[str, bool],
) -> None:
    tracker = observe(READY, 5)
    assert tracker.is_up
    assert not observe(READY, 1, tracker, **bad).is_up
    assert not observe(READY, 2, tracker).is_up
    assert observe(READY, 1, tracker).is_up


def test_a_failure_is_final_when_the_container_does_not_recover() -> None:
    tracker = observe(FAILED, 5, answered=False)
    assert not tracker.has_failed
    observe(FAILED, 1, tracker, answered=False)
    assert tracker.has_failed
    assert tracker.failure == "it exited"


def test_a_container_that_recovers_has_to_stay_up_as_long() -> None:
    tracker = observe(FAILED, 2, answered=False)
    assert not observe(READY_AGAIN, 4, tracker).is_up
    observe(READY_AGAIN, 1, tracker)
    assert tracker.is_up
    assert not tracker.has_failed


def test_a_container_that_fails_again_has_failed() -> None:
    tracker = observe(READY_AGAIN, 4, observe(FAILED, 1, answered=False))
    observe(READY_A_THIRD_TIME, 1, tracker)
    assert not tracker.is_up
    assert tracker.has_failed


@pytest.mark.parametrize(
    ("settings", "seconds"), [({}, 240), ({"WEBSITES_CONTAINER_START_TIME_LIMIT": "600"}, 610)]
)
def test_the_start_limit_is_the_sites_own_or_230_seconds(
    settings: dict[str, str], seconds: int
) -> None:
    assert start_limit(settings) == seconds
