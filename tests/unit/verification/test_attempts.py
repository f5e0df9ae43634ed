"""Attempts to start the released image, from the lines of a container log."""

from __future__ import annotations

import pytest

from azext_otelembed.verification.attempts import Attempts, find_attempts
from azext_otelembed.verification.platform_log import parse
from tests.unit.verification.log_lines import (
    NEW,
    OLD,
    SECOND,
    log,
    new_ready,
    new_start,
    old_ready,
    old_start,
    stopped,
)

A, B = "aaaaaaaaaaaa_shop", "bbbbbbbbbbbb_shop"
OLD_A, OLD_B = "shop_0_aaaaaaaa", "shop_0_bbbbbbbb"
TERMINATED = "Site container: shop terminated during site startup."
FAILED = "Failed to start site. Revert by stopping site."
EXIT = (
    "Container has finished running with exit code: {status}.",
    "Container is terminating. Grace period: 5 seconds.",
    "Stopping container: {name}.",
)


def exits(name: str, status: int = 3) -> tuple[str, ...]:
    """The container exits during its start."""
    lines = (line.format(name=name, status=status) for line in EXIT)
    return (*lines, TERMINATED, "Site startup probe failed after 5.0 seconds.", FAILED)


def read(text: str, *, after: float = 0.0, instances: int = 1) -> Attempts:
    """The attempts in a log."""
    events = sorted(parse(text), key=lambda event: event.time)
    return find_attempts(events, NEW, after, 230, instances)


def is_up(attempts: Attempts) -> bool:
    """Whether all that counts is ready."""
    fails = attempts.failed or attempts.abandoned
    return bool(attempts.current) and not fails and all(one.ready for one in attempts.current)


def reason(text: str) -> str:
    """Why the first attempt in a log failed."""
    failed = read(text).failed
    assert failed
    return failed.reason


@pytest.mark.parametrize(
    "lines",
    [(*old_start(), old_ready()), (*new_start(), *new_ready())],
    ids=["the old format", "the new format"],
)
def test_both_formats_tell_that_the_new_container_is_ready(lines: tuple[str, ...]) -> None:
    attempts = read(log(*lines))
    assert is_up(attempts)
    assert not is_up(read(log(*lines[:-1])))
    assert not read(log(*lines), after=SECOND + 60).any_begun


def test_lines_about_other_images_prove_nothing() -> None:
    other = [line.replace(NEW, OLD) for line in (*new_start(A), *new_ready())]
    assert not read(log(*other)).any_begun
    longer = [line.replace(NEW, f"{NEW}-2") for line in (*new_start(A), *new_ready())]
    assert not read(log(*longer)).any_begun


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((*new_start(A), *exits(A, 137)), "it exited with status 137"),
        (
            (
                new_start()[0],
                "Container pull image failed with reason: ImagePullFailure. Revert by terminate.",
            ),
            "its image can't be pulled",
        ),
        (
            (
                new_start()[0],
                "Container pull image failed with reason: ImagePullUnauthorizedFailure. Revert by "
                "terminate.",
            ),
            "its image can't be pulled: unauthorized",
        ),
        (
            (*new_start(), "Site startup probe failed after 230.0164258 seconds."),
            "it didn't answer within 230 s",
        ),
        (
            (
                "Setting value of PORT variable to 3000",
                *new_start(),
                "Site startup probe failed after 230.2 seconds.",
            ),
            "it didn't answer within 230 s",
        ),
        (
            (
                new_start()[0],
                "Container image exposes ports: 3000. Resolved main port to 3000.",
                *new_start()[1:],
                "Site startup probe failed after 230.2 seconds.",
            ),
            "it didn't answer on port 3000 within 230 s",
        ),
        (
            (
                *old_start(OLD_A),
                f"ERROR - Container {OLD_A} for site shop has exited, failing site start",
            ),
            "it exited",
        ),
        (
            (
                *old_start(OLD_A),
                f"ERROR - Container {OLD_A} didn't respond to HTTP pings on port: 8000. "
                "Failing site start. See container logs for debugging.",
            ),
            "it doesn't answer on port 8000",
        ),
        (
            (
                *old_start(OLD_A),
                f"ERROR - Container create failed for {OLD_A} with System.AggregateException, One "
                "or more errors occurred.",
            ),
            "its start failed",
        ),
        (
            (*old_start(OLD_A), "ERROR - multi-container unit was not started successfully"),
            "its start failed",
        ),
        (
            ("ERROR - Image pull for " + NEW + " failed. no basic auth credentials",),
            "its image can't be pulled: no basic auth credentials",
        ),
    ],
)
def test_the_reason_is_the_most_precise_line_there_is(
    lines: tuple[str, ...], expected: str
) -> None:
    start = 230 if "after 230" in lines[-1] else 0
    text = log(*lines[:-1]) + log(lines[-1], start=start + len(lines) - 1)
    assert reason(text) == expected


