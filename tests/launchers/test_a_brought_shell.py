"""A base with no shell and nothing else but the app: busybox is brought along."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
import signal
import tarfile
import time
from pathlib import Path

import pytest

from azext_otelembed.image.launcher import Launcher
from localazure.images.assemble import Image, layer
from localazure.images.shell import static_busybox
from tests.launchers.containers import STOP_LIMIT, Host, run, stop
from tests.launchers.images import made, plain, shop_entry

SHOP = ["/shop", "-greeting", 'it\'s "here" for $HOME']


@pytest.mark.parametrize(
    "launcher", [Launcher(), Launcher("drain", grace=1)], ids=["exec", "drain"]
)
def test_an_app_on_an_empty_base_runs_with_the_collector_beside_it(
    place: Path, launcher: Launcher
) -> None:
    async def test(here: Host) -> None:
        image = Image([layer([shop_entry()], level=1)], {"Entrypoint": SHOP, "Cmd": []})
        embedded = made(image, launcher, shell=static_busybox())
        runs = [
            here.run(each, PORT="8080", SAMPLE_DIAGNOSTICS="1") for each in (plain(image), embedded)
        ]
        without, running = await asyncio.gather(*runs)
        for each in (without, running):
            await each.until_listening(8080)
        await running.until_listening(4318)
        assert json.loads(await running.get("/args")) == SHOP
        assert await running.get("/args") == await without.get("/args")
        mine = json.loads(await running.get("/pid"))
        assert (mine["pid"] == 1) == (launcher.kind == "exec")
        assert mine["cwd"] == json.loads(await without.get("/pid"))["cwd"]
        assert running.lines.count(embedded.start_line) == 1
        assert running.zombies() == []
        began = time.monotonic()
        ending, took = await stop(running)
        assert (ending.status, ending.killed) == (0, False)
        assert took < STOP_LIMIT
        if launcher.kind == "drain":
            assert time.monotonic() - began > 0.95  # by /otelembed/sleep
        without.signal(signal.SIGTERM)

    run(place, test)


def test_nothing_of_the_base_is_hidden_and_the_shell_is_in_our_folder_alone(place: Path) -> None:
    image = Image([layer([shop_entry()], level=1)], {"Entrypoint": ["/shop"]})
    added = made(image, shell=static_busybox()).layers[1:]
    names = {name for each in added for name in each_path(each.data)}
    assert {name.split("/")[0] for name in names} == {"otelembed", "otelcol-contrib"}
    assert {"otelembed/sh", "otelembed/sleep"} <= names


def each_path(data: bytes) -> list[str]:
    """The paths that a layer names."""
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(data))) as tar:
        return tar.getnames()
