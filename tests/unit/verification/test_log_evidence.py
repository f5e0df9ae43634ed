"""What the two kinds of App Service's platform log prove."""

from __future__ import annotations

import pytest

from azext_otelembed.verification.log_evidence import last_stamp, read_log
from azext_otelembed.verification.log_tail import redact, secrets_of

NEW = "shopregistry.azurecr.io/shop:1.0-otelembed-0123456789ab"
OLD = "shopregistry.azurecr.io/shop:1.0"
SECOND = "2026-11-22T21:00:{:02}.000Z"


READY = (
    "INFO  - Container shop_1_aaaa for site shop initialized successfully and is ready to "
    "serve requests."
)


def log(*lines: str) -> str:
    """Lines a second apart."""
    return "\n".join(f"{SECOND.format(n)} {line}" for n, line in enumerate(lines))


STARTS = (
    f"INFO  - Pulling image: {NEW}",
    f"INFO  - docker run -d --expose=8080 --name shop_1_aaaa -e KEY=hidden-value {NEW}",
)


@pytest.mark.parametrize(
    "lines",
    [
        (*STARTS, READY),
        (f"Pulling image: {NEW}.", "Site container: shop started.", "Site started."),
    ],
    ids=["the older log", "the newer log"],
)
def test_both_kinds_of_log_tell_that_the_new_container_is_ready(lines: tuple[str, ...]) -> None:
    seen = read_log(log(*lines), NEW, "")
    assert (seen.started, seen.ready, seen.failure) == (True, True, None)


@pytest.mark.parametrize(
    ("line", "meaning"),
    [
        (
            "Container pull image failed with reason: ImagePullFailure. Revert by terminate.",
            "pulled",
        ),
        ("ERROR - Image pull failed: Verify docker image configuration", "pulled"),
        (
            "ERROR - Container shop_1_aaaa didn't respond to HTTP pings on port: 8080, "
            "failing site start.",
            "port 8080",
        ),
        ("ERROR - Container shop_1_aaaa for site shop has exited, failing site start", "exited"),
        ("Container has finished running with exit code: 3.", "status 3"),
        ("Site container: shop terminated during site startup.", "exited"),
        ("Failed to start site. Revert by stopping site.", "failed to start"),
    ],
)
def test_each_way_of_failing_is_named(line: str, meaning: str) -> None:
    failure = read_log(log(*STARTS, line), NEW, "").failure
    assert failure is not None
    assert meaning in failure


def test_the_end_of_the_old_container_is_not_a_failure_of_the_new_one() -> None:
    ended = "ERROR - Container shop_0_bbbb for site shop has exited, failing site start"
    assert read_log(log(*STARTS, READY, ended), NEW, "").failure is None


def test_a_restart_that_succeeds_makes_up_for_a_failure() -> None:
    failed = "ERROR - Container shop_1_aaaa for site shop has exited, failing site start"
    seen = read_log(log(*STARTS, failed, *STARTS, READY), NEW, "")
    assert (seen.ready, seen.failure) == (True, None)


def start(name: str) -> tuple[str, ...]:
    return (
        f"Pulling image: {NEW}.",
        f"Creating container with image: shop and fully qualified image name: {NEW}",
        f"Starting container: {name}_shop.",
    )


def test_a_start_that_the_next_change_of_the_site_cuts_short_is_not_waited_for() -> None:
    cut = (*start("aaaa"), "Stopping container: aaaa_shop.")
    assert not read_log(log(*cut, *start("bbbb")), NEW, "").ready
    assert read_log(log(*cut, *start("bbbb"), "Site started."), NEW, "").ready
    # A container that was ready and was replaced is no evidence for its successor.
    up = (*start("aaaa"), "Site started.", "Stopping container: aaaa_shop.")
    assert not read_log(log(*up, *start("bbbb")), NEW, "").ready


