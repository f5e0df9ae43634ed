from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pytest

from azext_otelembed.embedding.prepare_collector import find_prepared, prepare_collector
from azext_otelembed.embedding.prepared_store import UPSTREAM_REPOSITORY
from azext_otelembed.errors import NotFound, Refused, RegistryFailed, Unauthorized
from azext_otelembed.image.layer import make_ca_layer
from azext_otelembed.image.prepared_collector import REPOSITORY, PreparedCollector, prepared_tag
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.progress import Progress, Report, discard
from azext_otelembed.registry.client import RegistryClient
from localazure.images.assemble import Compression, Entry, Image, Layer, layer, sha256
from tests.programs import LOADER, program
from tests.registry import images
from tests.registry.conftest import PUSHER, Registries


@pytest.fixture
def tag(name: str) -> str:
    """A collector version that no other test has brought in."""
    return f"9.{name.removeprefix('team/app')}.0"


@dataclass(frozen=True)
class Shop:
    """The ACR, with an owner's client, and a version of the collector that it doesn't hold."""

    registries: Registries
    tag: str
    client: RegistryClient

    def upstream(self, image: Image | None = None, tag: str = "") -> Reference:
        """A collector image in the hub."""
        return images.upstream(self.registries, tag or self.tag, image)

    def prepare(
        self, reference: Reference, *, by_import: bool = False, report: Report = discard
    ) -> PreparedCollector:
        """Bring it in: by a server-side import, or through this machine."""
        importer = partial(images.importer, self.registries) if by_import else None
        hub = self.registries.anonymous()
        return prepare_collector(self.client, reference, hub, importer, report)

    def find(self, reference: Reference) -> PreparedCollector | None:
        """The prepared collector."""
        return find_prepared(self.client, reference)


@pytest.fixture
def shop(registries: Registries, tag: str, client: RegistryClient) -> Shop:
    return Shop(registries, tag, client)


def assert_prepared(client: RegistryClient, prepared: PreparedCollector, image: Image) -> None:
    """The layers are in the registry, and both tags lead to the document."""
    assert str(prepared.digest) == image.digest
    assert prepared.binary_path == "/otelcol-contrib"
    binary, certificates = prepared.layers
    assert str(binary.descriptor.digest) == image.layers[1].digest
    assert str(binary.diff_id) == image.layers[1].diff_id
    assert certificates.descriptor.digest == make_ca_layer(images.CA_BUNDLE).digest
    for part in prepared.layers:
        content = b"".join(client.stream_blob(REPOSITORY, part.descriptor.digest))
        assert len(content) == part.descriptor.size
    for name in (prepared.upstream, replace(prepared.upstream, digest=None)):
        assert (
            client.get_manifest(REPOSITORY, prepared_tag(name)).digest == prepared.manifest.digest
        )


def test_a_collector_is_imported_and_prepared(shop: Shop) -> None:
    reference = shop.upstream()
    seen: list[Progress] = []
    prepared = shop.prepare(reference, by_import=True, report=seen.append)
    assert_prepared(shop.client, prepared, images.collector())
    assert shop.find(reference) == prepared
    assert shop.client.head_manifest(UPSTREAM_REPOSITORY, prepared_tag(reference)) is not None
    assert any("importing" in each.what for each in seen)


def test_an_import_asks_upstream_nothing_and_reads_all_of_the_binarys_layer(shop: Shop) -> None:
    reference = shop.upstream()
    mark = shop.registries.azure.mark()
    shop.prepare(reference, by_import=True)
    assert "registry" not in {r["service"] for r in shop.registries.since(mark)}
    sent = sum(r["sent"] for r in shop.registries.since(mark))
    assert sent < 200_000  # the CA layer; the binary has 3 MB
    # Its beginning, which tells what it is, and then every byte: nothing less proves it.
    layer = images.collector().layers[1]
    binary = layer.digest.removeprefix("sha256:")
    got = [r for r in shop.registries.since(mark) if r["service"] == "blob" and binary in r["path"]]
    assert len(got) == 2
    assert got[1]["received"] == len(layer.data)


