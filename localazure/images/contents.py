"""The content of the two images, made from built binaries."""

from __future__ import annotations

from pathlib import Path

import certifi

from localazure.images.assemble import Entry, Image, layer

COLLECTOR_VERSION = "0.150.0"
APP_VERSION = "1.0"

# As upstream's default: it listens on every address and prints the received telemetry.
_COLLECTOR_CONFIG = """\
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: 0.0.0.0:4317
      http:
        endpoint: 0.0.0.0:4318
processors:
  batch:
exporters:
  debug:
extensions:
  health_check:
service:
  extensions: [health_check]
  pipelines:
    traces: {receivers: [otlp], processors: [batch], exporters: [debug]}
    metrics: {receivers: [otlp], processors: [batch], exporters: [debug]}
    logs: {receivers: [otlp], processors: [batch], exporters: [debug]}
"""

# As in real images: it checks its arguments, prepares, and executes the program.
_ENTRYPOINT = """\
#!/bin/sh
set -e
if [ "$1" = /usr/local/bin/shop ]; then
  echo "docker-entrypoint: preparing the shop"
fi
exec "$@"
"""


def collector(binary: bytes, ca: Path | None) -> list[Image]:
    """The collector in the layout of otel/opentelemetry-collector-contrib, for two platforms.

    Its CA bundle is the public one and `ca` (PEM), so that programs in a container trust the
    double. The arm64 image tests the choice of a platform: its binary is a few bytes.
    """
    bundle = Path(certifi.where()).read_bytes()
    if ca:
        bundle += b"\n# localazure\n" + ca.read_bytes()
    return [
        _collector(bundle, binary, ("linux", "amd64")),
        _collector(bundle, b"not a program\n", ("linux", "arm64")),
    ]


def _collector(bundle: bytes, binary: bytes, platform: tuple[str, ...]) -> Image:
    def copy(source: str, entry: Entry) -> str:
        return f"COPY {source} /{entry.path} # buildkit"

    certificates = Entry("etc/ssl/certs/ca-certificates.crt", bundle)
    program = Entry("otelcol-contrib", binary, 0o755)
    settings = Entry("etc/otelcol-contrib/config.yaml", _COLLECTOR_CONFIG.encode())
    layers = [
        layer(
            [*_folders("etc", "etc/ssl", "etc/ssl/certs"), certificates],
            created_by=copy("/etc/ssl/certs/ca-certificates.crt", certificates),
        ),
        # The fastest compression: this layer takes nearly all of the time.
        layer([program], level=1, created_by=copy("--chmod=755 otelcol-contrib", program)),
        layer(
            [*_folders("etc", "etc/otelcol-contrib"), settings],
            created_by=copy("config.yaml", settings),
        ),
    ]
    config = {
        "User": "10001",
        "ExposedPorts": {"4317/tcp": {}, "4318/tcp": {}, "55679/tcp": {}},
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Entrypoint": ["/otelcol-contrib"],
        "Cmd": ["--config", "/etc/otelcol-contrib/config.yaml"],
        "WorkingDir": "/",
        "Labels": {
            "org.opencontainers.image.title": "OpenTelemetry Collector for localazure",
            "org.opencontainers.image.version": COLLECTOR_VERSION,
        },
    }
    return Image(layers, config, platform=platform)


def app(binary: bytes, shell: list[Entry]) -> Image:
    """The sample app on a base with a shell, with an entrypoint script and a user of its own."""
    layers = [
        layer(shell, created_by="/bin/sh -c #(nop) ADD file:rootfs.tar in / "),
        layer(
            [
                Entry("usr/local/bin/docker-entrypoint.sh", _ENTRYPOINT.encode(), 0o755),
                Entry("usr/local/bin/shop", binary, 0o755),
            ],
            level=1,
            created_by="COPY docker-entrypoint.sh shop /usr/local/bin/ # buildkit",
        ),
    ]
    config = {
        "User": "1000",
        "ExposedPorts": {"8080/tcp": {}},
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Entrypoint": ["/usr/local/bin/docker-entrypoint.sh"],
        "Cmd": ["/usr/local/bin/shop"],
        "WorkingDir": "/app",
        "Labels": {"org.opencontainers.image.title": "shop"},
    }
    return Image(layers, config)


def _folders(*paths: str) -> list[Entry]:
    return [Entry(path, kind="dir") for path in paths]