@pytest.mark.parametrize("instances", [1, 3])
def test_a_start_that_ends_without_a_word_is_not_waited_for(instances: int) -> None:
    cut = [line for n in range(instances) for line in start(f"aaa{n}")]
    again = [line for n in range(instances) for line in start(f"bbb{n}")]
    up = ["Site started."] * (instances - 1)
    assert not read_log(log(*cut, *again, *up), NEW, "", instances=instances).ready
    assert read_log(log(*cut, *again, *up, "Site started."), NEW, "", instances=instances).ready


def test_the_end_of_one_that_came_up_is_no_end_of_a_start_though_another_ended_unsaid() -> None:
    up = (*start("aaaa"), *start("bbbb"), "Site started.", "Stopping container: bbbb_shop.")
    assert read_log(log(*up[:-1]), NEW, "", instances=1).ready
    assert not read_log(log(*up, *start("cccc")), NEW, "", instances=1).ready


def test_a_start_that_fails_is_counted_once_though_the_state_says_it_again() -> None:
    why = "Container aaaa_shop has exited, failing site start."
    state = f"State: Stopping, Action: CancellingStartup, LastErrorDetails: {why}, Details: "
    failed = (f"ERROR - {why}", state, "Failed to start site. Revert by stopping site.")
    three = (*start("aaaa"), *start("bbbb"), *start("cccc"), *failed, "Site started.")
    assert not read_log(log(*three), NEW, "", instances=3).ready
    assert read_log(log(*three, "Site started."), NEW, "", instances=3).ready


def test_lines_from_before_the_change_prove_nothing() -> None:
    text = log(*STARTS, "INFO  - Container shop_1_aaaa is ready to serve requests.")
    assert not read_log(text, NEW, last_stamp(text)).started


def test_a_log_of_the_old_image_alone_says_nothing_of_the_new_one() -> None:
    seen = read_log(log(f"INFO  - Pulling image: {OLD}", "ERROR - it has exited"), NEW, "")
    assert (seen.started, seen.ready, seen.failure) == (False, False, None)


def test_the_tail_of_a_failed_start_shows_its_words_and_not_the_requests_of_the_old_one() -> None:
    busy = tuple(f'10.0.0.{n} "GET /goods/{n}" 200 {n} ms' for n in range(50))
    words = ("KeyError: DATABASE_URL", "giving up")
    failed = "ERROR - Container aaaa_shop didn't respond to HTTP pings on port: 8080"
    begun = (*busy, *start("aaaa"), *busy, words[0], *busy, words[1], *busy, failed)
    told = [*start("aaaa")[1:], *words, failed]
    assert said(*begun, *busy, *start("bbbb"), *busy) == told
    # Where nothing tells whose lines they are, both ends are shown.
    strange = (*start("aaaa"), words[0], *busy, words[1], failed, *busy)
    (created, starting, first, *others, last, end) = said(*strange)
    assert [created, starting, first, last, end] == told
    assert "[25 lines more]" in others
    assert len(others) == 26


def test_the_tail_keeps_trouble_that_the_old_container_has_too_and_what_is_new_in_json() -> None:
    asked = [f'{{"level":30,"time":{n},"url":"/goods/{n}","msg":"done"}}' for n in range(50)]
    down = "Error: connect ECONNREFUSED 10.0.0.4:5432"
    why = '{"level":30,"time":17,"url":"/start","msg":"migrating"}'
    tail = said(*asked, down, *start("aaaa"), *asked, why, down, *asked)
    assert tail == [*start("aaaa")[1:], why, down]


def test_the_tail_of_a_slow_start_shows_what_it_said_first() -> None:
    busy = tuple(f'10.0.0.{n} "GET /goods/{n}" 200 {n} ms' for n in range(50))
    tail = said(*busy, *start("aaaa"), "waiting for the database", *busy)
    assert tail == [*start("aaaa")[1:], "waiting for the database"]


def said(*lines: str) -> list[str]:
    """The tail of a log of these lines, without its times."""
    tail = read_log("\n".join(f"{SECOND.format(0)} {line}" for line in lines), NEW, "").tail
    return [line.removeprefix(f"{SECOND.format(0)} ") for line in tail]


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
