"""What the collector can do to the app under each launcher: nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import pytest

from azext_otelembed.collector import config as collector_config
from azext_otelembed.image.launcher import START_LINE, Launcher
from azext_otelembed.image.supervisor_script import EXIT_LINE
from tests.launchers.containers import Host, Running, run, stop
from tests.launchers.images import APP_WORDS, SHELLS, base, late_collector, made, other_collector

EXEC = Launcher()
DRAIN = Launcher("drain")

every_shell = pytest.mark.parametrize("shell", SHELLS)
both = pytest.mark.parametrize("launcher", [EXEC, DRAIN], ids=["exec", "drain"])

DEFAULT = collector_config.default()
BOTH_ON_ONE_PORT = DEFAULT.replace(b"localhost:4317", b"localhost:4318")
UNKNOWN_COMPONENT = DEFAULT.replace(b"[memory_limiter, resource, batch]", b"[nonsense]")
# Half a minute of spans in one batch: what comes in stays.
SMALL_MEMORY = (
    DEFAULT.replace(b"limit_mib: 256", b"limit_mib: 60")
    .replace(b"check_interval: 1s", b"check_interval: 100ms")
    .replace(b"spike_limit_mib: 96", b"spike_limit_mib: 10")
    .replace(b"timeout: 1s", b"timeout: 30s")
    .replace(b"send_batch_size: 512", b"send_batch_size: 1000000")
    .replace(b"send_batch_max_size: 1024", b"send_batch_max_size: 1000000")
)


async def serves(running: Running, seconds: float = 0.6) -> None:
    """Fails unless the app answers all that while, as the process that it was."""
    pid = running.told("ready")[0]["pid"]
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert await running.get() == "ok"
        await asyncio.sleep(0.02)
    assert running.container.running
    assert [told["pid"] for told in running.told("ready")] == [pid]
    assert not running.told("signal")


async def leaves_no_zombie(running: Running) -> None:
    """Fails unless each process that has ended is waited for."""
    await running.until(lambda: not running.zombies(), 3)


def exits(running: Running) -> list[str]:
    """The lines about the collector's exits."""
    return [line for line in running.lines if EXIT_LINE.fullmatch(line)]


@both
@pytest.mark.parametrize("kind", ["missing", "not executable", "not a program"])
def test_a_binary_that_cannot_run_leaves_the_app_serving(
    place: Path, kind: str, launcher: Launcher
) -> None:
    async def test(here: Host) -> None:
        image = base("dash", Entrypoint=APP_WORDS)
        running = await here.run(made(image, launcher, binary=other_collector(kind)))
        await running.until_told("ready")
        await serves(running)
        assert running.collector() is None
        await leaves_no_zombie(running)
        began = time.monotonic()
        ending, _ = await stop(running)
        assert (ending.status, ending.killed) == (42, False)
        # With nobody to wait for there is no grace.
        assert time.monotonic() - began < 1.5
        line, *others = (line for line in running.lines if not line.startswith("{"))
        assert START_LINE.fullmatch(line)
        assert others == exits(running) != []
        assert f"status {127 if kind == 'missing' else 126}; next start in 1 s" in others[0]

    run(place, test)


@both
@pytest.mark.parametrize("config", [BOTH_ON_ONE_PORT, UNKNOWN_COMPONENT, b"receivers: [}"])
def test_a_collector_that_ends_at_once_leaves_the_app_serving(
    place: Path, config: bytes, launcher: Launcher
) -> None:
    async def test(here: Host) -> None:
        image = base("dash", Entrypoint=APP_WORDS)
        running = await here.run(made(image, launcher, config))
        await running.until_told("ready")
        await serves(running)
        await running.until(lambda: exits(running))
        await serves(running)
        await leaves_no_zombie(running)

    run(place, test)


@both
def test_an_app_that_has_the_collectors_ports_keeps_them_and_serves(
    place: Path, launcher: Launcher
) -> None:
    async def test(here: Host) -> None:
        image = base("dash", Entrypoint=APP_WORDS)
        telling = Launcher(launcher.kind, collector_logs="stderr")
        running = await here.run(
            made(image, telling, binary=late_collector()), LISTENS="8080 4317 4318"
        )
        await running.until_told("ready")
        running.touch("/tmp/go")  # noqa: S108
        await running.until(lambda: any("address already in use" in each for each in running.lines))
        await running.until(lambda: exits(running))
        await serves(running)
        assert [await running.get(port=port) for port in (4317, 4318)] == ["ok", "ok"]
        await leaves_no_zombie(running)

    run(place, test)


@both
def test_why_a_collector_ends_is_told_on_stderr_where_that_was_asked_for(
    place: Path, launcher: Launcher
) -> None:
    async def test(here: Host) -> None:
        image = base("dash", Entrypoint=APP_WORDS)
        telling = Launcher(launcher.kind, collector_logs="stderr")
        for config, words in ((BOTH_ON_ONE_PORT, "address already in use"), (DEFAULT, "ready")):
            running = await here.run(made(image, telling, config))
            await running.until_told("ready")
            await running.until(lambda: any(words in line for line in running.lines))  # noqa: B023

    run(place, test)


@both
@every_shell
def test_a_collector_that_is_killed_leaves_the_app_serving_and_is_started_again(
    place: Path, shell: str, launcher: Launcher
) -> None:
    async def test(here: Host) -> None:
        running = await here.run(made(base(shell, Entrypoint=APP_WORDS), launcher))
        await running.until_told("ready")
        await running.until_listening(4318)
        collector = running.collector()
        assert collector is not None
        os.kill(collector.pid, signal.SIGKILL)
        await serves(running)
        await leaves_no_zombie(running)
        assert exits(running) == [
            f"otelembed: the collector exited with status {128 + signal.SIGKILL}; next start in 1 s"
        ]
        await running.until_listening(4318)
        ending, took = await stop(running)
        assert (ending.status, ending.killed) == (42, False)
        assert (took > 1.5) == (launcher.kind == "drain")  # its grace of 2 s

    run(place, test)


@both
def test_a_collector_that_has_no_memory_left_refuses_and_the_app_goes_on(
    place: Path, launcher: Launcher
) -> None:
    async def test(here: Host) -> None:
        image = base("dash", Entrypoint=APP_WORDS)
        limited = Launcher(launcher.kind, memory_mib=48)
        running = await here.run(made(image, limited, SMALL_MEMORY))
        await running.until_told("ready")
        await running.until_listening(4318)
        flood, _ = await asyncio.gather(running.get("/flood?200"), serves(running, 1.5))
        assert flood == "ok"
        answers = running.told("flooded")[0]["answers"]
        assert answers[-1] >= 429, f"{len(answers)} MB were taken"
        await serves(running)

    run(place, test)


@every_shell
def test_with_drain_orphans_are_waited_for(place: Path, shell: str) -> None:
    async def test(here: Host) -> None:
        running = await here.run(made(base(shell, Entrypoint=APP_WORDS), DRAIN))
        await running.until_told("ready")
        assert await running.get("/orphan") == "ok"
        await running.until(
            lambda: sum(p.name.startswith("python") for p in running.processes()) == 1
        )
        assert running.zombies() == []
        await serves(running, 0.1)

    run(place, test)
