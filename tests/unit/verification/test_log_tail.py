"""The lines of a container log that are shown, with secrets masked."""

from __future__ import annotations

import math
import re

from azext_otelembed.verification.attempts import find_attempts
from azext_otelembed.verification.log_tail import (
    LONGEST_WORDS,
    log_tail,
    redact,
    secrets_of,
    shown_words,
)
from azext_otelembed.verification.platform_log import parse
from tests.unit.verification.log_lines import NEW, new_start, old_start

STARTS = old_start()


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


def said(*lines: str) -> list[str]:
    """The tail of a log of these lines, without its times: of the start in it, if it failed."""
    text = "".join(
        f"2026-11-22T21:00:{n // 1000:02}.{n % 1000:03}Z {line}\n" for n, line in enumerate(lines)
    )
    attempts = find_attempts(parse(text), NEW, 0.0, 230)
    failed = attempts.failed or attempts.current[0]
    until = failed.failed or math.inf
    tail = log_tail(text, 0.0, (failed.began, until), ())
    return [re.sub(r"^\S+Z ", "", line) for line in tail]


def test_the_tail_shows_no_app_setting() -> None:
    settings = {"PAYMENT_API_KEY": "sk-demo-5f1e8b7c2a9d", "WEBSITES_PORT": "8080", "FLAG": "true"}
    lines = ["using sk-demo-5f1e8b7c2a9d on 8080, true", *STARTS]
    shown = "\n".join(redact(lines, secrets_of(settings)))
    assert "sk-demo" not in shown
    assert "hidden-value" not in shown
    assert "on 8080, true" in shown


def test_parts_of_a_connection_string_are_secrets_too() -> None:
    value = "InstrumentationKey=0f0e0d0c-0b0a-4909-8807-060504030201;IngestionEndpoint=https://x.example/"
    shown = redact(["key 0f0e0d0c-0b0a-4909-8807-060504030201"], secrets_of({"S": value}))
    assert shown == ("key ***",)


def test_short_numeric_and_many_lined_settings_are_hidden_too() -> None:
    settings = {
        "PHRASE": "correct horse battery staple",
        "PASSWORD": "hunter2",
        "PIN": "12345678",
        "KEY": "-----BEGIN-----\nMIIEvQIBADANBg\n-----END-----",
        "WEBSITES_PORT": "8080",
    }
    lines = [
        "docker run -e PHRASE=correct horse battery staple -e PIN=12345678 shop",
        "password hunter2, pin 12345678; hunter22 is another one",
        "MIIEvQIBADANBg on port 8080",
    ]
    shown = redact(lines, secrets_of(settings))
    assert shown == (
        "docker run -e PHRASE=*** -e PIN=*** shop",
        "password ***, pin ***; hunter22 is another one",
        "*** on port 8080",
    )


def test_what_looks_like_a_secret_is_hidden_wherever_it_comes_from() -> None:
    lines = [
        "sending Authorization: Bearer abcdef0123456789abcdef",
        "token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhYmMifQ.c2lnbmF0dXJl",
        "get https://a.blob.example/b?sp=r&sig=abc%2Fdef123&se=1",
        "bearer of bad news",
    ]
    assert redact(lines, ()) == (
        "sending Authorization: Bearer ***",
        "token ***",
        "get https://a.blob.example/b?sp=r&sig=***&se=1",
        "bearer of bad news",
    )


def test_words_from_a_log_are_masked_and_bounded() -> None:
    secret = "sk-demo-5f1e8b7c2a9d"
    reason = f"its image can't be pulled: denied for {secret}: " + "x" * 5000
    shown = shown_words(reason, secrets_of({"KEY": secret}))
    assert "denied for ***: xxx" in shown
    assert len(shown) == LONGEST_WORDS + len(" …")
