"""`python -m benchmarks.collector_cost`: what the test collector and the slim one cost, as a table.

Both run the default configuration and export to an ingestion endpoint on localhost that accepts
everything. Memory is the resident set (VmRSS), CPU is the share of one core. The image grows by the
compressed layer (gzip, level 6). The app's start is measured in containers of the double.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import os
import platform
import socket
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from azext_otelembed.image.launcher import DEFAULT_MEMORY_MIB
from localazure.images import build
from localazure.images.assemble import Entry, Layer, layer
from tests.collector.default_config import template
from tests.collector.ingestion_endpoint import IngestionEndpoint
from tests.launchers import images
from tests.launchers.containers import Host, host
from tests.localazure.images_support import KEY, LOCAL, Collector

SPANS_A_SECOND = 1000
SPANS_A_REQUEST = 100
_MIB = 1 << 20
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Cost:
    """The figures of one collector; times in seconds, memory in MiB."""

    name: str
    program: Path
    layer_mib: float = 0
    starts: list[float] = field(default_factory=list)
    idle: int = 0
    loaded: int = 0
    cpu: float = 0
    app_starts: list[float] = field(default_factory=list)


def main() -> None:
    """Measure both, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.collector_cost")
    parser.add_argument("--seconds", type=int, default=60, help="how long the load lasts")
    parser.add_argument("--starts", type=int, default=10, help="how many starts are measured")
    chosen = parser.parse_args()
    costs = [
        Cost("test collector", build.collector_binary(LOCAL)),
        Cost("slim collector", build.slim_binary(LOCAL)),
    ]
    made = {}
    for cost in costs:
        packed = layer([Entry("otelcol-contrib", cost.program.read_bytes(), 0o755)])
        made[cost.name], cost.layer_mib = packed, len(packed.data) / _MIB
        for _ in range(chosen.starts):
            with running(cost):
                pass
        with running(cost) as collector:
            time.sleep(10)
            cost.idle = resident(collector)
            load(cost, collector, chosen.seconds)
    with tempfile.TemporaryDirectory() as folder:
        alone = asyncio.run(app_starts(Path(folder), costs, made, chosen.starts))
    table(costs, alone)


@contextmanager
def running(cost: Cost) -> Iterator[Collector]:
    """A collector that answers; its start is noted."""
    with IngestionEndpoint() as insights, tempfile.TemporaryDirectory() as folder:
        address = f"InstrumentationKey={KEY};IngestionEndpoint={insights.address}"
        environment = {"WEBSITE_SITE_NAME": "shop", "GOMEMLIMIT": f"{DEFAULT_MEMORY_MIB}MiB"}
        started = Collector(
            cost.program, Path(folder), address, template(), environment=environment
        )
        began = time.monotonic()
        with started as collector:
            while not _answers(collector.health):
                time.sleep(0.005)
            cost.starts.append(time.monotonic() - began)
            yield collector


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("localhost", port), timeout=1).close()
    except OSError:
        return False
    return True


def load(cost: Cost, collector: Collector, seconds: int) -> None:
    """Send spans as an SDK's batches; note the most memory, and the CPU."""
    body = spans()
    connection = http.client.HTTPConnection("localhost", collector.otlp, timeout=30)
    before, began = cpu(collector), time.monotonic()
    for number in range(seconds * SPANS_A_SECOND // SPANS_A_REQUEST):
        time.sleep(max(0.0, began + number * SPANS_A_REQUEST / SPANS_A_SECOND - time.monotonic()))
        connection.request("POST", "/v1/traces", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise RuntimeError(f"the collector answers {answer.status}")
        cost.loaded = max(cost.loaded, resident(collector))
    cost.cpu = (cpu(collector) - before) / (time.monotonic() - began)


def spans() -> bytes:
    """Spans of an HTTP server, in OTLP/JSON."""
    texts = {
        "http.request.method": "GET",
        "url.path": "/orders/7",
        "http.route": "/orders/{number}",
        "server.address": "shop.example",
        "user_agent.original": "Mozilla/5.0 (X11; Linux x86_64)",
    }
    attributes = [{"key": key, "value": {"stringValue": value}} for key, value in texts.items()]
    made = [
        {
            "traceId": f"{number:032x}",
            "spanId": f"{number:016x}",
            "name": "GET /orders/{number}",
            "kind": 2,
            "startTimeUnixNano": 1_700_000_000_000_000_000,
            "endTimeUnixNano": 1_700_000_000_005_000_000,
            "attributes": attributes,
        }
        for number in range(1, SPANS_A_REQUEST + 1)
    ]
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": made}]}]}).encode()


def resident(collector: Collector) -> int:
    """The collector's memory, in MiB."""
    status = Path(f"/proc/{collector.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) // 1024


def cpu(collector: Collector) -> float:
    """The seconds that the collector has computed."""
    fields = Path(f"/proc/{collector.process.pid}/stat").read_text().rpartition(")")[2]
    return sum(int(each) for each in fields.split()[11:13]) / _TICKS


async def app_starts(
    folder: Path, costs: list[Cost], made: dict[str, Layer], times: int
) -> list[float]:
    """How long an app takes to listen, with each collector; returns the times without one."""
    base = images.base("dash", Entrypoint=images.APP_WORDS)
    alone: list[float] = []
    async with host(folder) as here:
        for _ in range(times + 1):  # the first unpacks the image
            alone.append(await _app_start(here, images.plain(base)))
            for cost in costs:
                embedded = images.made(base, binary=made[cost.name])
                cost.app_starts.append(await _app_start(here, embedded))
    for each in (alone, *(cost.app_starts for cost in costs)):
        del each[0]
    return alone


async def _app_start(here: Host, image: images.Made) -> float:
    began = time.monotonic()
    running = await here.run(image)
    ready = await running.until_told("ready")
    await asyncio.sleep(0.5)  # the collector's start is part of what happens meanwhile
    running.container.kill()
    await running.container.wait()
    return float(ready["at"]) - began


def table(costs: list[Cost], alone: list[float]) -> None:
    """Print the figures."""
    print(f"{date.today()}, {os.cpu_count()} cores, {_processor()}, {platform.release()}\n")
    rows: dict[str, list[str]] = {
        "program": [f"{one.program.stat().st_size / _MIB:.1f} MiB" for one in costs],
        "image grows by": [f"{one.layer_mib:.1f} MiB" for one in costs],
        "collector's start, median": [f"{statistics.median(c.starts):.2f} s" for c in costs],
        "app listens later by, median": [
            f"{(statistics.median(c.app_starts) - statistics.median(alone)) * 1000:.0f} ms"
            for c in costs
        ],
        "memory idle": [f"{one.idle} MiB" for one in costs],
        f"memory at {SPANS_A_SECOND} spans/s": [f"{one.loaded} MiB" for one in costs],
        f"CPU at {SPANS_A_SECOND} spans/s": [f"{one.cpu:.0%} of a core" for one in costs],
    }
    print("| | " + " | ".join(one.name for one in costs) + " |")
    print("|---" * (len(costs) + 1) + "|")
    for name, cells in rows.items():
        print(f"| {name} | " + " | ".join(cells) + " |")


def _processor() -> str:
    found = Path("/proc/cpuinfo").read_text().partition("model name\t: ")[2]
    return found.partition("\n")[0]


if __name__ == "__main__":
    main()
