from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from azext_otelembed.collector import config as collector_config
from azext_otelembed.embedding.base_images import load_base, resolve
from azext_otelembed.embedding.prepare_collector import find_prepared, prepare_collector
from azext_otelembed.embedding.push import push_embedded
from azext_otelembed.errors import NotFound, Refused, Unauthorized
from azext_otelembed.image.embed import Embedded, embed
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.prepared_collector import REPOSITORY, PreparedCollector
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.progress import Progress
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.scope import pull, push
from localazure.images.assemble import Entry, Image, Layer, layer
from tests.registry import images
from tests.registry.conftest import PULLER, Registries, blob

CONFIG = collector_config.default()
RUN = {"created_by": "RUN /bin/sh -c apt-get update # buildkit"}


@pytest.fixture
def collector(registries: Registries) -> PreparedCollector:
    """The one collector of these tests, in the shop's registry."""
    reference = Reference(registries.hub, images.COLLECTOR, "1.150.0")
    client = registries.owner()
    if (found := find_prepared(client, reference)) is not None:
        return found
    images.upstream(registries, "1.150.0")
    return prepare_collector(client, reference, registries.anonymous())


EmbedIn = Callable[..., Embedded]


@pytest.fixture
def embed_in(
    registries: Registries, name: str, collector: PreparedCollector, client: RegistryClient
) -> EmbedIn:
    """Pushes an app image, and embeds the collector in it; the result isn't pushed yet."""

    def embed_in(image: Image, config: bytes = CONFIG, reader: RegistryClient = client) -> Embedded:
        base = load_base(reader, images.push(registries, name, "1.0", image))
        return embed(base, collector, config, Launcher())

    return embed_in


@pytest.fixture
def embedded(embed_in: EmbedIn) -> Embedded:
    """The collector embedded in an app image with a shell."""
    return embed_in(images.app())


def is_stored(client: RegistryClient, embedded: Embedded) -> bool:
    """Whether the registry holds this very image under its tag: one request."""
    name = embedded.reference
    stored = client.head_manifest(name.repository, name.tag or embedded.digest)
    return stored is not None and stored.digest == embedded.digest


def test_an_embedded_image_is_whole_in_the_registry(
    name: str, client: RegistryClient, embedded: Embedded
) -> None:
    seen: list[Progress] = []
    assert not is_stored(client, embedded)
    push_embedded(client, embedded, seen.append)
    assert is_stored(client, embedded)
    stored = client.get_manifest(name, str(embedded.reference.tag))
    assert (stored.digest, stored.data) == (embedded.digest, embedded.manifest.data)
    document = json.loads(stored.data)
    for part in (document["config"], *document["layers"]):
        content = b"".join(client.stream_blob(name, Digest.parse(part["digest"])))
        assert len(content) == part["size"]
    assert seen


def test_one_embed_costs_twelve_requests_and_a_few_kilobytes(
    registries: Registries, name: str, collector: PreparedCollector, client: RegistryClient
) -> None:
    """With the collector prepared; the base has 40 MB and is neither read nor sent."""
    large = layer([Entry("data", blob(40_000_000, seed=77)[1])], "none")
    image = images.app(images.shell(), images.program(), large, document={"history": [RUN]})
    reference = images.push(registries, name, "1.0", image)
    mark = registries.azure.mark()
    client.declare_scopes(push(name), pull(REPOSITORY))
    base = load_base(client, reference)
    found = find_prepared(client, collector.upstream)
    assert found is not None
    push_embedded(client, embed(base, found, CONFIG, Launcher()))
    records = registries.since(mark)
    asked = [f"{r['method']} {r['path'].split('/')[-2]} {r['status']}" for r in records]
    assert len(asked) == 12, asked
    assert sum(r["sent"] for r in records) < 16_000
    assert sum(r["received"] for r in records) < 32_000


def test_another_configuration_costs_one_request_more(
    registries: Registries, name: str, client: RegistryClient, embed_in: EmbedIn
) -> None:
    client.declare_scopes(push(name), pull(REPOSITORY))
    mark = registries.azure.mark()
    push_embedded(client, embed_in(images.app(document={"history": [RUN]}), CONFIG + b"\n# ours\n"))
    # Thirteen, less the one that finds the collector, which this test has at hand.
    assert len(registries.since(mark)) == 12


def test_what_is_there_already_is_not_written_again(
    registries: Registries, name: str, client: RegistryClient, embed_in: EmbedIn
) -> None:
    push_embedded(client, embed_in(images.app()))
    fresh = registries.owner()
    fresh.declare_scopes(push(name), pull(REPOSITORY))
    mark = registries.azure.mark()
    assert is_stored(fresh, embed_in(images.app(), reader=fresh))
    records = registries.since(mark)
    assert len(records) == 6  # two for the token, three for the base, one for the tag
    assert {r["method"] for r in records if not r["path"].startswith("/oauth2")} == {"GET", "HEAD"}


def test_a_prepared_collector_whose_layers_are_gone_is_named(
    registries: Registries, client: RegistryClient, embedded: Embedded
) -> None:
    registries.azure.fault(service="acr", path="/otelembed/collector/blobs/", status=404, times=0)
    incomplete = pytest.raises(NotFound, match=r"collector in registry .* is incomplete")
    with registries.without_mounts(), incomplete as missing:
        push_embedded(client, embedded)
    assert "az acr repository delete" in str(missing.value.recommendation)


