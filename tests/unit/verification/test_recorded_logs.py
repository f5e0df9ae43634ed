"""The product's verdicts on real container logs: right, at their times, however one looks at them.

tests/platform_logs has 40 logs of App Service from public reports, and what happened in each;
tests/made_logs has further kinds.
"""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pytest

from azext_otelembed.verification.platform_log import Kind, parse
from tests.replay_logs import Recorded, main, read_folder, replay

FOLDER = Path(__file__).parents[2] / "platform_logs"
LOGS = list(read_folder(FOLDER))
MADE = list(read_folder(FOLDER.with_name("made_logs")))
PHASES = (0.0, 0.37, 0.81, 1.6, 2.9, 4.3)
CHATTER = (
    "Server started successfully",
    "worker 12 has exited",
    "image pull failed, retrying",
    "Container shop for site shop has exited, failing site start, says the documentation",
    "the site: Site started.",
    "Site started. Listening on port 8000",
    "job-7 Container has finished running with exit code: 3. Container is fine",
    "Failed to start site. Revert by stopping site. (translated)",
    "State: Stopping, Action: StoppingSite, LastError: none",
    "ERROR - Image pull failed: Verify the avatar",
    "Site: shop will be blocked for a while till tomorrow",
    "Container shop_0_a for site shop did not start within expected time limit. Or did it?",
    "otelembed: 0123456789ab starts, says the app",
    "Site container: shop terminated during site startup. Not really",
    "Stopping site shop because it failed during startup. Just kidding",
)


def test_all_forty_logs_are_there() -> None:
    assert len(LOGS) == 40


@pytest.mark.parametrize("interval", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_the_verdict_on_a_real_log_is_right(log: Recorded, interval: float) -> None:
    for phase in PHASES:
        found = replay(log, interval, phase)
        assert found.is_right, found


@pytest.mark.parametrize("interval", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("log", MADE, ids=lambda log: log.name)
def test_the_verdict_on_a_made_log_is_right(log: Recorded, interval: float) -> None:
    for phase in PHASES:
        found = replay(log, interval, phase)
        assert found.is_right, found


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_the_output_of_the_app_changes_no_verdict(log: Recorded) -> None:
    """The app prints words of the platform between all lines, in the form of either format."""
    lines: list[tuple[float, str]] = []
    for number, (time, line) in enumerate(log.lines):
        words = CHATTER[number % len(CHATTER)]
        stamp = line.partition(" ")[0]
        lines.append((time, line))
        if "T" not in stamp or not stamp.endswith("Z"):
            continue
        second, _, fraction = stamp.removesuffix("Z").partition(".")
        digits = 9 if len(fraction) == 3 else 7
        lines.append((time, f"{second}.{fraction.ljust(digits, '1')}Z {words}\n"))
    found = replay(replace(log, lines=tuple(lines)))
    assert found == replay(log)


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_the_order_in_which_files_are_joined_changes_no_verdict(log: Recorded) -> None:
    """Three files, each sorted in itself, one after the other; what has no stamp stays in place."""
    stamped = [list(group) for _, group in groupby(log.lines, key=lambda one: one[0])]
    chance = random.Random(log.name)  # noqa: S311  # a test's own choice
    files: list[list[tuple[float, str]]] = [[], [], []]
    for group in stamped:
        chance.choice(files).extend(group)
    joined = tuple(line for file in files for line in file)
    assert replay(replace(log, lines=joined)) == replay(log)


@pytest.mark.parametrize("log", LOGS, ids=lambda log: log.name)
def test_a_log_of_which_only_the_last_lines_are_answered_is_judged_the_same(log: Recorded) -> None:
    assert replay(log, last_lines=60) == replay(log)


def test_the_command_prints_a_table_and_fails_if_a_verdict_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(FOLDER)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "40 right, 0 wrong"
    name = "114-old-up-27s.log"
    (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    header, *rows = (FOLDER / "index.tsv").read_text(encoding="utf-8").splitlines()
    row = next(one for one in rows if one.startswith(name)).replace("up@", "failed:exited@")
    (tmp_path / "index.tsv").write_text(f"{header}\n{row}\n", encoding="utf-8")
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "0 right, 1 wrong"


def test_the_platform_lines_of_all_logs_are_events() -> None:
    """Each kind occurs, except what no public log of these has."""
    kinds = {event.kind for log in LOGS for event in parse("".join(line for _, line in log.lines))}
    unseen = {Kind.CREATE_FAILED, Kind.LAUNCHER, Kind.COLLECTOR_EXITED}
    assert set(Kind) - kinds == unseen
