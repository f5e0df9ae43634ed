"""How a collector's blobs travel: side by side, and of any size in the same memory."""

from __future__ import annotations

import hashlib
import random
import threading
import time
import zlib
from functools import partial

import pytest

from azext_otelembed.embedding.prepare_collector import prepare_collector
from azext_otelembed.image.layer import make_ca_layer
from azext_otelembed.registry.policies import RetryOptions
from localazure.images.assemble import Layer
from tests.programs import program
from tests.registry import images
from tests.registry.conftest import Registries
from tests.registry.copier import copy
from tests.registry.liar import tar_header

MOST_MEGABYTES = 110
"""A process that does nothing has 45."""


def incompressible(path: str, megabytes: int) -> Layer:
    """A layer with a program whose bytes repeat too far apart for gzip to notice."""
    block = random.Random(megabytes).randbytes(1 << 20)  # noqa: S311
    start = program(1 << 20)
    packer = zlib.compressobj(1, wbits=31)
    plain, packed = hashlib.sha256(), []
    pieces = [tar_header(path, megabytes << 20), start, *[block] * (megabytes - 1), bytes(1024)]
    for piece in pieces:
        plain.update(piece)
        packed.append(packer.compress(piece))
    packed.append(packer.flush())
    return Layer(b"".join(packed), "gzip", f"sha256:{plain.hexdigest()}")


@pytest.mark.parametrize(
    "megabytes",
    [60, pytest.param(500, marks=pytest.mark.thorough(minutes=2))],
    ids=["60 MB", "500 MB"],
)
@pytest.mark.parametrize(
    "path",
    ["otelcol-contrib", pytest.param("usr/bin/otelcol", marks=pytest.mark.thorough)],
    ids=["copied", "repacked"],
)
def test_a_layer_of_any_size_takes_the_same_memory(
    registries: Registries, name: str, path: str, megabytes: int
) -> None:
    layer = incompressible(path, megabytes)
    assert len(layer.data) > megabytes << 20
    image = images.collector(layer, entrypoint=f"/{path}")
    tag = f"1.{name.removeprefix('team/app')}.0"
    copied = copy(registries, images.upstream(registries, tag, image))
    print(f"{megabytes} MB: {copied.megabytes:.0f} MB resident, {copied.seconds:.1f} s")
    assert copied.path == ("/otelcol-contrib" if "/" not in path else "/otelembed/collector")
    assert copied.megabytes < MOST_MEGABYTES


def test_the_certificates_travel_beside_the_binary(registries: Registries, name: str) -> None:
    binary = images.go_layer("otelcol-contrib", program(2_000_000, seed=51))
    bundle = f"# {name}\n".encode() + images.CA_BUNDLE
    image = images.collector(binary, bundle=bundle)
    tag = f"1.{name.removeprefix('team/app')}.0"
    reference = images.upstream(registries, tag, image)
    certificates = make_ca_layer(bundle).digest.hex
    registries.azure.fault(service="acr", method="PATCH", hold=True)
    registries.azure.fault(service="acr", method="PUT", query=certificates, hold=True)
    mark = registries.azure.mark()
    client = registries.owner(RetryOptions(attempts=2, read_timeout=60))
    call = partial(prepare_collector, client, reference, registries.anonymous())
    bringing = threading.Thread(target=call)
    bringing.start()
    deadline = time.monotonic() + 10
    held: list[str] = []
    while len(held) < 2 and time.monotonic() < deadline:
        held = [r["method"] for r in registries.since(mark) if r["held"]]
        time.sleep(0.05)
    registries.azure.release()
    bringing.join(20)
    assert sorted(held) == ["PATCH", "PUT"]
    assert not bringing.is_alive()
