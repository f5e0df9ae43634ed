"""The telemetry of an embedded image names the recipe that the launcher's first line names."""

from __future__ import annotations

import uuid
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from azext_otelembed.image.launcher import START_LINE, Launcher
from localazure.client import CA
from localazure.composition import build
from localazure.images.assemble import Image
from tests.launchers.containers import Host, run
from tests.launchers.images import made, shell_layer, shop_layer

SHOP = ["/usr/local/bin/shop"]
SIGNALS = {"RequestData", "RemoteDependencyData", "MessageData", "MetricData"}


@pytest.mark.parametrize(
    ("launcher", "shell"),
    [(Launcher(), "dash"), (Launcher("drain"), "busybox"), (Launcher(), "bash")],
    ids=["exec", "drain", "exec-bash"],
)
def test_every_signal_names_it_and_the_site(place: Path, launcher: Launcher, shell: str) -> None:
    site = "12345678901234567890"

    async def test(here: Host) -> None:
        double = await build(place / "double", CA)
        component = await double.add_component({"group": "rg", "name": str(uuid.uuid4())})
        image = Image([shell_layer(shell, sleep=True), shop_layer()], {"Entrypoint": SHOP})
        try:
            running = await here.run(
                made(image, launcher),
                ports=[urlsplit(double.insights).port or 0],
                PORT="8080",
                WEBSITE_SITE_NAME=site,
                OTELEMBED_RECIPE="of the app",
                APPLICATIONINSIGHTS_CONNECTION_STRING=component.connection_string,
            )
            await running.until_listening(8080)
            await running.until_listening(4318)
            await running.get("/")

            def arrived() -> list[dict[str, object]]:
                return [e["data"] for e in double.telemetry.of(component.instrumentation_key)]

            await running.until(lambda: {each["baseType"] for each in arrived()} >= SIGNALS)
            (started,) = filter(None, map(START_LINE.fullmatch, running.lines))
            envelopes = double.telemetry.of(component.instrumentation_key)
            for envelope in envelopes:
                properties = envelope["data"]["baseData"]["properties"]
                assert properties["otelembed.recipe"] == started[1]
                assert envelope["tags"]["ai.cloud.role"] == site
        finally:
            await double.close()

    run(place, test)