def test_who_may_not_import_gets_a_copy_with_progress(registries: Registries, tag: str) -> None:
    def refuse(_: Reference, __: str) -> None:
        raise Unauthorized("importImage is not allowed.")

    reference = images.upstream(registries, tag)
    client = registries.principal(PUSHER)
    seen: list[Progress] = []
    prepared = prepare_collector(client, reference, registries.anonymous(), refuse, seen.append)
    assert_prepared(client, prepared, images.collector())
    size = sum(part.descriptor.size for part in prepared.layers)
    counted = [each.done for each in seen if each.total == size]
    assert counted == sorted(counted)
    assert counted[-1] == size


def test_a_copy_survives_cuts(shop: Shop) -> None:
    binary = images.go_layer("otelcol-contrib", program(9_000_000, seed=21))
    image = images.collector(binary)
    reference = shop.upstream(image)
    shop.registries.azure.fault(service="acr", method="PATCH", nth=2, reset=True)
    shop.registries.azure.fault(service="registry", method="GET", path="/blobs/", nth=3, status=503)
    prepared = shop.prepare(reference)
    assert_prepared(shop.client, prepared, image)


def test_what_is_prepared_costs_one_request_and_asks_nobody_else(shop: Shop) -> None:
    reference = shop.upstream()
    first = shop.prepare(reference)
    mark = shop.registries.azure.mark()
    assert shop.prepare(reference) == first
    (record,) = [r for r in shop.registries.since(mark) if not r["path"].startswith("/oauth2")]
    assert (record["service"], record["method"], record["status"]) == ("acr", "GET", 200)


def test_the_same_collector_by_its_digest_is_the_same(shop: Shop) -> None:
    reference = shop.upstream()
    by_tag = shop.prepare(reference)
    exact = replace(reference, digest=Digest.parse(images.collector().digest))
    assert shop.find(exact) == by_tag


@pytest.mark.parametrize("tagged", [True, False], ids=["tag and digest", "digest"])
@pytest.mark.parametrize("of", ["index", "manifest"])
def test_a_collector_is_imported_by_its_digest(shop: Shop, of: str, tagged: bool) -> None:
    image = images.collector(
        images.go_layer("otelcol-contrib", program(1_000_000, seed=int(shop.tag[2:-2])))
    )
    named = shop.upstream(image)
    index = shop.registries.anonymous().get_manifest(named.repository, shop.tag).digest
    digest = index if of == "index" else Digest.parse(image.digest)
    reference = replace(named, tag=shop.tag if tagged else None, digest=digest)
    mark = shop.registries.azure.mark()
    prepared = shop.prepare(reference, by_import=True)
    assert "registry" not in {r["service"] for r in shop.registries.since(mark)}
    assert str(prepared.digest) == image.digest
    assert shop.find(reference) == prepared


def test_the_document_is_the_same_whichever_way_the_collector_came(shop: Shop) -> None:
    reference = shop.upstream()
    copied = shop.prepare(reference)
    delete(shop.registries, prepared_tag(reference), prepared_tag(copied.upstream))
    imported = shop.prepare(reference, by_import=True)
    assert imported == copied


def test_a_moving_tag_is_looked_up_upstream(shop: Shop, name: str) -> None:
    moving = f"nightly-{name.removeprefix('team/app')}"
    reference = shop.upstream(tag=moving)
    first = shop.prepare(reference)
    newer = images.collector(images.go_layer("otelcol-contrib", program(2_000_000, seed=31)))
    shop.upstream(newer, moving)
    second = shop.prepare(reference)
    assert str(second.digest) == newer.digest != str(first.digest)
    assert shop.find(reference) == second


def test_a_moving_tag_is_taken_from_the_registry_when_upstream_is_out_of_reach(
    shop: Shop, name: str
) -> None:
    moving = f"edge-{name.removeprefix('team/app')}"
    reference = shop.upstream(tag=moving)
    first = shop.prepare(reference)
    shop.registries.azure.fault(service="registry", status=503, times=0)
    assert shop.prepare(reference) == first


def test_a_damaged_document_is_made_again(shop: Shop) -> None:
    reference = shop.upstream()
    first = shop.prepare(reference)
    other = images.push(shop.registries, REPOSITORY, prepared_tag(reference), images.app())
    assert other.tag == prepared_tag(reference)
    assert shop.find(reference) is None
    assert shop.prepare(reference) == first


