"""Images to embed in and collectors to embed, plain ones and generated ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from azext_otelembed.image import labels as names
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.embed import Base, Embedded
from azext_otelembed.image.image_config import parse_config
from azext_otelembed.image.json_document import dump, renderings
from azext_otelembed.image.layer import make_ca_layer
from azext_otelembed.image.manifest import Manifest, parse_manifest
from azext_otelembed.image.prepared_collector import (
    CollectorLayer,
    PreparedCollector,
    make_prepared_collector,
)
from azext_otelembed.image.prepared_shell import (
    PreparedShell,
    make_prepared_shell,
    make_shell_layer,
)
from azext_otelembed.image.reference import Digest, Reference
from tests.programs import program

CONFIG = b"receivers: {}\n"
UPSTREAM = Reference(
    "docker.io", "otel/opentelemetry-collector-contrib", "0.150.0", Digest.of(b"upstream")
)


def digest(name: object) -> Digest:
    """A digest that stands for some content."""
    return Digest.of(str(name).encode())


def collector(
    compression: str = "gzip", *, version: str = "0.150.0", bundle: bytes = b"PEM\n"
) -> PreparedCollector:
    """A prepared collector in upstream's layout."""
    binary = Descriptor(Family.OCI.layer_type(compression), 29_000_000, digest("binary"))
    certificates = make_ca_layer(bundle)
    descriptor = certificates.descriptor(Family.OCI)
    layers = [
        CollectorLayer(binary, digest("binary tar")),
        CollectorLayer(descriptor, certificates.diff_id, "certificates"),
    ]
    return make_prepared_collector(replace(UPSTREAM, tag=version), "/otelcol-contrib", layers)


def busybox(tail: bytes = b"") -> bytes:
    """A static program with the name of a busybox."""
    return program() + b"BusyBox v1.36.1" + tail


def shell(tail: bytes = b"") -> PreparedShell:
    """A prepared shell."""
    upstream = Reference.parse("busybox:1.36.1-musl").with_digest(Digest.of(b"busybox" + tail))
    return make_prepared_shell(upstream, make_shell_layer(busybox(tail)))


def config_document(layers: int = 2, **settings: Any) -> dict[str, Any]:
    """An image's configuration as builders write it."""
    history: list[dict[str, Any]] = [
        {"created": "2026-01-02T03:04:05Z", "created_by": f"COPY {number}"}
        for number in range(layers)
    ]
    history.append({"created_by": "CMD", "empty_layer": True})
    return {
        "architecture": "amd64",
        "config": settings,
        "created": "2026-01-02T03:04:05Z",
        "history": history,
        "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": [f"{digest(n)}" for n in range(layers)]},
    }


def manifest_document(family: Family, config: bytes, layers: int = 2) -> dict[str, Any]:
    """The manifest that goes with a configuration."""
    return {
        "schemaVersion": 2,
        "mediaType": family.manifest_type,
        "config": Descriptor(family.config_type, len(config), Digest.of(config)).to_document(),
        "layers": [
            Descriptor(family.layer_type("gzip"), 100 + n, digest(f"layer {n}")).to_document()
            for n in range(layers)
        ],
    }


def base(
    family: Family = Family.DOCKER,
    reference: str = "shopregistry.azurecr.io/shop:1.0",
    *,
    layers: int = 2,
    document: dict[str, Any] | None = None,
    **settings: Any,
) -> Base:
    """An image with the given settings (Entrypoint, Cmd, Labels, …), or a whole configuration."""
    if document is None:
        document = config_document(layers, **(settings or {"Cmd": ["/app"]}))
    config = parse_config(dump(document))
    manifest = Manifest.of(family, manifest_document(family, config.data, layers))
    return Base(Reference.parse(reference), manifest.digest, manifest, config)


def as_base(embedded: Embedded) -> Base:
    """An embedded image as it comes back from the registry."""
    manifest = parse_manifest(embedded.manifest.data, embedded.manifest.media_type)
    assert isinstance(manifest, Manifest)
    blobs = {upload.digest: upload.data for upload in embedded.uploads}
    config = parse_config(blobs[manifest.config.digest])
    return Base(embedded.reference, embedded.digest, manifest, config)


texts = st.text(st.characters(codec="utf-8"), max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | texts | st.floats(-1e6, 1e6).map(abs)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
words = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=6))


def _unknown(*known: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(texts.filter(lambda key: key not in known), values, max_size=3)


# Whatever stood under our keys before; only the one that marks an embedded image is left out.
_OWN = [names.SHELL, names.RESTORE, *names.PROVENANCE]
_label_keys = texts | st.sampled_from([key for key in _OWN if key != names.VERSION])
label_maps = st.dictionaries(_label_keys, texts, max_size=4)
absent = object()


@st.composite
def bases(draw: st.DrawFn) -> Base:
    """Any image that a collector can be embedded in, with fields nobody has heard of."""
    family = draw(st.sampled_from(Family))
    count = draw(st.integers(1, 4))
    settings = draw(_unknown("Entrypoint", "Cmd", "Labels", "Env"))
    entrypoint = draw(st.sampled_from([absent, None, [], "/one"]) | words)
    command = draw(words if entrypoint and entrypoint is not absent else words.filter(bool))
    labels = draw(st.sampled_from([absent, None]) | label_maps)
    optional = {"Entrypoint": entrypoint, "Cmd": command, "Labels": labels}
    settings.update({key: value for key, value in optional.items() if value is not absent})
    known = ("config", "os", "architecture", "rootfs", "history", "created")
    document = draw(_unknown(*known))
    document.update(config_document(count, **settings))
    kept = document.pop("history")
    longer = [{"created_by": "RUN more"}, *kept]
    history = draw(st.sampled_from([absent, None, [], kept[1:], kept, longer]))
    if history is not absent:
        document["history"] = history
    if draw(st.booleans()):
        del document["created"]
    config = draw(st.sampled_from(list(renderings(document))))
    fields = manifest_document(family, config, count)
    fields.update(draw(_unknown(*fields, "annotations", "manifests")))
    if (annotations := draw(st.sampled_from([absent, None]) | label_maps)) is not absent:
        fields["annotations"] = annotations
    data = draw(st.sampled_from(list(renderings(fields))))
    manifest = parse_manifest(data, family.manifest_type)
    assert isinstance(manifest, Manifest)
    tag = draw(st.none() | st.from_regex(r"[a-z0-9_][a-z0-9_.-]{0,127}", fullmatch=True))
    reference = Reference("localhost:5000", "shop/web", tag)
    return Base(reference, manifest.digest, manifest, parse_config(config))
