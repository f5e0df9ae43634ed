"""Waiting for telemetry: what is seen, what is missing, and what is open."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import chain, repeat

from azext_otelembed.errors import AzureFailed, OtelembedError, Unauthorized
from azext_otelembed.telemetry.arrival import REQUESTS, Arrival, Seen, await_arrival
from azext_otelembed.telemetry.arrived import Arrived

RECIPE = "f2a138f9c5c8"


def rows(age: float | None, *, partial: str = "") -> Arrived:
    """An answer whose newest row of the release is `age` seconds old; None: without rows."""
    now = datetime.now(timezone.utc)
    if age is None:
        return Arrived(900, now, RECIPE, partial=partial)
    newest = now - timedelta(seconds=age)
    one = {"requests": 1}, {"i": 1}, {RECIPE: 1}
    return Arrived(900, now, RECIPE, *one, newest, newest, partial=partial)


def waited(
    *answers: Arrived | OtelembedError,
    seconds: float = 0.3,
    age: float = 900,
    latency: float = 180,
) -> tuple[Arrival, int]:
    """How a wait ended, and how many requests it sent. The last of the answers repeats."""
    left = chain(answers, repeat(answers[-1]))
    sent: list[None] = []

    def one() -> Arrived:
        found = next(left)
        if isinstance(found, OtelembedError):
            raise found
        return found

    arrival = await_arrival(
        one,
        lambda: sent.append(None),
        seconds,
        age=age,
        unnamed_age=0.0,
        say=lambda _words: None,
        latency=latency,
        interval=0.02,
    )
    return arrival, len(sent)


def test_rows_that_are_there_end_the_wait_at_once() -> None:
    arrival, sent = waited(rows(5), seconds=30)
    assert (arrival.seen, arrival.missing, sent) == (Seen.YES, "", 1)
    assert arrival.waited < 1


def test_rows_that_come_later_are_waited_for_with_a_few_requests() -> None:
    arrival, sent = waited(*[rows(None)] * 8, rows(0), seconds=30)
    assert (arrival.seen, sent) == (Seen.YES, REQUESTS)


def test_nothing_is_sent_without_a_wait() -> None:
    assert waited(rows(None), seconds=0)[1] == 0


def test_rows_from_before_the_release_do_not_count() -> None:
    arrival, _ = waited(rows(60), age=30)
    assert arrival.seen is Seen.OPEN
    assert waited(rows(60), age=90)[0].seen is Seen.YES


def test_rows_that_name_no_release_count_from_the_question_on() -> None:
    now = datetime.now(timezone.utc)
    counts = {"requests": 1}, {"i": 1}, {"": 1}
    before = now - timedelta(seconds=60)
    old = Arrived(900, now, RECIPE, *counts, before, unnamed=before)
    assert waited(old)[0].seen is Seen.OPEN
    new = Arrived(900, now, RECIPE, *counts, now, unnamed=now)
    assert waited(new)[0].seen is Seen.YES


def test_missing_rows_are_lost_only_after_the_time_that_rows_take() -> None:
    soon, _ = waited(rows(None))
    assert soon.seen is Seen.OPEN
    assert "Rows take 20 s to 3 min" in soon.missing
    late, _ = waited(rows(None), latency=0.1)
    assert late.seen is Seen.NO
    assert "no telemetry of this release has arrived after" in late.missing


def test_a_result_that_is_not_complete_does_not_show_that_rows_are_missing() -> None:
    arrival, _ = waited(rows(None, partial="the query was cut short"), latency=0)
    assert arrival.seen is Seen.OPEN
    assert "the query was cut short" in arrival.missing


def test_a_query_that_is_not_allowed_ends_the_wait_with_the_role() -> None:
    arrival, _ = waited(Unauthorized("not allowed", "Assign the role."), seconds=30)
    assert (arrival.seen, arrival.advice) == (Seen.OPEN, "Assign the role.")
    assert arrival.missing == "whether telemetry arrives is unknown: not allowed"


def test_an_error_that_is_over_is_not_told() -> None:
    arrival, _ = waited(AzureFailed("HTTP 503", "Try again."), rows(None))
    assert (arrival.seen, arrival.problem, arrival.advice) == (Seen.OPEN, "", "")


def test_a_query_that_fails_is_repeated() -> None:
    arrival, _ = waited(AzureFailed("throttled"), rows(None), rows(1), seconds=30)
    assert arrival.seen is Seen.YES
    never, _ = waited(AzureFailed("throttled"), latency=0)
    assert (never.seen, never.words) == (Seen.OPEN, "throttled")