def test_a_pull_that_failed_is_no_reason_once_the_container_runs() -> None:
    """App Service starts the copy of the image that the machine has."""
    pull, *rest = old_start(OLD_A)
    problem = (
        "ERROR - DockerApiException: Docker API responded with status code=NotFound, "
        'response={"message":"manifest unknown"}'
    )
    silent = (
        f"ERROR - Container {OLD_A} didn't respond to HTTP pings on port: 8000, failing site "
        "start. See container logs for debugging."
    )
    assert reason(log(pull, problem, *rest, silent)) == "it doesn't answer on port 8000"


def test_a_failure_after_the_start_limit_is_a_time_out_though_no_line_tells_the_seconds() -> None:
    text = log(*new_start(A)) + log(FAILED, start=235)
    assert reason(text) == "it didn't answer within 233 s"


def test_the_reason_is_not_the_text_of_a_time_out_that_was_none() -> None:
    state = (
        "State: Stopping, Action: CancellingStartup, LastError: ContainerTimeout, "
        "LastErrorTimestamp: 11/25/2026 21:00:04, LastErrorDetails: Container did not start within "
        "expected time limit of 230s. Please inspect your container logs for more details., "
        "Details: , DetailsLevel: ERR"
    )
    assert reason(log(*new_start(A), *exits(A)[:3], state)) == "it exited with status 3"


def test_an_error_of_before_the_change_is_none_of_the_release() -> None:
    state = (
        "State: {}, LastError: ContainerTimeout, LastErrorTimestamp: 11/25/2026 20:59:10, "
        "LastErrorDetails: Container did not start within expected time limit of 230s., "
        "Details: Site started at 11/25/2026 20:01:00 (UTC), DetailsLevel: ERR"
    )
    starting = state.format("Starting, Action: WaitingForSiteWarmUpProbeSuccess")
    stopping = state.format("Stopping, Action: StoppingSite")
    assert is_up(read(log(*new_start(), starting, *new_ready(2), stopping)))


def test_an_error_that_only_a_state_line_tells_fails_the_attempt() -> None:
    state = (
        "State: Stopping, Action: CancellingStartup, LastError: VNETFailure, LastErrorTimestamp: "
        "11/25/2026 21:00:03, LastErrorDetails: The subnet has no free addresses, Details: , "
        "DetailsLevel: ERR"
    )
    assert reason(log(*new_start(), state)) == "The subnet has no free addresses"


