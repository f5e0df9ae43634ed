"""The app under each launcher and each shell: what it is given, what reaches it, how it ends."""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import time
from dataclasses import replace
from pathlib import Path

import pytest

from azext_otelembed.image.launcher import START_LINE, Launcher
from tests.launchers.containers import STOP_LIMIT, Host, Process, Running, run, stop
from tests.launchers.images import (
    APP_WORDS,
    QUIET_WORDS,
    SHELLS,
    base,
    made,
    other_collector,
    plain,
)

EXEC = Launcher()
DRAIN = Launcher("drain")
BRIEF = Launcher("drain", grace=0)
ARGUMENTS = ["a b", "it's", '"quoted"', "$HOME", "*", "", "`id`", "new\nline", "-x", "é"]
IGNORED_IN_BACKGROUND = (signal.SIGHUP, signal.SIGQUIT)
"""What `nohup` and a shell's `&` make programs ignore (and INT, which asyncio handles)."""
NOTED = {"PWD", "OLDPWD", "SHLVL", "_"}
"""What some shells note in the environment: where they are, and what they run."""

every_shell = pytest.mark.parametrize("shell", SHELLS)
both = pytest.mark.parametrize("launcher", [EXEC, DRAIN], ids=["exec", "drain"])


def quiet(running: Running) -> Process | None:
    """The program of QUIET_WORDS, once it runs."""
    return next((each for each in running.processes() if each.name == "quiet"), None)


@both
@every_shell
def test_the_app_gets_what_it_would_get_without_the_collector(
    place: Path, shell: str, launcher: Launcher
) -> None:
    async def test(here: Host) -> None:
        image = base(
            shell,
            Entrypoint=APP_WORDS,
            Cmd=ARGUMENTS,
            WorkingDir="/tmp",  # noqa: S108
            User="1000",
            Env=["FROM_IMAGE=1", "otelembed=kept"],
        )
        ours = made(image, launcher)
        runs = [here.run(each, SETTING="a b") for each in (plain(image), ours)]
        without, embedded = await asyncio.gather(*runs)
        expected, found = await without.until_told("ready"), await embedded.until_told("ready")
        assert found["argv"] == expected["argv"] == ARGUMENTS
        for same in ("cwd", "uid", "stdin", "fds"):
            assert found[same] == expected[same], same
        for each in (expected, found):
            each["env"] = {k: v for k, v in each["env"].items() if k not in NOTED}
        assert found["env"] == expected["env"]
        assert (found["pid"] == 1) == (launcher.kind == "exec")
        assert [each for each in embedded.lines if each[:1] != "{"] == [ours.start_line]
        (app,) = (p for p in embedded.processes() if p.name.startswith("python"))
        assert embedded.container.pid in (app.pid, app.parent)

    run(place, test)


@both
def test_a_startup_command_takes_the_place_of_cmd_and_the_collector_stays(
    place: Path, launcher: Launcher
) -> None:
    async def test(here: Host) -> None:
        image = made(base("dash", Entrypoint=APP_WORDS, Cmd=["from", "cmd"]), launcher)
        running = await here.run(image, startup="--flag 'two words'")
        assert (await running.until_told("ready"))["argv"] == ["--flag", "two words"]
        await running.until(running.collector)

    run(place, test)


@both
@every_shell
def test_an_app_with_handlers_gets_term_within_100_ms(
    place: Path, shell: str, launcher: Launcher
) -> None:
    async def test(here: Host) -> None:
        # Several times, as this machine may be busy.
        turns = 9
        image = made(base(shell, Entrypoint=APP_WORDS), launcher)
        running = await here.run(image, STAYS=str(turns - 1))
        await running.until_told("ready")
        await running.until_listening(4318)
        took = []
        for turn in range(turns):
            sent = running.signal(signal.SIGTERM)
            took.append((await running.until_told("signal", turn + 1))["at"] - sent)
        ending = await running.ended()
        print(f"{launcher.kind}, {shell}: {statistics.median(took) * 1000:.1f} ms (median)")
        assert statistics.median(took) < 0.1
        assert {told["name"] for told in running.told("signal")} == {"SIGTERM"}
        assert (ending.status, ending.killed) == (42, False)

    run(place, test)


@every_shell
def test_with_drain_other_signals_reach_the_app_and_end_nothing(place: Path, shell: str) -> None:
    async def test(here: Host) -> None:
        running = await here.run(made(base(shell, Entrypoint=APP_WORDS), DRAIN))
        await running.until_told("ready")
        for turn, number in enumerate((signal.SIGHUP, signal.SIGUSR1, signal.SIGHUP), 1):
            running.signal(number)
            assert (await running.until_told("signal", turn))["name"] == number.name
        assert running.container.running

    run(place, test)


@every_shell
def test_with_drain_an_app_without_handlers_ends_at_the_stop_signal(
    place: Path, shell: str
) -> None:
    async def test(here: Host) -> None:
        running = await here.run(made(base(shell, Entrypoint=QUIET_WORDS), BRIEF))
        await running.until(lambda: quiet(running))
        ending, took = await stop(running)
        assert (ending.status, ending.killed) == (128 + signal.SIGTERM, False)
        assert took < 3

    run(place, test)