def test_doing_it_twice_does_no_harm(client: RegistryClient, embedded: Embedded) -> None:
    for _ in range(2):
        push_embedded(client, embedded)
    assert is_stored(client, embedded)


def test_a_registry_that_does_not_mount_gets_copies(
    registries: Registries, client: RegistryClient, embedded: Embedded
) -> None:
    with registries.without_mounts():
        push_embedded(client, embedded)
    assert is_stored(client, embedded)


@pytest.mark.parametrize("nth", range(1, 9))
@pytest.mark.parametrize("fault", [{"reset": True}, {"reset_after": True}, {"status": 503}])
def test_any_single_failure_on_the_way_is_survived(
    registries: Registries, fault: Any, nth: int, client: RegistryClient, embedded: Embedded
) -> None:
    registries.azure.fault(service="acr", nth=nth, **fault)
    push_embedded(client, embedded)
    assert is_stored(client, embedded)


def test_who_may_only_pull_is_told_what_is_missing(
    registries: Registries, name: str, embed_in: EmbedIn
) -> None:
    puller = registries.principal(PULLER)
    with pytest.raises(Unauthorized, match=f"push to '{name}'"):
        push_embedded(puller, embed_in(images.app(), reader=puller))


def test_a_base_is_taken_from_an_index(registries: Registries, name: str) -> None:
    other = Image([images.program()], {}, platform=("linux", "arm64"))
    reference = images.push(registries, name, "1.0", other, images.app())
    client = registries.owner()
    base = load_base(client, reference)
    assert str(base.digest) == images.app().digest
    assert base.reference == reference
    assert base.config.entrypoint == ("/app/shop",)
    assert resolve(client, reference) == base.digest
    assert resolve(client, replace(reference, digest=base.digest)) == base.digest


def test_a_base_for_another_platform_is_refused(registries: Registries, name: str) -> None:
    arm = images.app(platform=("linux", "arm64"))
    images.push(registries, name, "1.0", arm, images.app(platform=("linux", "s390x")))
    with pytest.raises(Refused, match=r"linux/amd64.*linux/arm64") as refusal:
        load_base(registries.owner(), Reference(registries.shop, name, "1.0"))
    assert name in refusal.value.message


def test_a_base_that_is_not_there_is_named(registries: Registries, name: str) -> None:
    missing = Reference(registries.shop, name, "9.9")
    client = registries.owner()
    for ask in (load_base, resolve):
        with pytest.raises(NotFound, match=f"{name}:9.9"):
            ask(client, missing)


def test_a_base_without_a_shell_is_refused_before_anything_is_written(
    registries: Registries, name: str, client: RegistryClient, embed_in: EmbedIn
) -> None:
    other = layer([Entry("etc/shadow", b""), Entry("usr/bin/bash")])
    embedded = embed_in(images.app(images.program(), other))
    mark = registries.azure.mark()
    with pytest.raises(Refused, match=r"has no /bin/sh") as refusal:
        push_embedded(client, embedded)
    assert f"{name}:1.0" in refusal.value.message
    assert {r["method"] for r in registries.since(mark)} == {"GET"}


@pytest.mark.parametrize(
    "found",
    [
        layer([Entry("bin/sh", b"x", 0o755)]),
        layer([Entry("usr/bin/sh", b"x", 0o755), Entry("bin", kind="symlink", target="usr/bin")]),
        layer([Entry("bin", kind="symlink", target="/usr/bin"), Entry("usr/bin/sh", b"x", 0o755)]),
        layer([Entry("./bin/sh", kind="symlink", target="/bin/busybox")]),
        layer([Entry("bin/sh", b"x", 0o755)], "none"),
    ],
)
def test_a_shell_is_found_in_the_layers(
    client: RegistryClient, embed_in: EmbedIn, found: Layer
) -> None:
    push_embedded(client, embed_in(images.app(images.program(), found)))


def test_a_shell_in_the_first_layer_costs_two_requests(
    registries: Registries, client: RegistryClient, embed_in: EmbedIn
) -> None:
    big = Entry("usr/lib/big", blob(3_000_000, seed=78)[1])
    large = layer([Entry("bin/sh", b"x", 0o755), big], "none")
    embedded = embed_in(images.app(large, images.program()))
    mark = registries.azure.mark()
    push_embedded(client, embedded)
    reads = [r for r in registries.since(mark) if r["method"] == "GET"]
    assert [r["service"] for r in reads] == ["acr", "blob"]


def test_layers_that_cannot_be_read_are_given_the_benefit_of_the_doubt(
    client: RegistryClient, embed_in: EmbedIn
) -> None:
    noise = b"this is no tar archive" * 100
    diff_id = f"sha256:{hashlib.sha256(noise).hexdigest()}"
    squeezed = Layer(gzip.compress(noise, mtime=0), "gzip", diff_id, "COPY . . # test")
    push_embedded(client, embed_in(images.app(squeezed, images.program(), family="oci")))