def test_a_registry_that_does_not_mount_gets_the_binary_copied(shop: Shop) -> None:
    binary = images.go_layer("otelcol-contrib", program(2_000_000, seed=41))
    image = images.collector(binary)
    reference = shop.upstream(image)
    with shop.registries.without_mounts():
        prepared = shop.prepare(reference, by_import=True)
    assert_prepared(shop.client, prepared, image)


def lying_layer(*members: bytes, diff_id: str = "") -> Layer:
    """A layer of several gzip members, one behind the other."""
    data = b"".join(gzip.compress(member, mtime=0) for member in members)
    return Layer(data, "gzip", diff_id or sha256(b"".join(members)))


def archive(*entries: Entry) -> bytes:
    """Entries in a tar archive, without its end."""
    whole = layer(list(entries), "none").data
    return whole.rstrip(b"\0") + bytes(-len(whole.rstrip(b"\0")) % 512)


def binary(data: bytes, path: str = "otelcol-contrib", mode: int = 0o755) -> Image:
    """A collector image with this program."""
    return images.collector(layer([Entry(path, data, mode)]))


IN_A_FOLDER = [Entry("usr/bin/otelcol", program(), 0o755)]
SHARED = [Entry("otelcol-contrib", program(), 0o755), Entry("etc/passwd", b"x")]
ALONE = archive(SHARED[0])
CUT = archive(Entry("otelcol-contrib", program(100_000), 0o755))[:-512]
MORE = archive(SHARED[1])
LINKED = [
    Entry("bin", kind="symlink", target="usr/bin"),
    Entry("usr/bin/otelcol", kind="symlink", target="../lib/otelcol/run"),
    Entry("usr/lib/otelcol/run", program(), 0o755),
]


@pytest.mark.parametrize(
    ("layers", "path"),
    [
        ([layer(IN_A_FOLDER)], "/usr/bin/otelcol"),
        ([layer(SHARED)], "/otelcol-contrib"),
        ([layer(LINKED)], "/bin/otelcol"),
        ([layer(LINKED[1:]), layer(LINKED[:1])], "/bin/otelcol"),
        ([layer([Entry("otelcol-contrib", program(), 0o700)])], "/otelcol-contrib"),
        ([layer([Entry("otelcol-contrib", program(), 0o755)], "zstd")], "/otelcol-contrib"),
        ([lying_layer(ALONE + MORE, bytes(len(ALONE) + 1024))], "/otelcol-contrib"),
        ([lying_layer(ALONE, MORE + bytes(1024))], "/otelcol-contrib"),
        ([lying_layer(ALONE + bytes(1024) + MORE)], "/otelcol-contrib"),
        ([layer([Entry("otelcol-contrib", program(), 0o4755)])], "/otelcol-contrib"),
        ([replace(layer(SHARED[:1], "zstd"), compression="gzip")], "/otelcol-contrib"),
    ],
    ids=[
        *("in a folder", "shared", "linked", "links above", "not for everyone", "zstd"),
        *("zeros in another member", "more in another member", "more behind the end"),
        *("setuid", "zstd under another name"),
    ],
)
def test_a_binary_that_cannot_be_mounted_is_packed_into_a_layer_of_its_own(
    shop: Shop, layers: list[Layer], path: str
) -> None:
    bundle = layer([Entry("etc/ssl/certs/ca-certificates.crt", images.CA_BUNDLE)])
    image = Image([bundle, *layers], {"Entrypoint": [path]}, family="oci")
    reference = shop.upstream(image)
    prepared = shop.prepare(reference)
    assert prepared.binary_path == "/otelembed/collector"
    part = prepared.layers[0]
    assert part.descriptor.compression == "gzip"
    data = b"".join(shop.client.stream_blob(REPOSITORY, part.descriptor.digest))
    assert len(data) == part.descriptor.size
    assert Digest.of(gzip.decompress(data)) == part.diff_id
    with tarfile.open(fileobj=io.BytesIO(data)) as tar:
        assert [(i.name, i.mode, i.uid, i.mtime) for i in tar] == [
            ("otelembed", 0o755, 0, 0),
            ("otelembed/collector", 0o755, 0, 0),
        ]
        found = tar.extractfile("otelembed/collector")
        assert found is not None
        assert found.read() == program()
    assert shop.find(reference) == prepared


