"""The collector's binary as a process, and an ingestion endpoint that records its requests."""

from __future__ import annotations

import contextlib
import gzip
import json
import os
import random
import socket
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from tests.waiting import eventually

LOCAL = Path(__file__).resolve().parents[2] / ".local"
KEY = "00000000-0000-0000-0000-00000000abcd"
VARIABLE = "APPLICATIONINSIGHTS_CONNECTION_STRING"

PIPELINES = """\
receivers:
  otlp:
    protocols:
      http: {{endpoint: "localhost:{otlp}"}}
processors:
  memory_limiter: {{check_interval: 1s, limit_mib: 100}}
  resource:
    attributes: [{{key: service.name, value: "${{env:WEBSITE_SITE_NAME}}", action: insert}}]
  batch: {{timeout: 200ms}}
exporters:
  azuremonitor: {{spaneventsenabled: true}}
extensions:
  health_check: {{endpoint: "localhost:{health}"}}
service:
  extensions: [health_check]
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces: &all
      receivers: [otlp]
      processors: [memory_limiter, resource, batch]
      exporters: [azuremonitor]
    logs: *all
    metrics: *all
"""


def free_port() -> int:
    """A free port below those that the kernel gives to outgoing connections (32768 and above)."""
    while True:
        port = random.randrange(20_000, 32_768)  # noqa: S311
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("127.0.0.1", port))
            return port


@dataclass
class Ingestion:
    """Takes telemetry on localhost; `statuses` are those of the first responses, before 200."""

    statuses: list[int] = field(default_factory=list)
    posts: list[tuple[str, Mapping[str, str]]] = field(default_factory=list)
    envelopes: list[dict[str, Any]] = field(default_factory=list)

    def __enter__(self) -> Ingestion:
        ingestion = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status = ingestion.statuses.pop(0) if ingestion.statuses else 200
                ingestion.posts.append((self.path, dict(self.headers)))
                if status == 200:
                    lines = gzip.decompress(body).splitlines()
                    ingestion.envelopes.extend(json.loads(line) for line in lines)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def connection_string(self) -> str:
        port = self._server.server_address[1]
        return f"InstrumentationKey={KEY};IngestionEndpoint=http://localhost:{port}/"

    def of_type(self, base_type: str) -> list[dict[str, Any]]:
        return [each for each in self.envelopes if each["data"]["baseType"] == base_type]


@dataclass
class Collector:
    """A running collector; posts go to `otlp`."""

    binary: Path
    folder: Path
    connection_string: str
    config: str = PIPELINES
    environment: Mapping[str, str] = field(default_factory=lambda: {"WEBSITE_SITE_NAME": "shop"})
    otlp: int = field(default_factory=free_port)
    health: int = field(default_factory=free_port)

    def __enter__(self) -> Collector:
        config = self.folder / "config.yml"
        config.write_text(self.config.format(otlp=self.otlp, health=self.health))
        self.log = self.folder / "collector.log"
        environment = {VARIABLE: self.connection_string, **self.environment}
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [self.binary, f"--config={config}"],
                env={**os.environ, **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> int:
        """Send TERM; returns its exit status."""
        self.process.terminate()
        try:
            return self.process.wait(10)
        finally:
            self.process.kill()

    def wait_until_ready(self) -> None:
        eventually(self._healthy)

    def _healthy(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"http://localhost:{self.health}/", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def post(self, signal: str, document: dict[str, Any]) -> None:
        """Send OTLP JSON: `signal` is traces, logs or metrics."""
        url = f"http://localhost:{self.otlp}/v1/{signal}"
        httpx.post(url, json=document, trust_env=False).raise_for_status()
