"""The default configuration in a running collector, and the resources that it exports."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from azext_otelembed.collector import config as collector_config
from azext_otelembed.image.collector_environment import set_environment
from azext_otelembed.image.reference import Digest
from tests.localazure.images_support import Collector, Ingestion, free_port
from tests.waiting import eventually

SPAN = {
    "traceId": "0af7651916cd43dd8448eb211c80319c",
    "spanId": "b7ad6b7169203331",
    "name": "GET",
    "kind": 2,
    "startTimeUnixNano": 1_700_000_000_000_000_000,
    "endTimeUnixNano": 1_700_000_000_000_000_001,
}


def template() -> str:
    """The default configuration for `Collector`, with free ports and no other change."""
    text = collector_config.default().decode().replace("{", "{{").replace("}", "}}")
    text = text.replace("localhost:4317", f"localhost:{free_port()}")
    return text.replace("localhost:4318", "localhost:{otlp}").replace(
        "localhost:13133", "localhost:{health}"
    )


def launched(environment: Mapping[str, str], recipe: Digest) -> dict[str, str]:
    """The environment that a launcher gives the collector."""
    done = subprocess.run(
        ["/bin/sh", "-c", set_environment(recipe) + "exec /usr/bin/env -0"],
        env=environment,
        capture_output=True,
        check=True,
        text=True,
    )
    return dict(entry.split("=", 1) for entry in done.stdout.split("\0") if entry)


def exported_resource(
    program: Path, environment: Mapping[str, str], **own: str
) -> dict[str, dict[str, Any]]:
    """The attributes that the default configuration gives the resource of a span.

    `own` are the app's own, with `__` in place of dots. Each value is in OTLP/JSON, by type:
    `{"stringValue": "007"}`.
    """
    attributes = [
        {"key": key.replace("__", "."), "value": {"stringValue": value}}
        for key, value in own.items()
    ]
    resource = {"attributes": attributes}
    spans = {"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": [SPAN]}]}]}
    with Ingestion() as insights, Ingestion() as otlp, tempfile.TemporaryDirectory() as folder:
        address = otlp.connection_string.partition("IngestionEndpoint=")[2].rstrip("/")
        # A second exporter shows the types, which Application Insights doesn't have.
        second = f'exporters:\n  otlp_http: {{{{endpoint: "{address}", encoding: json}}}}\n'
        config = (
            template()
            .replace("exporters: [azuremonitor]", "exporters: [azuremonitor, otlp_http]")
            .replace("exporters:\n", second, 1)
        )
        started = Collector(
            program, Path(folder), insights.connection_string, config, environment=environment
        )
        with started as collector:
            collector.wait_until_ready()
            collector.post("traces", spans)
            (sent,) = eventually(lambda: otlp.envelopes)
            eventually(lambda: insights.envelopes)
    (found,) = sent["resourceSpans"]
    return {each["key"]: each["value"] for each in found["resource"]["attributes"]}
