"""`drain` on a real Docker engine: what `docker stop` does to the app, and to its last spans."""

from __future__ import annotations

import asyncio
import io
import json
import tarfile
import uuid
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from azext_otelembed.image.launcher import START_LINE, Launcher
from localazure.client import CA
from localazure.composition import build
from localazure.images.assemble import Image
from localazure.runtime import netns
from localazure.runtime.egress import Egress
from tests.e2e.support import eventually
from tests.engine import Engine
from tests.engine import docker_engine as docker_engine
from tests.launchers.containers import NOWHERE, STOP_LIMIT
from tests.launchers.images import APP_WORDS, Made, base, made, shell_layer, shop_layer

SPANS = 30
SHOP = ["/usr/local/bin/shop"]


def load(engine: Engine, image: Made, folder: Path) -> str:
    """Have the engine take an image without a registry; its id."""
    layers = {f"{number}.tar.gz": each.data for number, each in enumerate(image.layers)}
    listed = [{"Config": "config.json", "Layers": list(layers)}]
    files = {"manifest.json": json.dumps(listed).encode(), "config.json": image.config, **layers}
    with tarfile.open(folder / "image.tar", "w") as tar:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            tar.addfile(entry, io.BytesIO(data))
    return engine.run("load", "--quiet", "--input", str(folder / "image.tar")).stdout.split()[-1]


def await_both(engine: Engine, container: str) -> None:
    """Wait until the app and the collector serve."""

    def serves(port: int) -> bool:
        try:
            engine.get(container, port=port)
        except OSError:
            return False
        return True

    for port in (8080, 13133):
        eventually(partial(serves, port))


def test_docker_stop_reaches_the_app_whose_exit_status_is_the_containers(
    docker_engine: Engine, tmp_path: Path
) -> None:
    drain = Launcher("drain", grace=1)
    image = load(docker_engine, made(base("dash", Entrypoint=APP_WORDS), drain), tmp_path)
    environment = {"APPLICATIONINSIGHTS_CONNECTION_STRING": NOWHERE}
    with docker_engine.container(image, **environment) as container:
        await_both(docker_engine, container)
        stopped = docker_engine.stop(container)
        *told, line = docker_engine.logs(container).splitlines()  # stdout before stderr
    assert START_LINE.fullmatch(line)
    said = [json.loads(each) for each in told]
    assert [(each["what"], each.get("name")) for each in said] == [
        ("ready", None),
        ("signal", "SIGTERM"),
        ("leaving", None),
    ]
    assert stopped.exit_status == 42
    assert drain.grace <= stopped.seconds < STOP_LIMIT


def test_the_last_spans_before_docker_stop_are_delivered(
    docker_engine: Engine, tmp_path: Path
) -> None:
    image = made(
        Image([shell_layer("dash"), shop_layer()], {"Entrypoint": SHOP}), Launcher("drain")
    )
    loaded = load(docker_engine, image, tmp_path)

    async def test() -> None:
        double = await build(tmp_path / "double", CA)
        component = await double.add_component({"group": "rg", "name": str(uuid.uuid4())})
        way_out = Egress()
        try:
            with docker_engine.container(
                loaded,
                PORT="8080",
                SAMPLE_DIAGNOSTICS="1",
                APPLICATIONINSIGHTS_CONNECTION_STRING=component.connection_string,
            ) as container:
                pid = docker_engine.inspect(container)["State"]["Pid"]
                network = netns.join(pid, root=True)
                await way_out.open(network, [urlsplit(double.insights).port or 0])
                network.close()
                await asyncio.to_thread(spans_then_stop, container)
        finally:
            way_out.close()
            await double.close()
        arrived = double.telemetry.of(component.instrumentation_key)
        names = {str(envelope["data"]["baseData"].get("name", "")) for envelope in arrived}
        assert len([name for name in names if name.startswith("diagnostic")]) == SPANS

    def spans_then_stop(container: str) -> None:
        await_both(docker_engine, container)
        docker_engine.get(container, f"/spans?n={SPANS}")
        stopped = docker_engine.stop(container)
        assert stopped.exit_status == 0
        assert stopped.seconds < STOP_LIMIT

    asyncio.run(test())
