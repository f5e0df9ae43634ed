"""Whom the real collector trusts, on bases with certificates of their own and with none."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
import trustme

from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.embedding.prepare_collector import prepare_collector
from azext_otelembed.embedding.push import push_embedded
from azext_otelembed.image.embed import embed
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.prepared_collector import PreparedCollector
from azext_otelembed.image.reference import Reference
from localazure.client import ROOT
from localazure.images.assemble import Entry, Image, Layer, layer
from tests.corpus.bases import image
from tests.corpus.conftest import HUB, Corpus
from tests.engine import Engine
from tests.needs import lacking

LAYOUT = ROOT / ".local" / "images" / "collector"
BUNDLE = "etc/ssl/certs/ca-certificates.crt"

CONFIG = """
receivers:
  otlp: {{protocols: {{http: {{endpoint: "localhost:{port}"}}}}}}
processors:
  batch: {{timeout: 100ms}}
exporters:
  azuremonitor: {{connection_string: "${{env:APPLICATIONINSIGHTS_CONNECTION_STRING}}"}}
  otlphttp: {{endpoint: "https://localhost:{company}", sending_queue: {{enabled: false}}}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    traces/azure: {{receivers: [otlp], processors: [batch], exporters: [azuremonitor]}}
    traces/company: {{receivers: [otlp], processors: [batch], exporters: [otlphttp]}}
"""


@dataclass
class Company:
    """A company's own collector, behind TLS that only its own authority vouches for."""

    authority: bytes
    port: int
    received: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def company() -> Iterator[Company]:
    authority = trustme.CA()
    found = Company(authority.cert_pem.bytes(), 0)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            found.received.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        def handle_error(self, *_: Any) -> None:
            pass  # a collector that doesn't trust it hangs up

    server = Server(("localhost", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def collector(corpus: Corpus) -> PreparedCollector:
    """The real collector, whose own bundle has the double's authority."""
    if not LAYOUT.exists():
        lacking("`make test` builds the collector's image")
    corpus.azure.push(HUB, "otel/real", "0.150.0", LAYOUT)
    reference = Reference(corpus.azure.registries[HUB], "otel/real", "0.150.0")
    return prepare_collector(corpus.client, reference, corpus.hub)


def certificates(path: str, data: bytes) -> Layer:
    return layer([Entry(path, data)])


BASES = ("no-certificates", "private-authority", "private-authority-by-variable")


def base(name: str, authority: bytes) -> Image:
    if name == "no-certificates":
        return image()
    if name == "private-authority":
        return image(certificates(BUNDLE, authority))
    env = ["PATH=/bin", "SSL_CERT_FILE=/app/company.pem"]
    return image(certificates("app/company.pem", authority), Env=env)


@pytest.mark.parametrize("name", BASES)
def test_the_collector_trusts_the_bases_authorities_and_its_own(
    name: str,
    corpus: Corpus,
    company: Company,
    collector: PreparedCollector,
    docker_engine: Engine,
) -> None:
    port, page = free_port(), free_port()
    config = CONFIG.format(port=port, company=company.port).encode()
    reference = corpus.push(f"trust/{name}", "1", base(name, company.authority))
    launcher = Launcher(collector_logs="stderr")
    embedded = embed(load_base(corpus.client, reference), collector, config, launcher)
    push_embedded(corpus.client, embedded)
    connection = corpus.azure.components["shop-insights"]
    company.received.clear()
    image_name = f"{corpus.host}/trust/{name}:{embedded.reference.tag}"
    variables = {"PORT": str(page), "APPLICATIONINSIGHTS_CONNECTION_STRING": connection}
    with docker_engine.container(image_name, network="host", **variables) as container:
        try:
            send(port, f"span of {name}")
        finally:
            print(docker_engine.logs(container))
        wait(lambda: f"span of {name}" in str(corpus.azure.telemetry()))
        if name == "no-certificates":
            assert docker_engine.exec(container, "ls", "/etc").split() == expected_etc()
            time.sleep(0.5)
            assert not company.received  # nobody vouches for it here
        else:
            wait(lambda: bool(company.received))
            path = "/app/company.pem" if "variable" in name else f"/{BUNDLE}"
            assert docker_engine.exec(container, "cat", path).encode() == company.authority


def expected_etc() -> list[str]:
    """The base's own, and what an engine puts there."""
    return sorted(["group", "hostname", "hosts", "mtab", "passwd", "resolv.conf"])


def send(port: int, name: str) -> None:
    """One span, as OTLP over HTTP, once the collector takes it."""
    now = time.time_ns()
    span = {
        "traceId": "5b8efff798038103d269b633813fc60c",
        "spanId": "eee19b7ec3c1b174",
        "name": name,
        "kind": 2,
        "startTimeUnixNano": str(now - 1000),
        "endTimeUnixNano": str(now),
    }
    body = {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}

    def sent() -> bool:
        try:
            answer = httpx.post(f"http://localhost:{port}/v1/traces", json=body, trust_env=False)
        except httpx.TransportError:
            return False
        return answer.status_code == 200

    wait(sent)


def wait(done: Any, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return int(probe.getsockname()[1])
