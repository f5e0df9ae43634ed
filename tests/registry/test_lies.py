"""A registry that lies is found out, at a cost that it can't choose."""

from __future__ import annotations

import gzip
import json
import re
import tarfile
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
import zstandard

from azext_otelembed.embedding.prepare_shell import prepare_shell
from azext_otelembed.errors import OtelembedError
from azext_otelembed.image.reference import Reference
from azext_otelembed.registry.client import RegistryClient
from localazure.images.assemble import INDEX, MANIFEST, Entry, Image, Layer, layer, sha256
from tests.programs import program
from tests.registry.liar import (
    REPOSITORY,
    Liar,
    believe,
    bomb,
    collector,
    endless,
    lying,
    slow,
    tar_header,
)
from tests.selection import rest_is_thorough

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


def extension(kind: bytes, data: bytes) -> bytes:
    """An entry that tells something about the next one, or about all that follow."""
    return tar_header("x", len(data), kind) + data + bytes(-len(data) % 512)


def named(path: bytes) -> bytes:
    """What gives every entry from here on the same path (POSIX, pax global headers)."""
    body = b"path=%s\n" % path
    length = next(n for n in range(len(body), len(body) + 10) if n == len(b"%d " % n) + len(body))
    return extension(tarfile.XGLTYPE, b"%d %s" % (length, body))


def prepared(pieces: Callable[[], Iterable[bytes]]) -> Callable[[Liar], None]:
    """A layer of these pieces, made beforehand: while they were made, a read could time out."""

    def tell(liar: Liar) -> None:
        made = list(pieces())
        liar.image("1", HONEST, first=lambda: iter(made), size=1 << 30)

    return tell


def packed(parts: Callable[[], Iterable[bytes]]) -> Callable[[Liar], None]:
    """A layer, in gzip, of these parts of an archive."""
    return prepared(lambda: [gzip.compress(b"".join(parts()), 1)])


def gigabyte() -> Layer:
    """A layer of a few KB with a file of a gigabyte: zstd may be joined as well."""
    pack = zstandard.ZstdCompressor().compress
    data = pack(tar_header("a", 1 << 30)) + pack(bytes(64 << 20)) * 16
    return Layer(data, "gzip", f"sha256:{'0' * 64}")


def many_layers(count: int, *entries: Entry) -> Callable[[Liar], None]:
    """An image whose layers are all the same."""
    one = layer(list(entries))
    return lambda liar: liar.image("1", Image([one] * count, {"Entrypoint": ["/otelcol"]}))


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
    "a deep manifest": (lambda liar: manifest(liar, b"[" * 200_000), "nested too deeply"),
    "a manifest of many lists": (
        lambda liar: manifest(liar, b"[" * 4_000_000),
        "more than 250000 objects and lists",
    ),
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
    "a gzip bomb": (prepared(lambda: bomb(gzip.compress, 3)), "unpacks to more than 2048 MiB"),
    "a zstd bomb": (
        prepared(lambda: bomb(zstandard.ZstdCompressor().compress, 3)),
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
    "a long name for all": (
        packed(lambda: [named(b"p/" * 200_000), tar_header("a", 0) * 50_000]),
        "a name of 400000 characters",
    ),
    "long names without end": (
        packed(lambda: [named(b"p" * 4000), tar_header("a", 0) * 90_000]),
        "names of its files take more than 16 MiB",
    ),
    "a link that leads on and on": (
        packed(
            lambda: [extension(b"K", b"a/" * 500_000), tar_header("otelcol", 0, tarfile.SYMTYPE)]
        ),
        "a name of 1000000 characters",
    ),
    "pax headers without end": (
        packed(lambda: [extension(b"x", b"6 a=b\n" * 170_000) * 100]),
        "more tar headers than its files can need",
    ),
    "empty pax headers without end": (
        packed(lambda: [tar_header("x", 0, b"x") * 200_000]),
        "more tar headers than its files can need",
    ),
    "gzip members without end": (
        prepared(lambda: [gzip.compress(b"") * 10_000] * 110),
        "more than 1000000 parts",
    ),
    "zstd frames without end": (
        prepared(lambda: [zstandard.compress(b"") * 10_000] * 110),
        "more than 1000000 parts",
    ),
    "layers without end": (many_layers(5000, Entry("a", b"")), "5000 layers"),
    "the same files in each of many layers": (
        many_layers(127, *[Entry(f"a/{n}", b"") for n in range(1000)]),
        "more than 100000 files",
    ),
    "a gigabyte in each of many layers": (
        lambda liar: liar.image("1", Image([gigabyte()] * 20, {"Entrypoint": ["/otelcol"]})),
        "unpack to more than 2048 MiB",
    ),
    "files without end": (
        prepared(lambda: [gzip.compress(tar_header("a", 0) * 60_000)] * 4),
        "more than 100000 files",
    ),
}


ALIKE = {
    *("a gzip bomb", "a gigabyte in each of many layers", "gzip members without end"),
    *("the same files in each of many layers", "pax headers without end", "a slow layer"),
    *("long names without end", "a link that leads on and on", "a name of a gigabyte"),
    "a device before a second gzip member",
}
"""Lies that another one resembles, and that take longer than it."""


def test_an_honest_image_is_believed(liar: Liar) -> None:
    liar.image("1", HONEST)
    outcome = believe(liar, "1")
    assert outcome.message == ""
    assert outcome.megabytes < MOST_MEGABYTES
    assert HONEST.layers[0].digest not in liar.taken  # its binary is in a layer of its own
    assert len([name for name in liar.taken if name.startswith("1-")]) == 2


@pytest.mark.parametrize("lie", rest_is_thorough(LIES, lambda lie: lie not in ALIKE))
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


def test_a_shell_image_that_lies_is_refused(liar: Liar) -> None:
    with RegistryClient(liar.host, scheme="http") as client:
        for tag, image, told in (
            ("1", HONEST, "sends more than the"),
            ("2", Image([layer([])] * 5000), "5000 layers"),
            ("3", Image([layer([Entry(f"a/{n}", b"") for n in range(999)])] * 21), "20000 files"),
        ):
            liar.image(tag, image)
            if tag == "1":
                liar.serve(HONEST.layers[0].digest, endless)
            name = Reference(liar.host, REPOSITORY, tag)
            with pytest.raises(OtelembedError, match=told):
                prepare_shell(client, name, client)
