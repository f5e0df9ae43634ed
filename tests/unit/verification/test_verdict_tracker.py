"""Verdicts from observations, one a second."""

from __future__ import annotations

import pytest

from azext_otelembed.verification.site_answer import Answer
from azext_otelembed.verification.time_limits import default_timeout, start_limit
from azext_otelembed.verification.verdict_tracker import Pace, VerdictTracker, Verified
from tests.unit.verification.log_lines import (
    NEW,
    OLD,
    log,
    new_ready,
    new_start,
    old_ready,
    old_start,
    stopped,
)

PACE = Pace(answers=3, settled=2, old_stops=9, start_margin=5, abandoned=6, pull_allowance=10)
LIMIT = 20
READY = log(*new_start(), *new_ready())
GONE = READY + log(*stopped("eeeeeeeeeeee_shop"), start=10)
PULLING = log(*new_start()[:1])
STARTING = log(*new_start())
WITNESSED = log("otelembed: 0123456789ab starts")
OTHER = log(*new_start(image=OLD), *new_ready())


class Watch:
    """Observations of one site."""

    def __init__(self, instances: int = 1, *, starts_twice: bool = False, recipe: str = "") -> None:
        self.tracker = VerdictTracker(NEW, 0.0, LIMIT, PACE, recipe, starts_twice=starts_twice)
        self._states = ("READY",) * instances
        self._now = 100.0

    def see(
        self, text: str, seconds: int, answer: Answer = Answer.APP, state: str = ""
    ) -> tuple[Verified, int]:
        """So many looks of the same kind; returns the first verdict and after which look."""
        for number in range(1, seconds + 1):
            self._now += 1
            states = (state,) if state else self._states
            verified = self.tracker.observe(self._now, text, states, answer)
            if verified is not Verified.OPEN:
                return verified, number
        return Verified.OPEN, seconds


def test_the_old_container_may_be_the_one_that_answers_until_it_has_stopped() -> None:
    assert Watch().see(READY, 60) == (Verified.UP, 12)
    assert Watch().see(GONE, 60) == (Verified.UP, 3)


def test_a_site_that_was_silent_has_no_old_container_to_wait_for() -> None:
    watch = Watch()
    watch.see(STARTING, 4, Answer.NONE)
    # The new container answers before App Service calls the site started.
    watch.see(STARTING, 2)
    assert watch.see(READY, 60) == (Verified.UP, 3)


def test_an_old_container_that_misses_an_answer_is_waited_for() -> None:
    watch = Watch()
    watch.see(STARTING, 2, Answer.NONE)
    watch.see(STARTING, 2)
    assert watch.see(READY, 60) == (Verified.UP, 12)


def test_the_silence_of_one_attempt_says_nothing_of_the_next() -> None:
    watch = Watch()
    watch.see(STARTING, 9, Answer.NONE)
    watch.see(READY, 1)
    second = READY + log(*new_start("bbbbbbbbbbbb_shop"), start=10)
    watch.see(second, 2)
    again = second + log(*new_ready(1), start=13)
    assert watch.see(again, 60) == (Verified.UP, 12)


def test_an_answer_that_fails_begins_the_count_again() -> None:
    watch = Watch()
    watch.see(GONE, 2)
    watch.see(GONE, 1, Answer.NONE)
    assert watch.see(GONE, 60) == (Verified.UP, 3)


@pytest.mark.parametrize("answer", [Answer.FRONT_DOOR, Answer.UNREACHABLE])
def test_the_log_proves_a_site_whose_app_can_not_be_asked(answer: Answer) -> None:
    assert Watch().see(GONE, 60, answer) == (Verified.UP, 3)
    for text in ("", OTHER, PULLING):
        assert Watch().see(text, 600, answer)[0] is Verified.OPEN


def test_without_a_log_the_site_has_to_answer_through_pull_and_start() -> None:
    seconds = int(PACE.pull_allowance + LIMIT)
    assert Watch().see("", 600) == (Verified.UP, seconds + 1)


def test_a_log_of_other_images_proves_nothing() -> None:
    watch = Watch()
    assert watch.see(OTHER, 600)[0] is Verified.OPEN
    assert watch.tracker.at_deadline() is Verified.UNPROVEN
    assert "shows nothing of the new container" in watch.tracker.reason


def test_a_container_that_passes_the_start_limit_has_failed_though_no_line_says_so() -> None:
    watch = Watch()
    assert watch.see(STARTING, 60) == (Verified.FAILED, LIMIT + 5 + 1)
    assert watch.tracker.reason == "it didn't answer within 20 s"


