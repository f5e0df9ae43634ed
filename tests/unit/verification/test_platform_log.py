"""Lines of container logs as events."""

from __future__ import annotations

import time

import pytest

from azext_otelembed.verification.platform_log import LONGEST_LINE, Kind, parse

STAMP = "2026-11-25T21:00:00"
EXIT = "ERROR - Container shop_0_0a0a0a0a for site shop has exited, failing site start"
PATH = (
    "/home/LogFiles/2026_11_25_lw0sdlwk0007W3_default_docker.log  "
    "(https://shop.scm.example/api/vfs/LogFiles/2026_11_25_lw0sdlwk0007W3_default_docker.log)"
)


def kinds(text: str) -> list[Kind]:
    """The kinds of the events in a text."""
    return [event.kind for event in parse(text)]


@pytest.mark.parametrize(
    ("digits", "line", "expected"),
    [
        (3, EXIT, [Kind.EXITED_EARLY]),
        (7, EXIT, []),
        (9, EXIT, []),
        (7, "Site started.", [Kind.SITE_STARTED]),
        (9, "Site started.", []),
        (7, "otelembed: 0123456789ab starts", [Kind.LAUNCHER]),
        (9, "otelembed: 0123456789ab starts", [Kind.LAUNCHER]),
        (
            7,
            "ERROR - DockerApiException: Docker API responded with status code=NotFound, "
            'response={"message":"manifest unknown"}',
            [Kind.PULL_PROBLEM],
        ),
    ],
)
def test_the_digits_of_a_stamp_tell_the_platform_from_the_app(
    digits: int, line: str, expected: list[Kind]
) -> None:
    assert kinds(f"{STAMP}.{'1' * digits}Z {line}\n") == expected


@pytest.mark.parametrize(
    "behind",
    [
        "",
        " Status_WatchFile :: Error Error: ENOENT: no such file or directory",
        PATH,
        f"{PATH}{PATH}Ending Log Tail of existing logs ---Starting Live Log Stream ---",
        "2026-11-25T20:59:59.1234567Z Listening on port 8080",
    ],
)
def test_what_follows_a_line_without_a_newline_is_not_part_of_it(behind: str) -> None:
    assert kinds(f"{STAMP}.123Z {EXIT}{behind}\n") == [Kind.EXITED_EARLY]
    ready = "INFO  - Container shop_0_0a0a0a0a for site shop initialized successfully."
    if not behind.startswith(" "):
        assert kinds(f"{STAMP}.123Z {ready}{behind}\n") == [Kind.READY]


def test_a_line_that_follows_another_file_without_a_newline_is_read() -> None:
    assert kinds(f"{STAMP}.1234567Z GET /goods/8{STAMP}.2345678Z Site started.\n") == [
        Kind.SITE_STARTED
    ]
    assert kinds(f"{STAMP}.1234567Z it says: {STAMP}.2345678Z Site started.\n") == []
    assert kinds(f'{STAMP}.1234567Z {{"line":"{STAMP}.2345678Z Site started.\n') == []


def test_a_container_may_fail_to_be_created_or_started() -> None:
    for verb in ("create", "start"):
        line = f"Container {verb} failed for shop_0 with System.AggregateException, One or more"
        assert kinds(f"{STAMP}.123Z ERROR - {line}\n") == [Kind.CREATE_FAILED]


@pytest.mark.parametrize("response", ["[" * 100_000, '{"message":' + "9" * 5000 + "}", "[]"])
def test_any_answer_of_docker_is_read(response: str) -> None:
    line = (
        f"DockerApiException: Docker API responded with status code=NotFound, response={response}"
    )
    assert kinds(f"{STAMP}.123Z ERROR - {line}\n") == [Kind.PULL_PROBLEM]


@pytest.mark.parametrize(
    "line",
    [
        "Site startup probe failed after 1.2.3 seconds.",
        "Site startup probe succeeded after . seconds.",
        "Site startup probe failed after ² seconds.",
        "Container has finished running with exit code: ³.",
        f"Site startup probe failed after {'9' * 5000} seconds.",
        f"Container has finished running with exit code: {'9' * 5000}.",
    ],
)
def test_numbers_that_are_none_make_a_line_of_the_app(line: str) -> None:
    assert list(parse(f"2026-04-04T05:52:02.4728658Z {line}\n")) == []


@pytest.mark.parametrize(
    "stamp", ["2026-13-45T99:99:99.1Z", "20--------T::::::::Z", "2026-04-04T05:52:60.5Z"]
)
def test_a_time_that_does_not_exist_is_long_ago(stamp: str) -> None:
    (event,) = parse(f"{stamp} Site started.\n")
    assert event.time < 1
    late = "Site: shop will be blocked for 2 minutes till 13/45/2026 99:99:99"
    (event,) = parse(f"2026-04-04T05:52:02.4728658Z {late}\n")
    assert event.at == 0


def test_a_state_line_that_begins_its_details_again_and_again_takes_little_time() -> None:
    state = (
        "State: Stopped, Action: None, LastError: E, LastErrorTimestamp: 11/25/2026 21:00:00, "
        "LastErrorDetails: it failed"
    )
    began = time.process_time()
    assert kinds(f"{STAMP}.1Z {state}{', Details: ' * 20_000}\n") == []
    assert time.process_time() - began < 1
    (event,) = parse(f"{STAMP}.1Z {state}, Details: , DetailsLevel: None\n")
    assert event.details == "it failed"


def test_a_line_that_is_longer_than_any_of_the_platform_is_no_event() -> None:
    run = "docker run -d --name shop_0_0a0a0a0a -e A={} shop:1"
    assert kinds(f"{STAMP}.123Z INFO  - {run.format('a' * 500_000)}\n") == [Kind.CREATING]
    assert kinds(f"{STAMP}.123Z INFO  - {run.format('a' * LONGEST_LINE)}\n") == []
