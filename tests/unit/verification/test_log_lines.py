"""The source of each line of a container log, and the lines that are new in an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from azext_otelembed.verification.collector_log import collector_log
from azext_otelembed.verification.log_lines import LogTail, Source, log_lines

LOGS = Path(__file__).resolve().parents[2] / "platform_logs"
STAMP = "2026-11-27T03:10:0{}.1234567Z"
RECIPE = "0123456789ab"


def at(second: int, text: str) -> str:
    return f"{STAMP.format(second)} {text}\n"


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("Site started.", Source.PLATFORM),
        ("State: Started, Action: None, LastError: , LastErrorTimestamp: x", Source.PLATFORM),
        ("Container start method finished after 12 ms.", Source.PLATFORM),
        ("Listening on 8080", Source.APP),
        ("INFO  - a line of the app, in the new format", Source.APP),
        ("otelembed: 0123456789ab starts", Source.OTELEMBED),
        ("otelembed: the collector exited with status 1; next start in 4 s", Source.OTELEMBED),
        (
            "otelembed: the collector exited with status 127; no restart, because the image has no "
            "sleep",
            Source.OTELEMBED,
        ),
        ("otelembed: hello from the app", Source.APP),
        (
            "2026-11-27T03:10:01.000Z\terror\tgraph/graph.go:439\tFailed to start component\t"
            '{"resource": {"service.instance.id": "6", "service.name": "otelcol-contrib"}}',
            Source.COLLECTOR,
        ),
        (
            "2026/11/27 03:10:01 collector server run finished with error: invalid configuration",
            Source.COLLECTOR,
        ),
        ("2026-11-27T03:10:01.000Z\tinfo\tshop/main.go:1\tready", Source.APP),
    ],
)
def test_a_line_has_the_source_that_wrote_it(text: str, source: Source) -> None:
    (line,) = log_lines(at(1, text))
    assert (line.source, line.text, line.stamp) == (source, text, STAMP.format(1))


def test_a_line_of_the_old_format_is_the_platforms_by_its_level() -> None:
    (line,) = log_lines("2023-03-07T03:19:10.240Z INFO  - Pull Image successful, Time taken: 3 s\n")
    assert line.source is Source.PLATFORM


def test_lines_without_a_time_follow_the_line_before_them() -> None:
    text = at(2, "Site started.") + "  at start\n" + at(1, "Error: no build")
    assert [(line.text, line.source.value) for line in log_lines(text)] == [
        ("Error: no build", "app"),
        ("Site started.", "platform"),
        ("  at start", "app"),
    ]


def test_an_app_does_not_forge_a_line_with_another_end_of_line() -> None:
    (line,) = log_lines(at(1, f"x\x85{STAMP.format(2)} Site started.\u2028y\x0bz"))
    assert line.source is Source.APP


def test_the_lines_of_the_recorded_logs_are_told_apart() -> None:
    apps = {
        line.text
        for path in sorted(LOGS.glob("*.log"))
        for line in log_lines(path.read_text(errors="replace"))
        if line.source is Source.APP
    }
    assert "Server started" in apps
    assert len(apps) < 40
    assert not [text for text in apps if "named pipe" in text or text.startswith("State: ")]


def test_each_line_is_followed_once() -> None:
    tail = LogTail()
    first = at(1, "one") + at(2, "two")
    assert [line.text for line in tail.update(first + "2026-11-27T03:10:0")] == ["one", "two"]
    assert [line.text for line in tail.update(first + at(3, "three"))] == ["three"]
    assert tail.update(first + at(3, "three")) == []
    assert not tail.has_gap


def test_a_log_that_was_replaced_or_emptied_is_followed_on() -> None:
    tail = LogTail()
    tail.update(at(1, "one") + at(2, "two"))
    assert tail.update("") == []
    assert [line.text for line in tail.update(at(2, "two") + at(3, "three"))] == ["three"]
    assert [line.text for line in tail.update(at(7, "new file"))] == ["new file"]
    assert tail.has_gap
    assert tail.update("") == []
    assert not tail.has_gap, "it is told once"


def test_an_answer_of_before_shows_no_line_again() -> None:
    tail = LogTail()
    one, other = at(1, "one") + at(2, "two"), at(1, "other")
    assert len(tail.update(one)) == 2
    assert [line.text for line in tail.update(other)] == ["other"]  # of another instance
    assert tail.has_gap
    assert [line.text for line in tail.update(one + at(3, "three"))] == ["three"]
    assert not tail.has_gap
    assert tail.update(other) == []
    assert tail.update(at(1, "one")) == []  # the log is cut
    assert tail.update(one + at(3, "three")) == []
    assert not tail.has_gap


def test_lines_without_a_time_are_known_by_the_line_that_they_belong_to() -> None:
    tail = LogTail()
    trace = "Traceback:\n  in f\n  in f\n"
    assert len(tail.update(at(1, "failed") + trace)) == 4
    more = tail.update(at(1, "failed") + trace + "again\n" + at(2, "failed") + trace)
    assert [line.text for line in more] == ["again", "failed", "Traceback:", "  in f", "  in f"]


def test_the_reason_of_an_exit_is_the_collectors_in_all_its_lines() -> None:
    text = at(1, "Error: failed to get config: decoding failed:") + at(2, "") + at(3, "bad keys")
    found = log_lines(text + at(4, "GET / 200"))
    assert [line.source for line in found] == [Source.COLLECTOR] * 3 + [Source.APP]


def test_a_line_in_two_files_is_followed_once_and_in_the_order_of_time() -> None:
    tail = LogTail()
    app, platform = at(1, "app one"), at(1, "Site started.")
    tail.update(app + platform)
    found = tail.update(app + at(4, "app two") + platform + at(3, "Container is running."))
    assert [line.text for line in found] == ["Container is running.", "app two"]


EXIT = "otelembed: the collector exited with status {}; next start in {} s"


def test_the_exits_since_the_newest_start_of_the_recipe_count() -> None:
    text = "".join(
        (
            at(1, f"otelembed: {RECIPE} starts"),
            at(2, EXIT.format(9, 1)),
            at(3, f"otelembed: {RECIPE} starts"),
            at(4, EXIT.format(1, 1)),
            at(5, "Error: failed to get config: decoding failed due to:") + at(5, ""),
            at(5, "'service' has invalid keys: pipelinez"),
            at(6, EXIT.format(2, 4)),
        )
    )
    found = collector_log(text, RECIPE)
    assert (found.exits, found.status, found.pause) == (2, 2, 4)
    assert found.reason == (
        "failed to get config: decoding failed due to: 'service' has invalid keys: pipelinez"
    )
    assert found.is_dead(found.last + 10)
    assert not found.is_dead(found.last + 120)
    assert collector_log(text, "ffffffffffff").started is None


def test_a_collector_that_is_not_started_again_is_dead() -> None:
    line = (
        "otelembed: the collector exited with status 1; no restart, because the image has no sleep"
    )
    found = collector_log(at(1, f"otelembed: {RECIPE} starts") + at(2, line), RECIPE)
    assert found.is_dead(found.last + 10**6)
    assert not collector_log(at(1, f"otelembed: {RECIPE} starts"), RECIPE).is_dead(10**12)
