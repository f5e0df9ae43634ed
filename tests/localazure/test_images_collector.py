"""The collector of the double: refused configurations, and the telemetry that it sends."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.localazure.images_support import KEY, PIPELINES, Collector, Ingestion
from tests.waiting import eventually

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = "00f067aa0ba902b7"
START = 1_700_000_000_000_000_000


def attributes(**values: str | int) -> list[dict[str, Any]]:
    return [
        {
            "key": key.replace("__", "."),
            "value": {"intValue": value} if isinstance(value, int) else {"stringValue": value},
        }
        for key, value in values.items()
    ]


def traces(*spans: dict[str, Any], **resource: str) -> dict[str, Any]:
    about = {"attributes": attributes(**resource)}
    return {"resourceSpans": [{"resource": about, "scopeSpans": [{"spans": list(spans)}]}]}


def span(name: str, kind: int, **values: str | int) -> dict[str, Any]:
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "parentSpanId": PARENT,
        "name": name,
        "kind": kind,
        "startTimeUnixNano": START,
        "endTimeUnixNano": START + 93_784_005_006_000,
        "attributes": attributes(**values),
    }


SERVER, CLIENT = 2, 3


def test_it_prints_its_name_and_version(binary: Path) -> None:
    said = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "otelcol-contrib version 0.150.0"


def test_it_has_the_components_of_the_design(binary: Path) -> None:
    said = subprocess.run([binary, "components"], capture_output=True, text=True, check=True)
    names = {line.split()[-1] for line in said.stdout.splitlines() if "- name:" in line}
    wanted = {"otlp", "batch", "memory_limiter", "resource", "azuremonitor", "debug"}
    assert wanted | {"health_check"} <= names
    schemes = {line.split()[-1] for line in said.stdout.splitlines() if "- scheme:" in line}
    assert schemes == {"env", "file", "yaml"}


GOOD = """\
receivers: {otlp: {protocols: {http: {}}}}
exporters: {otlphttp: {endpoint: "http://localhost:1"}, azuremonitor: {maxbatchsize: 100,
  maxbatchinterval: 1s, shutdown_timeout: 2s, sending_queue: {enabled: false}}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlphttp, azuremonitor]}}}