@pytest.mark.parametrize("packing", ["none", "gzip"], ids=["uncompressed", "padded"])
def test_a_layer_with_the_binary_alone_is_mounted(shop: Shop, packing: Compression) -> None:
    image = images.collector(layer([Entry("otelcol-contrib", program(1_500_000), 0o755)], packing))
    assert_prepared(shop.client, shop.prepare(shop.upstream(image)), image)


def test_the_certificates_of_other_distributions_are_found(shop: Shop) -> None:
    fedora = layer([Entry("etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", images.CA_BUNDLE)])
    image = Image([fedora, images.collector().layers[1]], {"Entrypoint": ["/otelcol-contrib"]})
    reference = shop.upstream(image)
    prepared = shop.prepare(reference)
    assert prepared.layers[1].descriptor.digest == make_ca_layer(images.CA_BUNDLE).digest


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (images.collector(bundle=None), r"lacks a CA bundle"),
        (images.collector(images.program("usr/bin/other", 100)), r"lacks the binary"),
        (binary(program(loader=LOADER)), r"dynamically linked \(it needs /lib64/ld-linux"),
        (binary(program(machine=183)), r"program for arm64"),
        (binary(b"#!/bin/sh\nexec /otelcol\n"), r"starts a script"),
        (binary(b"nothing at all"), r"not a Linux program"),
        (
            images.collector(lying_layer(ALONE + bytes(1024), diff_id=f"sha256:{'1' * 64}")),
            r"doesn't unpack to the diff_id",
        ),
        (images.collector(lying_layer(CUT)), r"ends in the middle of a file"),
        (binary(program(), "../otelcol-contrib"), r"a path that leads out of it"),
        (binary(program(), "usr/../../otelcol-contrib"), r"a path that leads out of it"),
        (Image([images.shell()], {"Entrypoint": ["otelcol"]}), r"absolute path"),
        (images.collector(arch="arm64"), r"no entry for linux/amd64"),
    ],
)
def test_a_collector_image_that_cannot_be_used_is_refused(
    shop: Shop, image: Image, told: str
) -> None:
    reference = shop.upstream(image)
    with pytest.raises(Refused, match=told) as refusal:
        shop.prepare(reference)
    assert str(reference) in refusal.value.message
    assert shop.find(reference) is None


def test_a_collector_that_does_not_exist_is_named(registries: Registries, tag: str) -> None:
    reference = Reference(registries.hub, "otel/no-such", tag)
    for options in ({}, {"importer": partial(images.importer, registries)}):
        found: Any = options
        with pytest.raises(NotFound) as missing:
            prepare_collector(registries.owner(), reference, registries.anonymous(), **found)
        assert f"otel/no-such:{tag}" in missing.value.message


def test_a_source_out_of_reach_is_imported_all_the_same(registries: Registries, tag: str) -> None:
    reference = images.upstream(registries, tag)
    docker = Reference("docker.io", COLLECTOR, tag)
    unreachable = registries.client("no-such-registry.invalid")
    client = registries.owner()
    prepared = prepare_collector(client, docker, unreachable, partial(images.importer, registries))
    assert prepared.upstream.registry == "docker.io"
    assert str(prepared.digest) == images.collector().digest
    assert reference.tag == tag


def test_neither_import_nor_copy_says_both_reasons(registries: Registries, tag: str) -> None:
    def refuse(_: Reference, __: str) -> None:
        raise Unauthorized("importImage is not allowed.")

    docker = Reference("docker.io", COLLECTOR, tag)
    unreachable = registries.client("no-such-registry.invalid")
    with pytest.raises(RegistryFailed) as failure:
        prepare_collector(registries.owner(), docker, unreachable, refuse)
    assert "can't be resolved" in failure.value.message
    assert "importImage is not allowed" in failure.value.message


def delete(registries: Registries, *tags: str) -> None:
    """Remove a prepared collector."""
    client = registries.owner()
    digest = client.get_manifest(REPOSITORY, tags[0]).digest
    from azext_otelembed.registry.policies import RequestOptions
    from azext_otelembed.registry.scope import Scope

    terms = RequestOptions("a manifest", (Scope(REPOSITORY, frozenset({"delete"})),))
    answer = client.http.send("DELETE", f"/v2/{REPOSITORY}/manifests/{digest}", terms)
    assert answer.status == 202


COLLECTOR = images.COLLECTOR