def test_with_exec_an_app_without_handlers_is_as_deaf_as_without_the_collector(
    place: Path,
) -> None:
    async def deaf(running: Running) -> None:
        await running.until(lambda: running.processes()[0].name == "quiet")
        running.signal(signal.SIGTERM)

    async def test(here: Host) -> None:
        image = base("dash", Entrypoint=QUIET_WORDS)
        for each in (plain(image), made(image, EXEC)):
            await deaf(await here.run(each))
        await asyncio.sleep(0.5)
        assert all(running.container.running for running in here.containers)

    run(place, test)


@every_shell
@pytest.mark.parametrize("words", [APP_WORDS, QUIET_WORDS], ids=["handlers", "no handlers"])
def test_with_drain_a_stop_signal_that_comes_before_the_app_is_not_lost(
    place: Path, shell: str, words: list[str]
) -> None:
    async def test(here: Host) -> None:
        image = made(base(shell, Entrypoint=words), BRIEF, binary=other_collector("idle"))
        for turn in range(6):
            running = await here.run(image)
            # Before PID 1 has a handler, the kernel drops it, in any container.
            while not running.catches(signal.SIGTERM):
                await asyncio.sleep(0)
            deadline = time.monotonic() + turn * 0.001
            while time.monotonic() < deadline:
                pass  # the event loop's clock is too coarse for this
            ending, took = await stop(running)
            assert not ending.killed, running.lines
            assert ending.status in (128 + signal.SIGTERM, 42)
            assert took < 3

    run(place, test)


def test_no_signal_is_ignored_that_was_ignored_around_the_double(place: Path) -> None:
    async def test(here: Host) -> None:
        running = await here.run(made(base("dash", Entrypoint=APP_WORDS), DRAIN))
        await running.until_told("ready")
        running.signal(signal.SIGQUIT)
        assert (await running.until_told("signal"))["name"] == "SIGQUIT"

    before = [(number, signal.signal(number, signal.SIG_IGN)) for number in IGNORED_IN_BACKGROUND]
    try:
        run(place, test)
    finally:
        for number, handler in before:
            signal.signal(number, handler)


@every_shell
def test_with_drain_the_images_own_stop_signal_stops_the_app(place: Path, shell: str) -> None:
    async def stopped_by(here: Host, name: str) -> None:
        image = base(shell, Entrypoint=APP_WORDS, StopSignal=name)
        running = await here.run(made(image, Launcher("drain", grace=1)))
        await running.until_told("ready")
        await running.until(running.collector)
        ending, took = await stop(running, getattr(signal, name))
        assert [told["name"] for told in running.told("signal")] == [name]
        assert (ending.status, ending.killed) == (42, False)
        assert took > 0.95, f"no grace after {name}"

    async def test(here: Host) -> None:
        await asyncio.gather(*(stopped_by(here, name) for name in ("SIGQUIT", "SIGPWR", "SIGTERM")))

    run(place, test)


@both
@every_shell
def test_the_exit_status_is_the_apps_and_the_container_ends_at_once(
    place: Path, shell: str, launcher: Launcher
) -> None:
    async def leaves_with(here: Host, status: int) -> None:
        patient = replace(launcher, grace=10) if launcher.kind == "drain" else launcher
        running = await here.run(made(base(shell, Entrypoint=APP_WORDS), patient))
        await running.until_told("ready")
        await running.until(running.collector)
        await running.send(f"/exit?{status}")
        assert (await running.ended()).status == status
        assert time.monotonic() - running.told("leaving")[0]["at"] < 5

    async def test(here: Host) -> None:
        await asyncio.gather(*(leaves_with(here, status) for status in (0, 7, 127, 143)))
        missing = await here.run(made(base(shell, Entrypoint=["/app/missing"]), launcher))
        assert (await missing.ended()).status == 127
        assert START_LINE.fullmatch(missing.lines[0])
        assert "missing" in missing.lines[1]

    run(place, test)


@every_shell
def test_with_drain_an_app_that_was_killed_ends_the_container_with_137(
    place: Path, shell: str
) -> None:
    async def test(here: Host) -> None:
        image = made(base(shell, Entrypoint=QUIET_WORDS), DRAIN, binary=other_collector("idle"))
        running = await here.run(image)
        await running.until(lambda: quiet(running))
        app = quiet(running)
        assert app
        began = time.monotonic()
        os.kill(app.pid, signal.SIGKILL)
        assert (await running.ended()).status == 128 + signal.SIGKILL
        assert time.monotonic() - began < 1

    run(place, test)


@every_shell
def test_with_drain_the_grace_follows_the_apps_end_with_and_without_sleep(
    place: Path, shell: str
) -> None:
    async def leaves(here: Host, sleep: bool) -> None:
        image = base(shell, sleep=sleep, Entrypoint=APP_WORDS)
        running = await here.run(made(image, Launcher("drain", grace=1)))
        await running.until_told("ready")
        await running.until_listening(4318)
        ending, took = await stop(running)
        assert (ending.status, ending.killed) == (42, False)
        grace = time.monotonic() - running.told("leaving")[0]["at"]
        print(f"{shell}, {'sleep' if sleep else 'no sleep'}: {grace:.2f} s after the app's end")
        assert 0.95 < grace < 3
        assert took < STOP_LIMIT

    async def test(here: Host) -> None:
        await asyncio.gather(leaves(here, True), leaves(here, False))

    run(place, test)
