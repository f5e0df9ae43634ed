"""Images as the first format ("0") embedded them. Frozen: this is how they are out there."""

from __future__ import annotations

from dataclasses import replace

from localazure.images.assemble import Entry, Image, layer
from tests.programs import program

SCRIPT = '/otelembed/otelcol --config=/otelembed/config.yml >/dev/null 2>&1 & exec "$@"'
_NOBODY = "sha256:" + "0" * 64


def embedded(base: Image, name: str) -> Image:
    """What it made of `base`, which the registry holds as `name` (repository and tag).

    It kept no note of how to undo it, and set no GOMEMLIMIT.
    """
    collector = layer([Entry("otelcol-contrib", program(seed=1), 0o755)])
    glue = layer(
        [
            Entry("otelembed", kind="dir"),
            Entry("otelembed/config.yml", b"receivers: {}\n"),
            Entry("otelembed/otelcol", kind="symlink", target="/otelcol-contrib"),
        ]
    )
    labels = {
        **base.config.get("Labels", {}),
        "org.opencontainers.image.base.name": name,
        "org.opencontainers.image.base.digest": base.digest,
        "dev.otelembed.version": "0",
        "dev.otelembed.recipe": _NOBODY,
        "dev.otelembed.collector": f"docker.io/otel/opentelemetry-collector:0.100.0@{_NOBODY}",
        "dev.otelembed.config": _NOBODY,
        "dev.otelembed.launcher": "exec/0",
    }
    entrypoint = ["/bin/sh", "-c", SCRIPT, "otelembed", *base.config.get("Entrypoint", [])]
    return replace(
        base,
        layers=[*base.layers, collector, glue],
        config={**base.config, "Entrypoint": entrypoint, "Labels": labels},
    )