class TestCompanions:
    """Containers of App Service's own beside the app's."""

    MSI = f"{OLD_A}_msiProxy"
    AUTH = f"{OLD_A}_middleware"

    def test_their_ready_is_not_the_apps(self) -> None:
        warm = f"INFO  - Initiating warmup request to container {self.MSI} for site shop"
        lines = (*old_start(OLD_A)[:2], warm, old_ready(self.MSI), old_start(OLD_A)[2])
        assert not is_up(read(log(*lines)))
        assert is_up(read(log(*lines, old_ready(OLD_A))))

    def test_one_that_is_waited_for_has_to_be_ready_too(self) -> None:
        warm = f"INFO  - Initiating warmup request to container {self.AUTH} for site shop"
        lines = (*old_start(OLD_A), old_ready(OLD_A), warm)
        assert not is_up(read(log(*lines)))
        assert is_up(read(log(*lines, old_ready(self.AUTH))))

    def test_one_that_fails_the_site_fails_the_release(self) -> None:
        fails = f"ERROR - Container {self.AUTH} for site shop has exited, failing site start"
        for lines in ((), (old_ready(OLD_A),)):
            text = log(*old_start(OLD_A), *lines, fails)
            assert reason(text) == "App Service's own container middleware fails"

    def test_one_that_is_ready_after_the_app_has_failed_changes_nothing(self) -> None:
        fails = f"ERROR - Container {OLD_A} for site shop has exited, failing site start"
        assert reason(log(*old_start(OLD_A), fails, old_ready(self.AUTH))) == "it exited"

    def test_the_image_in_its_environment_is_not_its_own(self) -> None:
        run = (
            f"INFO  - docker run -d -p 7382:8081 --name {self.MSI} "
            f"-e DOCKER_CUSTOM_IMAGE_NAME={NEW} appsvc/msitokenservice:2007200210"
        )
        assert not read(log(run, old_ready(self.MSI))).any_begun

    def test_the_end_of_kudu_is_not_that_of_the_app(self) -> None:
        kudu = (
            "Pulling image: appsvc/kudulite:bullseye_20260204.5.tuxprod.",
            "Starting container: cccccccccccc_shop_kudu.",
            "Container has finished running with exit code: 1.",
            "Stopping container: cccccccccccc_shop_kudu.",
        )
        assert is_up(read(log(*new_start(A), *kudu, *new_ready(5))))

    def test_a_companion_that_ends_the_start_of_the_site_fails_the_release(self) -> None:
        ends = "Site container: shop_managedIdentity terminated during site startup."
        text = log(*new_start(A), ends, FAILED)
        assert reason(text) == "App Service's own container managedIdentity fails"

    def test_the_time_limit_counts_anew_for_one_that_is_asked_after_the_app(self) -> None:
        warm = f"INFO  - Initiating warmup request to container {self.AUTH} for site shop"
        text = log(*old_start(OLD_A), old_ready(OLD_A), warm)
        assert read(text).current[0].started == SECOND + 4

    def test_a_volume_of_kudus_own_is_none_of_the_apps(self) -> None:
        fails = (
            "Volume: DiagnosticServer cannot be mounted at /diagServer during container: shop_kudu "
            "startup. The volume mount is required. Terminate.",
            "Container start up failed with reason: VolumeMountFailure. Revert by terminate.",
        )
        assert not read(log(new_start(A)[0], *fails)).failed

    def test_kudus_names_in_sites_of_the_old_format_are_known(self) -> None:
        ends = (
            "Starting container: shop_kudu_f4a05571.",
            "Container has finished running with exit code: 1.",
            "Stopping container: shop_kudu_f4a05571.",
            "Deleting container: shop_kudu_f4a05571. Retry count = 0",
        )
        text = log(*old_start(OLD_A), *ends, old_ready(OLD_A))
        assert is_up(read(text))
        assert read(text).old_stopped == ()


