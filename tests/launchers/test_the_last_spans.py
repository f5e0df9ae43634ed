"""What the collector holds when the container is told to stop."""

from __future__ import annotations

import asyncio
import uuid
from pathlib import Path
from urllib.parse import urlsplit

from azext_otelembed.image.launcher import Launcher
from localazure.client import CA
from localazure.composition import build
from localazure.double import Double
from localazure.images.assemble import Image
from tests.launchers.containers import STOP_LIMIT, Host, run, stop
from tests.launchers.images import made, shell_layer, shop_layer

SPANS = 30
SHOP = ["/usr/local/bin/shop"]


async def sent_and_stopped(
    here: Host, double: Double, launcher: Launcher, shell: str, *, sleep: bool = True
) -> tuple[list[str], float]:
    """Have the app send spans and stop it in the same moment.

    The names of the spans that came to Application Insights, and how long the stop took.
    """
    component = await double.add_component({"group": "rg", "name": str(uuid.uuid4())})
    image = Image([shell_layer(shell, sleep), shop_layer()], {"Entrypoint": SHOP})
    running = await here.run(
        made(image, launcher),
        ports=[urlsplit(double.insights).port or 0],
        PORT="8080",
        SAMPLE_DIAGNOSTICS="1",
        APPLICATIONINSIGHTS_CONNECTION_STRING=component.connection_string,
    )
    await running.until_listening(8080)
    await running.until_listening(4318)
    # Answered when the collector has them all; the span of this request itself follows as the
    # app ends.
    await running.get(f"/spans?n={SPANS}")
    ending, took = await stop(running)
    assert (ending.status, ending.killed) == (0, False), running.lines
    assert took < STOP_LIMIT
    arrived = double.telemetry.of(component.instrumentation_key)
    names = [str(envelope["data"]["baseData"].get("name", "")) for envelope in arrived]
    print(f"{launcher.kind}, {shell}: {_told(names)} of {SPANS} spans, stopped in {took:.2f} s")
    return names, took


def _told(names: list[str]) -> int:
    return len({name for name in names if name.startswith("diagnostic")})


def test_drain_delivers_them_within_the_stop_limit_and_exec_loses_them(place: Path) -> None:
    async def test(here: Host) -> None:
        double = await build(place / "double", CA)
        drain = Launcher("drain")
        try:
            *drained, (lost, took) = await asyncio.gather(
                sent_and_stopped(here, double, drain, "dash"),
                sent_and_stopped(here, double, drain, "busybox"),
                sent_and_stopped(here, double, drain, "bash"),
                sent_and_stopped(here, double, drain, "dash", sleep=False),
                sent_and_stopped(here, double, Launcher(), "dash"),
            )
        finally:
            await double.close()
        for names, seconds in drained:
            assert _told(names) == SPANS
            assert "GET /spans" in names
            assert seconds >= drain.grace
        assert _told(lost) == 0
        assert took < 1.5

    run(place, test)
