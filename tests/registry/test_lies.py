"""A registry that lies is found out, at a cost that it can't choose."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zstandard

from localazure.images.assemble import INDEX, MANIFEST, Entry, Image, Layer, layer, sha256
from tests.programs import program
from tests.registry.liar import (
    Liar,
    believe,
    bomb,
    collector,
    endless,
    lying,
    slow,
    tar_header,
)

# A process that does nothing has about 60 MB: Python, requests and azure-core.
MOST_MEGABYTES = 140
MOST_SECONDS = 30

BUNDLE = Entry("etc/ssl/certs/ca-certificates.crt", b"-----BEGIN CERTIFICATE-----\n")
BINARY = Entry("otelcol", program(), 0o755)
HONEST = collector(BUNDLE, BINARY)
DEVICE = tar_header("dev/sda", 0, tarfile.BLKTYPE)
OUTSIDE = tar_header("../../etc/evil", 0)
LONG_NAME = tar_header("././@LongLink", 1 << 30, tarfile.GNUTYPE_LONGNAME)
SHELL = tar_header("bin/sh", 0)
DOCKER = MANIFEST["docker"]


@pytest.fixture(scope="module")
def liar() -> Iterator[Liar]:
    with lying() as found:
        yield found


def manifest(liar: Liar, body: Any) -> None:
    liar.serve("1", body, DOCKER)


def first(body: Any, **more: Any) -> Callable[[Liar], None]:
    return lambda liar: liar.image("1", HONEST, first=body, **more)


def config(liar: Liar, body: Any) -> None:
    liar.image("1", HONEST)
    digest = json.loads(HONEST.manifest_bytes)["config"]["digest"]
    liar.serve(digest, body)


def forged_bundle() -> Iterator[bytes]:
    """Another authority in a layer of the very same length."""
    other = Entry(BUNDLE.path, b"-----BEGIN CERTIFICATE-----!")
    yield collector(other, BINARY).layers[0].data


def second_member(*more: bytes) -> Image:
    """A layer that begins as one with the binary alone, and ends with that one's length.

    gzip's last four bytes tell of its last member: zeros, as many as the binary alone would make.
    """
    binary = program(1_500_000, seed=7)
    alone = tar_header("otelcol", len(binary)) + binary + bytes(-len(binary) % 512)
    members = [b"".join([alone, *more]), bytes(len(alone) + 1024)]
    lying = Layer(b"".join(map(gzip.compress, members)), "gzip", sha256(b"".join(members)))
    return Image([layer([BUNDLE]), lying], {"Entrypoint": ["/otelcol"]})


def circle(liar: Liar) -> None:
    """An index that leads to itself: a digest that isn't its own."""
    entry = {"mediaType": INDEX["docker"], "size": 10, "digest": f"sha256:{'1' * 64}"}
    data = json.dumps(
        {"schemaVersion": 2, "mediaType": INDEX["docker"], "manifests": [entry]}
    ).encode()
    liar.serve("1", data, INDEX["docker"])
    liar.serve(f"sha256:{'1' * 64}", data, INDEX["docker"])


def huge_number(liar: Liar) -> None:
    manifest(liar, b'{"schemaVersion": ' + b"9" * 3_000_000 + b"}")


def huge_layer(liar: Liar) -> None:
    liar.image("1", HONEST, size=1 << 60, first=endless)


LIES: dict[str, tuple[Callable[[Liar], object], str]] = {
    "an endless manifest": (lambda liar: manifest(liar, endless), "more than 4194304 bytes"),
    "a slow manifest": (lambda liar: manifest(liar, slow), "took longer than"),
    "a slow layer": (first(slow, size=1 << 20), "it comes too slowly"),
    "a deep manifest": (lambda liar: manifest(liar, b"[" * 4_000_000), "nested too deeply"),
    "a huge number": (huge_number, "more than 100 digits"),
    "an index in a circle": (circle, "doesn't match its digest"),
    "another configuration": (lambda liar: config(liar, b"{}"), "doesn't match its digest"),
    "an endless configuration": (lambda liar: config(liar, endless), "more than 4194304 bytes"),
    "a forged layer": (first(forged_bundle), "doesn't match its digest"),
    "an endless layer": (first(endless), "(checksum|sends more than)"),
    "a layer of an exabyte": (huge_layer, "a layer of 1152921504606846976 bytes"),
    "a layer cut short": (
        first(lambda: iter([HONEST.layers[0].data[:100]])),
        "(cut short|ends in the middle|doesn't match)",
    ),
    "a gzip bomb": (first(bomb(gzip.compress, 3), size=1 << 30), "unpacks to more than 2048 MiB"),
    "a zstd bomb": (
        first(bomb(zstandard.ZstdCompressor().compress, 3), size=1 << 30),
        "unpacks to more than 2048 MiB",
    ),
    "a device": (
        first(lambda: iter([DEVICE + bytes(1024)]), size=1 << 20),
        r"a device \('dev/sda'\)",
    ),
    "a path with ..": (
        lambda liar: liar.image("1", collector(BUNDLE, Entry("a/../../b", b""))),
        "a path that leads out of it",
    ),
    "an absolute path": (
        first(lambda: iter([tar_header("/etc/passwd", 0) + bytes(1024)]), size=1 << 20),
        r"a path that leads out of it \('etc/passwd'\)",
    ),
    "a second gzip member": (
        lambda liar: liar.image("1", second_member(OUTSIDE, SHELL, DEVICE)),
        "a path that leads out of it",
    ),
    "a device before a second gzip member": (
        lambda liar: liar.image("1", second_member(SHELL, DEVICE)),
        r"a device \('dev/sda'\)",
    ),
    "a name of a gigabyte": (
        first(
            lambda: iter([tar_header("././@LongLink", 1 << 30, b"L"), *[b"x" * 65536] * 64]),
            size=1 << 30,
        ),
        "a tar header of 1073741824 bytes",
    ),
    "files without end": (
        first(lambda: iter([gzip.compress(tar_header("a", 0) * 60_000)] * 4), size=1 << 30),
        "more than 100000 files",
    ),
}


def test_an_honest_image_is_believed(liar: Liar) -> None:
    liar.image("1", HONEST)
    outcome = believe(liar, "1")
    assert outcome.message == ""
    assert outcome.megabytes < MOST_MEGABYTES
    assert HONEST.layers[0].digest not in liar.taken  # its binary is in a layer of its own
    assert len([name for name in liar.taken if name.startswith("1-")]) == 2


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_is_refused_in_bounded_memory_and_time(lie: str, liar: Liar) -> None:
    tell, expected = LIES[lie]
    tell(liar)
    outcome = believe(liar, "1")
    print(f"{lie}: {outcome.megabytes:.0f} MB, {outcome.seconds:.1f} s: {outcome.message}")
    assert outcome.message
    assert not [name for name in liar.taken if name.startswith("1-")], "a collector was prepared"
    assert re.search(expected, outcome.message), outcome.message
    assert outcome.megabytes < MOST_MEGABYTES
    assert outcome.seconds < MOST_SECONDS
