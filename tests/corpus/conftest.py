"""The corpus in a registry, embedded; and the engine that runs it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from azext_otelembed.collector import config as collector_config
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.embedding.prepare_collector import prepare_collector
from azext_otelembed.embedding.push import push_embedded
from azext_otelembed.image.embed import Base, Embedded, embed, original
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.prepared_collector import PreparedCollector
from azext_otelembed.image.reference import Reference
from azext_otelembed.registry.auth import AcrExchange, Anonymous
from azext_otelembed.registry.client import RegistryClient
from localazure.client import LocalAzure
from localazure.images.assemble import Entry, Image, layer, write_layout
from tests.corpus.bases import CASES, JUDGES, Case
from tests.engine import docker_engine
from tests.programs import program
from tests.selection import rest_is_thorough

__all__ = ["docker_engine"]

COLLECTOR = "otel/opentelemetry-collector-contrib"
VERSION = "0.150.0"
GROUP = "shop-rg"
SAMPLE = {
    *("docker", "oci-zstd", "cmd-in-shell-form", "entrypoint-script", "rails", "user-by-name"),
    *("whiteouts", "bin-is-a-link", "etc-is-a-link", "by-hand"),
}
"""Cases that differ most from each other, for what takes longest."""
REGISTRY = "corpusregistry"
HUB = "corpushub"
"""A public registry without the collector that other tests embed."""


@dataclass
class Corpus:
    """The registries, and what is embedded in them: each case once, when it is asked for."""

    azure: LocalAzure
    directory: Path
    client: RegistryClient
    hub: RegistryClient
    made: dict[str, Embedded] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return self.azure.registries[REGISTRY]

    def push(self, repository: str, tag: str, *images: Image, to: str = REGISTRY) -> Reference:
        """An image, or an index of several, in a registry."""
        layout = self.directory / to / repository.replace("/", "-")
        write_layout(layout, images[0] if len(images) == 1 else images, tag)
        self.azure.push(to, repository, tag, layout)
        return Reference(self.azure.registries[to], repository, tag)

    def base(self, case: Case) -> Reference:
        """The case's own image in the registry."""
        reference = self.push(f"corpus/{case.id}", "1", *case.images)
        return self.nest(reference) if case.nested else reference

    def nest(self, reference: Reference) -> Reference:
        """An index that lists the one of this name, and takes its tag over."""
        stored = self.client.get_manifest(reference.repository, reference.tag or "")
        entry = {
            "mediaType": stored.media_type,
            "size": len(stored.data),
            "digest": str(stored.digest),
        }
        document = {"schemaVersion": 2, "mediaType": stored.media_type, "manifests": [entry]}
        data = json.dumps(document).encode()
        tag = reference.tag or ""
        self.client.put_manifest(reference.repository, tag, data, stored.media_type)
        return reference

    def collector(self) -> PreparedCollector:
        """A collector in the registry: one that only waits."""
        return self.prepare(
            Image(
                [
                    layer([Entry("etc/ssl/certs/ca-certificates.crt", b"no certificates\n")]),
                    layer([Entry("otelcol-contrib", program(), 0o755)]),
                ],
                {"Entrypoint": ["/otelcol-contrib"]},
            )
        )

    def prepare(self, image: Image, tag: str = VERSION) -> PreparedCollector:
        """A collector image brought in from the hub."""
        reference = self.push(COLLECTOR, tag, image, to=HUB)
        return prepare_collector(self.client, reference, self.hub)

    def embed(self, reference: Reference, *, unwrap: bool = False) -> Embedded:
        """A collector embedded in an image of the registry, as the commands do it."""
        base: Base = original(load_base(self.client, reference))
        embedded = embed(
            base, self.collector(), collector_config.default(), Launcher(), unwrap=unwrap
        )
        push_embedded(self.client, embedded)
        return embedded

    def embedded(self, case: Case) -> Embedded:
        """The case, embedded."""
        if case.id not in self.made:
            self.made[case.id] = self.embed(self.base(case), unwrap=case.unwrap)
        return self.made[case.id]

    def name(self, case: Case) -> str:
        """What the embedded case is called, for other tools."""
        return f"{self.host}/corpus/{case.id}:{self.embedded(case).reference.tag}"

    def base_name(self, case: Case) -> str:
        """What its base is called, by digest: no engine looks into a nested index."""
        return f"{self.host}/corpus/{case.id}@{self.embedded(case).recipe.base}"


@pytest.fixture(scope="session")
def azure(local: LocalAzure) -> LocalAzure:
    """The worker's double, with two registries of the corpus."""
    local.add_registry({"name": REGISTRY, "group": GROUP, "anonymous_pull": True})
    local.add_registry({"name": HUB, "acr": False})
    return local


@pytest.fixture(scope="session")
def corpus(azure: LocalAzure, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    token = azure.token()
    trust = {"connection_verify": azure.ca}
    owner = AcrExchange(lambda: token, azure.tenant)
    shop, hub = azure.registries[REGISTRY], azure.registries[HUB]
    with (
        RegistryClient(shop, owner, transport=trust) as client,
        RegistryClient(hub, Anonymous(), transport=trust) as upstream,
    ):
        yield Corpus(azure, tmp_path_factory.mktemp("layouts"), client, upstream)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`case` is each base that can be embedded in, `refused` each that can't, `buildable` each that
    a Docker engine can build on.

    With `judge`, each case goes before each judge that can read it (`Case.blind` says why not).
    `make test` puts all before crane, and the cases of SAMPLE before all judges and the builder.
    """
    embedded = [case for case in CASES() if not case.refused]
    if "judge" in metafunc.fixturenames:
        both = [
            pytest.param(
                case,
                judge,
                id=f"{case}-{judge}",
                marks=() if judge == "crane" or case.id in SAMPLE else pytest.mark.thorough,
            )
            for case in embedded
            for judge in JUDGES
            if judge not in case.blind
        ]
        metafunc.parametrize(("case", "judge"), both)
    elif "buildable" in metafunc.fixturenames:
        unread = {"docker", "docker build"}
        buildable = [case for case in embedded if unread.isdisjoint(case.blind)]
        chosen = rest_is_thorough(buildable, lambda case: case.id in SAMPLE)
        metafunc.parametrize("buildable", chosen, ids=str)
    elif "case" in metafunc.fixturenames:
        metafunc.parametrize("case", embedded, ids=str)
    elif "refused" in metafunc.fixturenames:
        metafunc.parametrize("refused", [case for case in CASES() if case.refused], ids=str)