class TestInstances:
    """Attempts on several instances, and one after the other on the same."""

    BOTH = (*new_start(A), *new_start(B))

    def test_one_of_two_that_still_starts_is_not_up(self) -> None:
        first = log(*self.BOTH, *new_ready(4))
        assert not is_up(read(first, instances=2))
        assert is_up(read(first + log(*new_ready(15), start=20), instances=2))

    def test_two_that_each_fail_once_and_recover_are_up(self) -> None:
        fails = (*exits(A), "Container start method called.", *exits(B))
        again = (*new_start("cccccccccccc_shop"), *new_ready(1))
        text = log(*self.BOTH, *fails)
        assert read(text, instances=2).failed
        text += log(*again, start=90)
        assert read(text, instances=2).failed, "one of them hasn't recovered"
        text += log(*new_start("dddddddddddd_shop"), *new_ready(1), start=120)
        assert is_up(read(text, instances=2))

    def test_a_failure_is_final_while_the_next_attempt_only_starts(self) -> None:
        text = log(*new_start(A), *exits(A)) + log(*new_start(B), start=60)
        assert read(text).failed
        assert is_up(read(text + log(*new_ready(1), start=63)))

    def test_a_start_that_ended_without_a_line_is_replaced_by_the_next(self) -> None:
        text = log(*old_start(OLD_A), *old_start(OLD_B), old_ready(OLD_B))
        assert is_up(read(text))
        assert not is_up(read(text, instances=2))

    def test_the_old_container_that_exits_is_no_failure_of_the_new_one(self) -> None:
        exit_ = [line.format(name="eeeeeeeeeeee_shop", status=1) for line in EXIT]
        assert is_up(read(log(*new_start(A), *exit_, *new_ready(4))))

    def test_an_exit_that_no_line_names_yet_is_uncertain(self) -> None:
        failed = read(log(*new_start(A), EXIT[0].format(status=3))).failed
        assert failed
        assert (failed.is_certain, failed.reason) == (False, "it exited with status 3")

    def test_a_container_that_exits_after_it_was_ready_has_failed(self) -> None:
        exit_ = [line.format(name=A, status=7) for line in EXIT]
        text = log(*new_start(A), *new_ready(), *exit_)
        assert reason(text) == "it exited with status 7"
        again = log(*new_start(B), *new_ready(), start=9)
        assert reason(text + again) == "it exited with status 7", "it is started again and again"

    def test_an_exit_of_the_old_container_while_it_is_stopped_is_no_failure(self) -> None:
        state, stopping, deleting = stopped("eeeeeeeeeeee_shop")
        exit_ = EXIT[0].format(status=143)
        text = log(*new_start(A), *new_ready(), state, stopping, exit_)
        assert not read(text).failed
        assert not read(text + log(deleting, start=9)).failed

    @pytest.mark.parametrize(
        "line",
        [
            "Container {} for site shop has exited, failing site start",
            "Container {} for site shop did not start within expected time limit. Elapsed time = "
            "230.1 sec",
        ],
    )
    def test_the_failure_of_a_container_of_before_the_log_is_not_the_new_ones(
        self, line: str
    ) -> None:
        fails = (
            "ERROR - " + line.format(OLD_B),
            "INFO  - Stopping site shop because it failed during startup.",
        )
        assert is_up(read(log(*old_start(OLD_A), *fails, old_ready(OLD_A))))

    def test_a_start_of_before_the_log_that_ends_is_not_the_new_one(self) -> None:
        text = log(*new_start(A), EXIT[2].format(name=B), TERMINATED)
        assert not read(text).failed
        assert is_up(read(text + log(*new_ready(3), start=5)))

    def test_a_container_that_is_recycled_is_replaced_by_the_next(self) -> None:
        recycled = "INFO  - Recycling container because of AppSettingsChange and isMainSite = True"
        other = "shop_0_cccccccc"
        text = log(*old_start(other), *old_start(OLD_A), old_ready(OLD_A), recycled)
        text += log(*old_start(OLD_B), old_ready(OLD_B), start=10)
        assert not is_up(read(text, instances=2)), "the other instance still starts"
        assert is_up(read(text + log(old_ready(other), start=30), instances=2))

    def test_the_pipes_of_a_container_tell_its_image(self) -> None:
        """Two containers are created before either is started, in the other order."""
        pipe = "Successfully removed non-blocking flag from /podr/container/pipe/{}/stderr_97f49b."
        (pull, create, start), (old_pull, old_create, old_start_) = (
            new_start(A),
            new_start(B, image=OLD),
        )
        lines = (old_pull, pull, pipe.format(B), old_create, pipe.format(A), create, start)
        text = log(*lines, old_start_)
        assert read(text).current[0].container == A
        assert reason(text + log(*exits(A, 9), start=9)) == "it exited with status 9"

    def test_the_end_of_the_old_container_is_told(self) -> None:
        text = log(*new_start(A), *new_ready(), *stopped("eeeeeeeeeeee_shop"))
        assert read(text).old_stopped == (SECOND + 7,)
        assert read(log(*new_start(A), *new_ready(), *stopped(A))).old_stopped == ()