"""


def validate(binary: Path, config: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = folder / "config.yml"
    path.write_text(config)
    arguments = [str(binary), "validate", f"--config={path}"]
    return subprocess.run(arguments, capture_output=True, text=True, check=False)


def test_validate_prints_nothing_for_a_valid_configuration(binary: Path, tmp_path: Path) -> None:
    said = validate(binary, GOOD, tmp_path)
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("otlphttp: {", "nope: {", "'exporters' unknown type"),
        ("[otlphttp,", "[debug,", 'references exporter "debug" which is not configured'),
        ("maxbatchsize", "batchsize", "has invalid keys: batchsize"),
        ("http: {}}}}", "http: {}}}", "yaml: line 1"),
    ],
)
def test_validate_exits_1_and_names_the_error(
    binary: Path, tmp_path: Path, good: str, bad: str, message: str
) -> None:
    said = validate(binary, GOOD.replace(good, bad), tmp_path)
    assert said.returncode == 1
    assert message in said.stderr


@pytest.mark.parametrize(
    ("connection_string", "message"),
    [
        ("", "neither a connection string nor an instrumentation key"),
        ("IngestionEndpoint=https://localhost:1/", "InstrumentationKey is required"),
        (f"instrumentationkey={KEY}", "InstrumentationKey is required"),
        (f"InstrumentationKey={KEY};", "not of the form name=value"),
        (f"InstrumentationKey={KEY};=x", "a part has no name"),
        (KEY, "not of the form name=value"),
        (f"InstrumentationKey={KEY};" + 4096 * "x", "longer than 4096"),
    ],
)
def test_an_invalid_connection_string_ends_it_at_start(
    binary: Path, tmp_path: Path, connection_string: str, message: str
) -> None:
    with Collector(binary, tmp_path, connection_string) as collector:
        assert collector.process.wait(15) == 1
        log = collector.log.read_text()
    assert message in log
    assert KEY not in log


@pytest.mark.parametrize(
    "endpoint", ["https://[localhost", "localhost:4318", "https://example.com"]
)
def test_it_starts_but_sends_nothing_to_an_endpoint_on_another_machine(
    binary: Path, tmp_path: Path, endpoint: str
) -> None:
    connection_string = f"InstrumentationKey={KEY};IngestionEndpoint={endpoint}"
    with Collector(binary, tmp_path, connection_string) as collector:
        collector.wait_until_ready()
        collector.post("traces", traces(span("GET", SERVER)))
        assert collector.stop() == 0
        assert "sends nothing to other machines" in collector.log.read_text()


def test_the_environment_overrides_the_configuration(
    binary: Path, tmp_path: Path, ingestion: Ingestion
) -> None:
    wrong = PIPELINES.replace("azuremonitor: {{", "azuremonitor: {{connection_string: nonsense, ")
    with Collector(binary, tmp_path, ingestion.connection_string, wrong) as collector:
        collector.wait_until_ready()
        collector.post("traces", traces(span("GET", SERVER)))
        eventually(lambda: ingestion.envelopes)


def test_a_server_span_becomes_a_request(collector: Collector, ingestion: Ingestion) -> None:
    values: dict[str, str | int] = {
        "http__request__method": "GET",
        "http__route": "/orders/{id}",
        "http__response__status_code": 404,
        "url__scheme": "https",
        "server__address": "shop.example.com",
        "url__path": "/orders/7",
        "client__address": "192.0.2.1",
    }
    about = {"service__name": "till", "service__namespace": "shop", "service__instance__id": "i-1"}
    collector.post("traces", traces(span("GET", SERVER, **values), **about))
    (envelope,) = eventually(lambda: ingestion.of_type("RequestData"))
    assert envelope["iKey"] == KEY
    assert envelope["time"] == "2023-11-14T22:13:20Z"
    assert envelope["tags"]["ai.operation.id"] == TRACE
    assert envelope["tags"]["ai.operation.parentId"] == PARENT
    assert envelope["tags"]["ai.operation.name"] == "GET /orders/{id}"
    assert envelope["tags"]["ai.cloud.role"] == "shop.till"
    assert envelope["tags"]["ai.cloud.roleInstance"] == "i-1"
    request = envelope["data"]["baseData"]
    assert request["id"] == SPAN
    assert request["name"] == "GET /orders/{id}"
    assert request["duration"] == "1.02:03:04.005006"
    assert request["responseCode"] == "404"
    assert request["success"] is False
    assert request["url"] == "https://shop.example.com/orders/7"
    assert request["source"] == "192.0.2.1"
    assert request["properties"]["http.route"] == "/orders/{id}"


def test_it_posts_gzipped_lines_to_the_track_address(
    collector: Collector, ingestion: Ingestion
) -> None:
    collector.post("traces", traces(span("a", SERVER), span("b", CLIENT)))
    eventually(lambda: len(ingestion.envelopes) == 2)
    ((path, headers),) = ingestion.posts
    assert path == "/v2.1/track"
    assert headers["Content-Type"] == "application/x-json-stream"
    assert headers["Content-Encoding"] == "gzip"


def test_other_spans_become_dependencies(collector: Collector, ingestion: Ingestion) -> None:
    outgoing = span(
        "GET", CLIENT, http__request__method="GET", url__full="https://pay.example.com/1"
    )
    failed = {**span("work", 1), "status": {"code": 2}}
    query = span("SELECT", CLIENT, db__system="postgresql", db__statement="SELECT 1")
    collector.post("traces", traces(outgoing, failed, query))
    eventually(lambda: len(ingestion.envelopes) == 3)
    http, work, sql = (e["data"]["baseData"] for e in ingestion.of_type("RemoteDependencyData"))
    assert (http["type"], http["target"], http["success"]) == ("HTTP", "pay.example.com", True)
    assert http["data"] == "https://pay.example.com/1"
    assert (work["type"], work["name"], work["success"]) == ("InProc", "work", False)
    assert work["resultCode"] == "0"
    assert (sql["type"], sql["data"]) == ("postgresql", "SELECT 1")


def test_the_role_is_the_site_if_the_app_has_no_service_name(
    collector: Collector, ingestion: Ingestion
) -> None:
    collector.post("traces", traces(span("a", SERVER)))
    (envelope,) = eventually(lambda: ingestion.envelopes)
    assert envelope["tags"]["ai.cloud.role"] == "shop"


def test_an_exception_event_becomes_an_exception(
    collector: Collector, ingestion: Ingestion
) -> None:
    event = {
        "name": "exception",
        "timeUnixNano": START,
        "attributes": attributes(exception__type="ValueError", exception__message="no stock"),
    }
    collector.post("traces", traces({**span("GET", SERVER), "events": [event]}))
    (envelope,) = eventually(lambda: ingestion.of_type("ExceptionData"))
    (details,) = envelope["data"]["baseData"]["exceptions"]
    assert (details["typeName"], details["message"]) == ("ValueError", "no stock")
    assert envelope["tags"]["ai.operation.parentId"] == SPAN


def test_a_log_record_becomes_a_message(collector: Collector, ingestion: Ingestion) -> None:
    record = {
        "timeUnixNano": START,
        "severityNumber": 13,
        "body": {"stringValue": "stock is low"},
        "attributes": attributes(item="7"),
        "traceId": TRACE,
        "spanId": SPAN,
    }
    collector.post("logs", {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]})
    (envelope,) = eventually(lambda: ingestion.of_type("MessageData"))
    message = envelope["data"]["baseData"]
    assert (message["message"], message["severityLevel"]) == ("stock is low", 2)
    assert message["properties"]["item"] == "7"
    assert envelope["tags"]["ai.operation.id"] == TRACE


def test_metrics_become_measurements_and_aggregations(
    collector: Collector, ingestion: Ingestion
) -> None:
    point = {"timeUnixNano": START, "asInt": 3}
    histogram = {"timeUnixNano": START, "count": 2, "sum": 3.5, "min": 1, "max": 2.5}
    counter = {"dataPoints": [point], "aggregationTemporality": 2, "isMonotonic": True}
    metrics = [
        {"name": "orders", "sum": counter},
        {"name": "price", "histogram": {"dataPoints": [histogram], "aggregationTemporality": 2}},
    ]
    collector.post("metrics", {"resourceMetrics": [{"scopeMetrics": [{"metrics": metrics}]}]})
    eventually(lambda: len(ingestion.envelopes) == 2)
    orders, price = (
        each["data"]["baseData"]["metrics"][0] for each in ingestion.of_type("MetricData")
    )
    assert (orders["name"], orders["kind"], orders["value"]) == ("orders", 0, 3)
    assert (price["name"], price["kind"], price["value"]) == ("price", 1, 3.5)
    assert (price["count"], price["min"], price["max"]) == (2, 1, 2.5)


def test_a_stop_loses_telemetry_that_has_just_arrived(
    collector: Collector, ingestion: Ingestion
) -> None:
    collector.post("traces", traces(*(span("a", SERVER) for _ in range(30))))
    assert collector.stop() == 0
    assert ingestion.envelopes == []


def test_a_stop_a_moment_later_loses_nothing(collector: Collector, ingestion: Ingestion) -> None:
    collector.post("traces", traces(*(span("a", SERVER) for _ in range(30))))
    # The batch processor's 0.2 s, with a margin for a busy machine.
    time.sleep(1)
    assert collector.stop() == 0
    assert len(ingestion.envelopes) == 30


def test_a_post_to_a_busy_endpoint_is_retried(
    binary: Path, ingestion: Ingestion, tmp_path: Path
) -> None:
    ingestion.statuses = [503]
    with Collector(binary, tmp_path, ingestion.connection_string) as collector:
        collector.wait_until_ready()
        collector.post("traces", traces(span("a", SERVER)))
        # The first pause is 10 s.
        eventually(lambda: ingestion.envelopes, 30)
    assert len(ingestion.posts) == 2