def test_app_service_may_wait_for_longer_than_the_known_limit() -> None:
    watch = Watch()
    waits = "INFO  - Waiting for response to warmup request for container shop_0_0a0a0a0a. "
    text = log(*old_start(), waits + "Elapsed time = 49.0 sec")
    assert watch.see(text, 600) == (Verified.FAILED, 49 + 5 + 1)


def test_each_instance_waits_for_its_old_container_at_the_same_time() -> None:
    other = "shop_0_0b0b0b0b"
    text = log(*old_start(), old_ready()) + log(*old_start(other), old_ready(other), start=5)
    assert Watch(2).see(text, 60) == (Verified.UP, 12)


def test_the_pull_does_not_count_towards_the_start_limit() -> None:
    watch = Watch()
    assert watch.see(PULLING, 600)[0] is Verified.OPEN
    assert watch.see(GONE, 60) == (Verified.UP, 3)


def test_with_lines_missed_the_start_limit_decides_nothing() -> None:
    watch = Watch()
    watch.see(STARTING, 2)
    watch.see(log("the app talks much", start=50), 60)
    assert watch.tracker.log.has_gap
    assert watch.tracker.at_deadline() is Verified.UNPROVEN


def test_a_failure_is_told_at_the_next_look() -> None:
    text = log(*new_start(), "Failed to start site. Revert by stopping site.")
    assert Watch().see(text, 5) == (Verified.FAILED, 1)


def test_a_failure_that_is_not_certain_waits_for_the_next_look() -> None:
    text = log(*new_start(), "Container has finished running with exit code: 3.")
    assert Watch().see(text, 5) == (Verified.FAILED, 2)


def test_where_two_writes_start_the_site_the_first_failure_is_not_final() -> None:
    failed = log(*new_start(), "Failed to start site. Revert by stopping site.")
    assert Watch(starts_twice=True).see(failed, 60, Answer.NONE) == (Verified.FAILED, 7)
    watch = Watch(starts_twice=True)
    assert watch.see(failed, 5, Answer.NONE)[0] is Verified.OPEN
    second = failed + log(*new_start("bbbbbbbbbbbb_shop"), start=10)
    assert watch.see(second, 15, Answer.NONE)[0] is Verified.OPEN
    again = second + log("Failed to start site. Revert by stopping site.", start=14)
    assert watch.see(again, 5, Answer.NONE) == (Verified.FAILED, 1)
    watch = Watch(starts_twice=True)
    watch.see(failed, 5, Answer.NONE)
    assert watch.see(second + log(*new_ready(1), start=14), 60)[0] is Verified.UP
    watch = Watch(starts_twice=True)
    blocked = log("Site: shop will be blocked for 2 minutes till 11/25/2026 21:02:10", start=5)
    assert watch.see(failed + blocked, 60, Answer.NONE)[0] is Verified.OPEN
    assert watch.tracker.at_deadline() is Verified.FAILED
    assert watch.tracker.reason == "the new container failed: its start failed"


def test_where_two_writes_start_the_site_a_container_that_was_ready_and_ended_has_failed() -> None:
    exit_ = (
        "Container has finished running with exit code: 7.",
        "Container is terminating. Grace period: 5 seconds.",
        "Stopping container: 0123456789ab_shop.",
    )
    text = log(*new_start(), *new_ready(), *exit_)
    again = log(*new_start("bbbbbbbbbbbb_shop"), *new_ready(), start=9)
    assert Watch(starts_twice=True).see(text, 60, Answer.NONE) == (Verified.FAILED, 1)
    assert Watch(starts_twice=True).see(text + again, 60) == (Verified.FAILED, 1)


def test_a_cancelled_start_that_no_other_follows_has_failed() -> None:
    text = log(new_start()[0], "Container start up interrupted. Revert by terminate.")
    watch = Watch()
    assert watch.see(text, 60)[0] is Verified.OPEN, "another instance answers"
    assert watch.see(text, 60, Answer.NONE) == (Verified.FAILED, 1)
    gone = text + log(*stopped("eeeeeeeeeeee_shop"), start=10)
    assert Watch().see(gone, 60) == (Verified.FAILED, 7)


def test_instances_that_the_log_does_not_show_are_waited_for() -> None:
    watch = Watch(instances=2)
    verified, looks = watch.see(GONE, 600)
    assert (verified, looks > PACE.pull_allowance + LIMIT) == (Verified.UP, True)
    watch = Watch(instances=2)
    watch.see(GONE, 10)
    assert watch.tracker.at_deadline() is Verified.UNPROVEN
    assert "1 of 2 instances" in watch.tracker.reason


def test_a_second_start_right_after_the_first_is_waited_for() -> None:
    first = log(*old_start("shop_6_a8850683"), old_ready("shop_6_a8850683"))
    second = first + log(*old_start("shop_7_f694b352"), start=4)
    watch = Watch()
    watch.see(first, 2)
    assert watch.see(second, 15)[0] is Verified.OPEN
    assert watch.see(second + log(old_ready("shop_7_f694b352"), start=20), 60)[0] is Verified.UP