class TestCancelled:
    """Starts that the next change of the site cuts short."""

    INTERRUPTED = (
        "Container start up interrupted. Revert by terminate.",
        "Container is terminating. Grace period: 5 seconds.",
        TERMINATED,
    )
    STATE = (
        "State: Stopping, Action: CancellingStartup, LastError: SiteStartupCancelled, "
        "LastErrorTimestamp: 11/25/2026 21:00:06, LastErrorDetails: , Details: , DetailsLevel: WARN"
    )

    @pytest.mark.parametrize("more", [(), (STATE,)], ids=["without", "with State lines"])
    def test_the_next_attempt_decides(self, more: tuple[str, ...]) -> None:
        for first in (new_start(A)[:1], new_start(A)[:2]):
            text = log(*first, *self.INTERRUPTED, *more)
            assert read(text).abandoned
            assert not read(text).failed
            assert is_up(read(text + log(*new_start(B), *new_ready(), start=30)))

    def test_the_old_images_start_is_the_one_that_is_cancelled(self) -> None:
        """On the other instance the new image's start has begun before."""
        text = log(new_start(A)[0], new_start(B, image=OLD)[0], self.INTERRUPTED[0])
        assert not read(text, instances=2).abandoned
        assert read(text, instances=2).current

    def test_one_that_the_next_start_precedes(self) -> None:
        text = log(*new_start(A), new_start(B)[0], TERMINATED, *new_start(B)[1:], *new_ready())
        assert is_up(read(text))

    def test_one_without_any_sign_of_why_it_ended_is_uncertain(self) -> None:
        failed = read(log(*new_start(A), TERMINATED)).failed
        assert failed
        assert not failed.is_certain
        assert not read(log(*new_start(A), TERMINATED, self.STATE)).failed


def test_a_block_is_told_with_its_end() -> None:
    text = log(
        *new_start(A),
        *exits(A),
        "Site: shop will be blocked for 2 minutes till 11/25/2026 21:02:10",
    )
    assert read(text).blocked_until == SECOND + 130
    assert read(text + log("Site: shop is unblocked.", start=131)).blocked_until is None


@pytest.mark.parametrize("seconds", [5, 20, 120])
def test_the_exit_of_a_container_that_takes_long_to_stop_is_its_own(seconds: int) -> None:
    """WEBSITES_CONTAINER_STOP_TIME_LIMIT allows 120 s; the container isn't in the log before."""
    starting = log(*new_start(A))
    stopping = starting + log("Stopping container: eeeeeeeeeeee_shop.", start=25)
    exited = stopping + log(EXIT[0].format(status=137), start=25 + seconds)
    assert not read(exited).failed
    assert read(starting + log(EXIT[0].format(status=137), start=25 + seconds)).failed


def test_an_exit_without_a_name_is_not_that_of_a_container_that_is_ready() -> None:
    """Kudu or the old container may be the one that has exited."""
    assert is_up(read(log(*new_start(A), *new_ready(), EXIT[0].format(status=1))))


def test_an_instance_that_is_removed_leaves_the_others() -> None:
    both = log(*new_start(A), *new_ready()) + log(*new_start(B), *new_ready(), start=5)
    removed = both + log(*stopped(B), start=20)
    (attempt,) = read(removed, instances=1).current
    assert (attempt.container, attempt.stopped) == (A, None)
    (attempt,) = read(removed + log(*stopped(A), start=30)).current
    assert attempt.stopped is not None


def test_a_block_that_ended_before_the_change_is_none() -> None:
    """Without a line that says so: another change of the site has ended it."""
    text = log("Site: shop will be blocked for 2 minutes till 11/25/2026 21:02:10")
    assert read(text, after=SECOND + 131).blocked_until is None
    later = log(*new_start(A), start=140)
    assert read(text + later, after=SECOND + 131).blocked_until is None


@pytest.mark.parametrize(
    "ends",
    [
        (FAILED,),
        ("Container start up interrupted. Revert by terminate.", TERMINATED),
        (),
    ],
    ids=["failed", "cancelled", "without a line"],
)
@pytest.mark.parametrize("image", [OLD, NEW])
def test_a_start_that_ends_after_its_probe_takes_no_line_from_the_next(
    ends: tuple[str, ...], image: str
) -> None:
    """Such as one whose Easy Auth container fails to start, 13 s after the probe."""
    probe, _ = new_ready()
    before = log(*new_start(A, image=image), probe, *ends)
    (attempt,) = read(before + log(*new_start(B), *new_ready(), start=100)).current
    assert (attempt.container, bool(attempt.ready)) == (B, True)


def test_the_line_of_the_launcher_tells_that_the_image_starts() -> None:
    words = "otelembed: 0123456789ab starts"
    (attempt,) = read(log(words)).current
    assert (attempt.witnessed, attempt.started, attempt.ready) == (True, SECOND, None)
    (attempt,) = read(log(*new_start(A), words, *new_ready(2))).current
    assert (attempt.witnessed, bool(attempt.ready)) == (True, True)
    assert not read(log("otelembed: ffffffffffff starts")).any_begun
