"""A container log that is read again and again."""

from __future__ import annotations

import random
import time

import pytest

from azext_otelembed.verification.container_log import MOST_EVENTS, ContainerLog, new_pieces
from azext_otelembed.verification.platform_log import Event, newest_stamp, parse, stamp_time
from tests.unit.verification.log_lines import log, new_ready, new_start

LINES = 200_000


def app_lines(count: int, name: str, first: int = 0) -> list[str]:
    """Requests that an app logs, 500 a second."""
    times = (
        (n, f"{n // 1800000:02}:{n // 30000 % 60:02}:{n // 500 % 60:02}.{n % 500 * 20000:07}")
        for n in range(first, first + count)
    )
    return [
        f'2026-11-25T{time}Z 10.0.0.7 - - "GET /{name}/{n} HTTP/1.1" 200 35 "-" "curl/7.81.0"\n'
        for n, time in times
    ]


def events(text: str) -> list[Event]:
    """All events of a text, sorted as in a ContainerLog."""
    return sorted(parse(text), key=lambda event: event.time)


def test_what_is_new_is_found_in_any_answer() -> None:
    """Files that grow and lose their first lines, joined in any way, in random steps."""
    chance = random.Random(11)  # noqa: S311  # a test's own choice
    for _ in range(60):
        files = [app_lines(40, name) for name in "abc"]
        seen = ContainerLog()
        written = ""
        for step in range(12):
            for number, lines in enumerate(files):
                more = log(*new_start(f"{step:06}{number:06}_shop"), *new_ready(), start=step)
                added = [
                    *app_lines(chance.randrange(4), str(step)),
                    *more.splitlines(keepends=True),
                ]
                lines.extend(added[: chance.randrange(len(added) + 1)])
                written += "".join(lines[-len(added) :])
                del lines[: chance.choice((0, 0, 1, 7))]
            answer = "".join(line for lines in files for line in lines)
            seen.update(answer)
            missing = {one for one in events(answer) if one not in seen.events}
            assert not missing
        assert seen.events == sorted(seen.events, key=lambda event: event.time)


def test_a_line_that_was_cut_is_read_when_it_is_whole() -> None:
    text = log(*new_start(), *new_ready())
    for end in range(len(text)):
        seen = ContainerLog()
        seen.update(text[:end])
        seen.update(text)
        assert seen.events == events(text)


def test_an_answer_that_does_not_join_the_last_one_is_a_gap() -> None:
    seen = ContainerLog()
    seen.update("".join(app_lines(100, "a")))
    seen.update("".join(app_lines(100, "a", 50)))
    assert not seen.has_gap
    seen.update("".join(app_lines(100, "a", 500)))
    assert seen.has_gap


def test_what_is_kept_is_bounded() -> None:
    seen = ContainerLog()
    for n in range(3):
        seen.update("".join(log(*new_start(f"{n:06}{k:06}_shop")) for k in range(MOST_EVENTS)))
    assert len(seen.events) == MOST_EVENTS


def test_a_look_at_200_000_lines_takes_at_most_50_ms() -> None:
    """CPU time of this process, so that other load doesn't count; the whole is read once."""
    files = [app_lines(LINES // 2, name) for name in "ab"]
    seen = ContainerLog()
    seconds = []
    for n in range(12):
        for number, lines in enumerate(files):
            starts = log(*new_start(f"{n:012}_shop"), start=10 * n + 5 * number)
            lines.extend(starts.splitlines(keepends=True))
            lines.extend(app_lines(50, "more", LINES + n * 50))
            del lines[: (n % 3) * 10]
        answer = "".join(line for lines in files for line in lines)
        began = time.process_time()
        seen.update(answer)
        seconds.append(time.process_time() - began)
    assert len(seen.events) == 12 * 2 * 3
    whole, *looks = seconds
    assert sorted(looks)[len(looks) // 2] <= 0.05, seconds
    assert whole <= 0.5, seconds


def test_lines_that_contain_the_beginning_of_others_are_read_once() -> None:
    one, two, three = ("".join(c * 100 for c in line) for line in ("bccabc", "cacbcb", "aaaaba"))
    new = f"{two}\n{three}\n"
    assert new_pieces(f"{one}\n{two}\n", new) == ([f"{three}\n"], True)


def test_an_answer_whose_first_line_is_cut_joins_the_last_one() -> None:
    lines = app_lines(100, "a")
    old = "".join(lines[:60])
    new = "".join(lines[40:])[20:]
    assert new_pieces(old, new) == (["".join(lines[60:])], True)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("", "a\nb\n", ["a\nb\n"]),
        ("a\nb\n", "a\nb\n", []),
        ("a\nb\n", "a\nb\nc\n", ["c\n"]),
        ("a\nb", "a\nbc\n", ["bc\n"]),
    ],
)
def test_the_new_pieces_are_whole_lines(old: str, new: str, expected: list[str]) -> None:
    assert new_pieces(old, new) == (expected, True)


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("2026-11-25T21:00:00.5Z", 0.5),
        ("2026-11-25T21:00:00.48Z", 0.48),
        ("2026-11-25T21:00:00.6799999Z", 0.6799999),
        ("2026-11-25T21:00:01.123456789Z", 1.123456789),
        ("2026-11-25 21:00:02.250", 2.25),
        ("2026-11-25T21:00:03Z", 3.0),
    ],
)
def test_stamps_of_any_length_are_times(stamp: str, seconds: float) -> None:
    assert stamp_time(stamp) - stamp_time("2026-11-25T21:00:00Z") == pytest.approx(
        seconds, abs=1e-6
    )


def test_the_newest_stamp_is_the_latest_time_wherever_it_stands() -> None:
    text = (
        "2026-11-25T21:00:07.67Z later\n"
        "2026-11-25T21:00:07.6799999Z latest\n"
        "  an unstamped line\n"
        "2026-11-25T21:00:06.999Z INFO  - Starting container for site\n"
    )
    assert newest_stamp(text) == "2026-11-25T21:00:07.6799999Z"
    assert newest_stamp("no stamp\n") == ""
    odd = "2026-13-45T99:99:99Z no time\n2034-01-01T00:00:00Z the certificate expires\n"
    latest = stamp_time("2026-11-26T21:00:00Z")
    assert newest_stamp(text + odd, latest) == "2026-11-25T21:00:07.6799999Z"
    assert newest_stamp(odd, latest) == ""
