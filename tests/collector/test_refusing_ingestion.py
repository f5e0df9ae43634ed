"""While Application Insights refuses, the app isn't slowed down and the memory is bounded."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from azext_otelembed.image.launcher import DEFAULT_MEMORY_MIB
from localazure.images import build
from tests.collector.default_config import template
from tests.collector.ingestion_endpoint import IngestionEndpoint
from tests.localazure.images_support import KEY, LOCAL, Collector, free_port
from tests.waiting import eventually

LIMIT = 256
MODES = ["429", "429 date", "500", "hang", "refused"]
RATE = 500
CPU = os.sysconf("SC_CLK_TCK")
REPOSITORY = LOCAL.parent


@dataclass
class Pair:
    """An app and its collector, which exports to `insights`."""

    insights: IngestionEndpoint
    collector: Collector
    port: int

    def peak_mib(self) -> int:
        """The most memory that the collector has had (VmHWM), in MiB."""
        status = Path(f"/proc/{self.collector.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024

    def cpu_seconds(self) -> float:
        """The time that the collector has computed."""
        fields = Path(f"/proc/{self.collector.process.pid}/stat").read_text().rpartition(")")[2]
        return sum(int(each) for each in fields.split()[11:13]) / CPU

    def refused_spans(self) -> int:
        """The number in the collector's output, which it writes when it stops."""
        self.collector.process.terminate()
        assert self.collector.process.wait(60) == 0
        text = self.collector.log.read_text()
        counts = json.loads(text[text.rindex("\n{") :])
        metrics = [each for scope in counts["ScopeMetrics"] for each in scope["Metrics"]]
        (found,) = (m for m in metrics if m["Name"] == "otelcol_receiver_refused_spans")
        points: list[dict[str, Any]] = found["Data"]["DataPoints"]
        return sum(int(point["Value"]) for point in points)


@contextmanager
def running(
    program: Path, folder: Path, config: str, memory_mib: int = DEFAULT_MEMORY_MIB
) -> Iterator[Pair]:
    folder.mkdir()
    with ExitStack() as stack:
        insights = stack.enter_context(IngestionEndpoint())
        connection_string = f"InstrumentationKey={KEY};IngestionEndpoint={insights.address}"
        environment = {
            "WEBSITE_SITE_NAME": "shop",
            "GOMEMLIMIT": f"{memory_mib}MiB",
            "OTELEMBED_COLLECTOR_METRICS": "basic",
        }
        collector = stack.enter_context(
            Collector(program, folder, connection_string, config, environment=environment)
        )
        collector.wait_until_ready()
        port = free_port()
        address = f"http://localhost:{collector.otlp}"
        app = subprocess.Popen(
            [build.app_binary(LOCAL)],
            env={**os.environ, "PORT": str(port), "OTEL_EXPORTER_OTLP_ENDPOINT": address},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            eventually(lambda: _answers(port))
            yield Pair(insights, collector, port)
        finally:
            app.kill()
            app.wait()


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://localhost:{port}/health", trust_env=False).is_success
    except httpx.TransportError:
        return False


def medians(pairs: list[Pair], rate: float, seconds: float) -> list[float]:
    """The median duration of the requests to each app, in milliseconds."""
    return [statistics.median(each) for each in durations(pairs, rate, seconds)]


def durations(pairs: list[Pair], rate: float, seconds: float) -> list[list[float]]:
    """The durations of the requests to each app, in milliseconds."""
    ports = [str(pair.port) for pair in pairs]
    command = [sys.executable, "-m", "tests.collector.load_generator", str(rate), str(seconds)]
    done = subprocess.run(
        [*command, *ports], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    return [[float(each) for each in line.split()] for line in done.stdout.splitlines()]


def test_what_does_not_fit_is_refused_and_counted(program: Path, tmp_path: Path) -> None:
    small = (
        template()
        .replace("limit_mib: 256", "limit_mib: 40")
        .replace("spike_limit_mib: 96", "spike_limit_mib: 15")
    )
    assert "limit_mib: 40" in small
    assert "spike_limit_mib: 15" in small
    with running(program, tmp_path / "one", small, memory_mib=32) as pair:
        pair.insights.mode = "500"
        while "Refusing data" not in pair.collector.log.read_text():
            medians([pair], RATE, 2)
        medians([pair], RATE, 2)
        assert pair.refused_spans() > 0


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_the_app_answers_as_fast_and_the_memory_stays_below_its_limit_for_two_minutes(
    program: Path, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        names = ["ok", *MODES]
        pairs = [
            stack.enter_context(running(program, tmp_path / name, template())) for name in names
        ]
        medians(pairs, 50, 2)
        for pair, name in zip(pairs, names, strict=True):
            pair.insights.mode = name
        before, began = [pair.cpu_seconds() for pair in pairs], time.monotonic()
        measured = durations(pairs, RATE / 3, 120)
        took = time.monotonic() - began
        if len(measured[0]) < took * RATE / 6:
            pytest.skip("the machine is too busy to measure times")
        good, *others = map(statistics.median, measured)
        for pair, mode, median, start in zip(pairs[1:], MODES, others, before[1:], strict=True):
            cpu, peak = (pair.cpu_seconds() - start) / took, pair.peak_mib()
            refused = pair.refused_spans()
            print(
                f"{mode}: p50 {median:.3f} ms (else {good:.3f}), CPU {cpu:.1%}, "
                f"{peak} MiB, {refused} spans refused, in {took:.0f} s"
            )
            assert median < 1.1 * good
            assert peak < LIMIT
            assert cpu < 0.05