def test_the_launchers_line_alone_proves_an_image_that_answers_beyond_the_start_limit() -> None:
    assert Watch().see(WITNESSED, 60) == (Verified.UP, LIMIT + 5 + 1)
    assert Watch().see(WITNESSED, 60, Answer.FRONT_DOOR)[0] is Verified.OPEN


@pytest.mark.parametrize(
    ("text", "answer", "state", "expected", "reason"),
    [
        ("", Answer.APP, "", Verified.UNPROVEN, "no container log"),
        ("", Answer.FRONT_DOOR, "", Verified.UNPROVEN, "no container log"),
        ("", Answer.NONE, "", Verified.FAILED, "it doesn't answer"),
        (READY, Answer.APP, "STOPPED", Verified.FAILED, "an instance is stopped"),
        (READY, Answer.NONE, "", Verified.FAILED, "it doesn't answer"),
        (READY, Answer.APP, "", Verified.UNPROVEN, "the old one may still be"),
        (PULLING, Answer.APP, "", Verified.FAILED, "doesn't show the new image ready"),
        (WITNESSED, Answer.APP, "", Verified.UNPROVEN, "no line of App Service"),
        (WITNESSED, Answer.FRONT_DOOR, "", Verified.UNPROVEN, "no line of App Service"),
        (WITNESSED, Answer.NONE, "", Verified.FAILED, "it doesn't answer"),
    ],
)
def test_what_holds_when_the_time_is_up(
    text: str, answer: Answer, state: str, expected: Verified, reason: str
) -> None:
    watch = Watch()
    assert watch.see(text, 2, answer, state)[0] is Verified.OPEN
    assert watch.tracker.at_deadline() is expected
    assert reason in watch.tracker.reason


@pytest.mark.parametrize("value", ["", "²", "-5", "1e3", "0", "ten", "9" * 5000, " "])
def test_an_odd_start_limit_means_the_default(value: str) -> None:
    settings = {"WEBSITES_CONTAINER_START_TIME_LIMIT": value}
    assert start_limit(settings) == 230
    assert default_timeout(settings) == 600


def test_a_longer_start_limit_makes_the_time_limit_longer() -> None:
    settings = {"WEBSITES_CONTAINER_START_TIME_LIMIT": "1800"}
    assert (start_limit(settings), default_timeout(settings)) == (1800, 2170)
    assert start_limit({"WEBSITES_CONTAINER_START_TIME_LIMIT": "99999"}) == 1800
    assert default_timeout({"WEBSITES_CONTAINER_START_TIME_LIMIT": "5"}) == 600


WITNESS = "otelembed: 0123456789ab starts"
EXIT = "otelembed: the collector exited with status 1; next start in {} s"


def exits(*pauses: int, start: int = 5) -> str:
    """The log's lines of a collector that exits at each of its starts."""
    lines = [log(WITNESS, start=start)]
    lines += [log(EXIT.format(pause), start=start + pause) for pause in pauses]
    return READY + "".join(lines)


def test_a_container_whose_collector_exits_again_and_again_is_not_up() -> None:
    watch = Watch(recipe="0123456789ab")
    assert watch.see(exits(1, 2, 4), 60) == (Verified.WITHOUT_COLLECTOR, 12)
    assert watch.tracker.reason.startswith("its collector doesn't run: it has exited 3 times")


def test_a_collector_that_has_exited_once_is_waited_for() -> None:
    watch = Watch(recipe="0123456789ab")
    assert watch.see(exits(1), 60) == (Verified.OPEN, 60)
    assert watch.tracker.at_deadline() is Verified.UNPROVEN
    assert watch.tracker.reason.startswith("its collector doesn't run: it has exited 1 time ")
    assert watch.see(exits(1), 60) == (Verified.UP, 13)


def test_a_collector_that_isnt_started_again_is_decided() -> None:
    last = (
        "otelembed: the collector exited with status 1; no restart, because the image has no sleep"
    )
    text = READY + log(WITNESS, start=5) + log(last, start=6)
    assert Watch(recipe="0123456789ab").see(text, 60) == (Verified.WITHOUT_COLLECTOR, 12)


def test_the_collector_of_the_old_container_may_still_exit() -> None:
    old = log(EXIT.format(256), start=9)
    assert Watch(recipe="0123456789ab").see(exits() + old, 60) == (Verified.UP, 12)


def test_a_dead_collector_doesnt_matter_to_an_image_without_a_recipe() -> None:
    assert Watch().see(exits(1, 2, 4), 60) == (Verified.UP, 12)
