"""Small images in the registries of a test, and the server-side import as ARM offers it."""

from __future__ import annotations

import io
import tarfile
import zlib
from typing import Any

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.registries import find, import_image
from azext_otelembed.image.reference import Reference
from localazure.images.assemble import Entry, Image, Layer, layer, sha256, write_layout
from tests.programs import program as linux_program
from tests.registry.conftest import HUB, SHOP, Registries, blob
from tests.release.support import session_of

CA_BUNDLE = b"-----BEGIN CERTIFICATE-----\nbWFkZSB1cA==\n-----END CERTIFICATE-----\n" * 200
COLLECTOR = "otel/opentelemetry-collector-contrib"


def shell() -> Layer:
    """A distribution's root file system as far as a shell goes, with /usr merged."""
    return layer(
        [
            Entry("bin", kind="symlink", target="usr/bin"),
            Entry("usr", kind="dir"),
            Entry("usr/bin", kind="dir"),
            Entry("usr/bin/dash", b"#!shell", 0o755),
            Entry("usr/bin/sh", kind="symlink", target="dash"),
            Entry("usr/share/big", blob(400_000, seed=3)[1]),
        ],
        created_by="/bin/sh -c #(nop) ADD file:rootfs.tar in / ",
    )


def program(path: str = "app/shop", size: int = 300_000) -> Layer:
    """A layer with one executable."""
    return layer(
        [Entry(path, blob(size, seed=5)[1], 0o755)], created_by="COPY shop /app # buildkit"
    )


def app(*layers: Layer, **fields: Any) -> Image:
    """An app image; with a shell, unless it is given other layers."""
    config = {"Entrypoint": ["/app/shop"], "Cmd": ["serve"]}
    return Image(layers or (shell(), program()), config, **fields)


def go_layer(path: str, data: bytes) -> Layer:
    """One file in a layer as Go's archive/tar writes it: not padded to 10 KiB."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        info = tarfile.TarInfo(path)
        info.mode, info.size = 0o755, len(data)
        tar.addfile(info, io.BytesIO(data))
        end = tar.offset
    plain = buffer.getvalue()[:end] + bytes(1024)
    compressor = zlib.compressobj(1, wbits=31)
    return Layer(compressor.compress(plain) + compressor.flush(), "gzip", sha256(plain))


def collector(
    binary: Layer | None = None,
    *,
    arch: str = "amd64",
    bundle: bytes | None = CA_BUNDLE,
    entrypoint: str = "/otelcol-contrib",
) -> Image:
    """A collector image in upstream's layout. Its binary's layer is 3 MB."""
    found = [Entry("etc/ssl/certs/ca-certificates.crt", bundle)] if bundle else []
    layers = [
        layer([Entry("etc/ssl/certs", kind="dir"), *found]),
        binary or go_layer("otelcol-contrib", linux_program(3_000_000, seed=11)),
        layer([Entry("etc/otelcol-contrib/config.yaml", b"receivers: {}\n")]),
    ]
    return Image(layers, {"Entrypoint": [entrypoint]}, platform=("linux", arch))


def upstream(registries: Registries, tag: str, image: Image | None = None) -> Reference:
    """A collector image in the hub, with an entry for another platform."""
    other = Image([program("otelcol-contrib", 5000)], {}, platform=("linux", "arm64"))
    write_layout(registries.folder / "upstream", [other, image or collector()], tag)
    registries.azure.push(HUB, COLLECTOR, tag, registries.folder / "upstream")
    return Reference(registries.hub, COLLECTOR, tag)


def push(registries: Registries, name: str, tag: str, *images: Image) -> Reference:
    """An app image in the shop's registry; several make an index."""
    directory = registries.folder / "app"
    write_layout(directory, images[0] if len(images) == 1 else images, tag)
    registries.azure.push(SHOP, name, tag, directory)
    return Reference(registries.shop, name, tag)


def importer(registries: Registries, reference: Reference, target: str) -> None:
    """POST importImage, by an owner."""
    azure = registries.azure
    arm = Arm(session_of(azure, registries.arm_token))
    registry = find(arm, azure.subscription, registries.shop)
    import_image(arm, registry, reference, target, lambda _: None)
