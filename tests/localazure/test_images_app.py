"""The sample app: its responses, and its telemetry through the collector."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from localazure.images import build
from tests.localazure.images_support import LOCAL, Collector, Ingestion, free_port
from tests.waiting import eventually


@contextmanager
def shop(
    folder: Path, *arguments: str, **environment: str
) -> Iterator[tuple[httpx.Client, subprocess.Popen[bytes]]]:
    """The running app on a free port; its log is shop.log."""
    port = free_port()
    with (folder / "shop.log").open("wb") as log:
        process = subprocess.Popen(
            [build.app_binary(LOCAL), *arguments],
            env={**os.environ, "PORT": str(port), **environment},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        with httpx.Client(base_url=f"http://localhost:{port}", trust_env=False) as client:

            def healthy() -> bool:
                try:
                    return client.get("/health").text == "ok\n"
                except httpx.TransportError:
                    return False

            eventually(healthy)
            yield client, process
    finally:
        process.kill()
        process.wait()


def test_a_request_to_the_app_is_stored_with_its_log_dependency_and_metric(
    collector: Collector, ingestion: Ingestion, tmp_path: Path
) -> None:
    endpoint = f"http://localhost:{collector.otlp}"
    with shop(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as (client, _):
        assert client.get("/").text.startswith("Hello from the shop. It is 2")
        (request,) = eventually(lambda: ingestion.of_type("RequestData"))
        messages = eventually(lambda: _of_operation(ingestion, "MessageData", request))
        (dependency,) = eventually(lambda: ingestion.of_type("RemoteDependencyData"))
        eventually(lambda: "shop.greetings" in _metrics(ingestion))
    assert request["data"]["baseData"]["name"] == "GET /"
    assert request["data"]["baseData"]["responseCode"] == "200"
    assert request["tags"]["ai.cloud.role"] == "shop"
    assert "greeted" in messages
    assert dependency["data"]["baseData"]["name"] == "tell the time"
    assert dependency["tags"]["ai.operation.parentId"] == request["data"]["baseData"]["id"]
    assert "http.server.request.duration" in _metrics(ingestion)


def _of_operation(ingestion: Ingestion, kind: str, request: dict[str, dict[str, str]]) -> list[str]:
    operation = request["tags"]["ai.operation.id"]
    return [
        each["data"]["baseData"]["message"]
        for each in ingestion.of_type(kind)
        if each["tags"].get("ai.operation.id") == operation
    ]


def _metrics(ingestion: Ingestion) -> set[str]:
    points = (each["data"]["baseData"]["metrics"] for each in ingestion.of_type("MetricData"))
    return {point["name"] for some in points for point in some}


def test_health_checks_send_no_telemetry(
    collector: Collector, ingestion: Ingestion, tmp_path: Path
) -> None:
    endpoint = f"http://localhost:{collector.otlp}"
    with shop(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint) as (client, _):
        client.get("/health")
        client.get("/")
        eventually(lambda: ingestion.of_type("RequestData"))
    urls = [each["data"]["baseData"]["url"] for each in ingestion.of_type("RequestData")]
    assert [url.rpartition("/")[2] for url in urls] == [""]


def test_it_responds_without_a_collector_and_ends_on_term(tmp_path: Path) -> None:
    nobody = f"http://localhost:{free_port()}"
    with shop(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=nobody) as (client, process):
        assert client.get("/").is_success
        process.terminate()
        assert process.wait(5) == 0
    log = (tmp_path / "shop.log").read_text()
    assert "msg=request method=GET path=/ status=200" in log
    assert "msg=stopping" in log


def test_pending_telemetry_is_delivered_on_term(
    collector: Collector, ingestion: Ingestion, tmp_path: Path
) -> None:
    slow = {"OTEL_BSP_SCHEDULE_DELAY": "60000"}
    endpoint = f"http://localhost:{collector.otlp}"
    with shop(tmp_path, OTEL_EXPORTER_OTLP_ENDPOINT=endpoint, **slow) as (client, process):
        client.get("/")
        process.terminate()
        assert process.wait(5) == 0
        eventually(lambda: ingestion.of_type("RequestData"))


def test_the_greeting_is_an_argument(tmp_path: Path) -> None:
    with shop(tmp_path, "--greeting", "Good day") as (client, _):
        assert client.get("/").text.startswith("Good day from the shop.")


def test_there_are_no_other_pages(tmp_path: Path) -> None:
    with shop(tmp_path) as (client, _):
        assert client.get("/env").status_code == 404
        assert client.get("/pid").status_code == 404


def test_diagnostics_show_the_process_and_create_spans(
    collector: Collector, ingestion: Ingestion, tmp_path: Path
) -> None:
    endpoint = f"http://localhost:{collector.otlp}"
    environment = {"SAMPLE_DIAGNOSTICS": "1", "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
    with shop(tmp_path, "--greeting=Hi", **environment) as (client, process):
        about = client.get("/pid").json()
        assert (about["pid"], about["ppid"]) == (process.pid, os.getpid())
        assert client.get("/args").json()[1:] == ["--greeting=Hi"]
        assert client.get("/spans", params={"n": 30}).json() == {"spans": 30}
        assert client.get("/spans", params={"n": "many"}).status_code == 400
        eventually(lambda: len(ingestion.of_type("RemoteDependencyData")) == 30)
