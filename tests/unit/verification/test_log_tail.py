"""The lines of a container log that are shown, with secrets masked."""

from __future__ import annotations

import math
import re
import time

import pytest

from azext_otelembed.redaction import LEFT_OUT, MAX_LINE, Secrets
from azext_otelembed.verification.attempts import find_attempts
from azext_otelembed.verification.log_tail import log_tail
from azext_otelembed.verification.platform_log import parse
from tests.unit.verification.log_lines import NEW, new_start


def start(name: str) -> tuple[str, ...]:
    """The start of a container in the new format."""
    return new_start(f"{name}aaaaaaaa_shop")


def test_the_tail_of_a_failed_start_shows_its_words_and_not_the_requests_of_the_old_one() -> None:
    busy = tuple(f'10.0.0.{n} "GET /goods/{n}" 200 {n} ms' for n in range(50))
    words = ("KeyError: DATABASE_URL", "giving up")
    failed = "Failed to start site. Revert by stopping site."
    begun = (*busy, *start("aaaa"), *busy, words[0], *busy, words[1], *busy, failed)
    told = [*start("aaaa"), *words, failed]
    assert said(*begun, *busy * 30, *start("bbbb"), *busy) == told
    # Where nothing tells whose lines they are, both ends are shown.
    strange = (*start("aaaa"), words[0], *busy, words[1], failed)
    (pulling, created, starting, first, *others, last, end) = said(*strange)
    assert [pulling, created, starting, first, last, end] == told
    assert "[26 lines more]" in others
    assert len(others) == 25


def test_the_tail_keeps_trouble_that_the_old_container_has_too_and_what_is_new_in_json() -> None:
    asked = [f'{{"level":30,"time":{n},"url":"/goods/{n}","msg":"done"}}' for n in range(50)]
    down = "Error: connect ECONNREFUSED 10.0.0.4:5432"
    why = '{"level":30,"time":17,"url":"/start","msg":"migrating"}'
    tail = said(*asked, down, *start("aaaa"), *asked, why, down, *asked)
    assert tail == [*start("aaaa"), why, down]


def test_the_tail_of_a_slow_start_shows_what_it_said_first() -> None:
    busy = tuple(f'10.0.0.{n} "GET /goods/{n}" 200 {n} ms' for n in range(50))
    tail = said(*busy, *start("aaaa"), "waiting for the database", *busy)
    assert tail == [*start("aaaa"), "waiting for the database"]


def test_the_tail_shows_the_apps_words_among_the_stops_of_other_containers() -> None:
    stops = (
        "Container is terminating. Grace period: 5 seconds.",
        "Stop and delete container. Retry count = 0",
        "Stopping container: 4f58da43af9a_shop.",
        "Deleting container: 4f58da43af9a_shop. Retry count = 0",
        "Container is terminated. Total time elapsed: 263 ms.",
        "Kudu: shop stopped.",
    )
    failed = "Failed to start site. Revert by stopping site."
    own = "app: Stopping container: the old one"
    told = [*start("aaaa"), "no database", own, failed]
    assert said(*start("aaaa"), *stops * 3, "no database", own, *stops * 3, failed) == told


@pytest.mark.parametrize("piece", ["a", "-", "f-", "State: ", "Z "])
def test_a_long_line_without_spaces_takes_little_time(piece: str) -> None:
    long = piece * (MAX_LINE // len(piece) - 100)
    began = time.process_time()
    said(*start("aaaa"), *["request"] * 40, long, "Failed to start site. Revert by stopping site.")
    assert time.process_time() - began < 2


def test_a_line_that_is_too_long_is_left_out() -> None:
    began = time.process_time()
    told = said(
        *start("aaaa"), "ab%41cd" * (1 << 20), "Failed to start site. Revert by stopping site."
    )
    assert time.process_time() - began < 2
    assert told[-2:] == [LEFT_OUT, "Failed to start site. Revert by stopping site."]


def said(*lines: str) -> list[str]:
    """The tail of a log of these lines, without its times: of the start in it, if it failed."""
    text = "".join(
        f"2026-11-22T21:00:{n // 1000:02}.{n % 1000:03}Z {line}\n" for n, line in enumerate(lines)
    )
    attempts = find_attempts(parse(text), NEW, 0.0, 230)
    failed = attempts.failed or attempts.current[0]
    until = failed.failed or math.inf
    tail = log_tail(text, 0.0, (failed.began, until), Secrets())
    return [re.sub(r"^\S+Z ", "", line) for line in tail]
