"""Collector images that are laid out in other ways, embedded, run, and put before a judge."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from azext_otelembed.collector import config as collector_config
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.embedding.push import push_embedded
from azext_otelembed.image.embed import Embedded, embed
from azext_otelembed.image.launcher import Launcher
from localazure.client import LocalAzure
from localazure.images.assemble import Entry, Image, Layer, layer
from tests.corpus.bases import image
from tests.corpus.conftest import Corpus
from tests.corpus.facts import COLLECTOR
from tests.corpus.judges import Judges
from tests.corpus.test_running import on_a_site
from tests.programs import program

FILE = "usr/lib/otelcol/run"
LINKS = [
    Entry("bin", kind="symlink", target="usr/bin"),
    Entry("usr/bin/otelcol", kind="symlink", target="../lib/otelcol/run"),
]
VARIANTS: dict[str, tuple[str, Sequence[Layer]]] = {
    "in-a-folder": ("/usr/bin/otelcol", [layer([Entry("usr/bin/otelcol", program(), 0o755)])]),
    "in-a-shared-layer": (
        "/otelcol-contrib",
        # The app's own: what lies beside the binary must not come along.
        [layer([Entry("otelcol-contrib", program(), 0o755), Entry("app/facts", b"other")])],
    ),
    "behind-links": (
        "/bin/otelcol",
        [layer([Entry(FILE, program(), 0o755)]), layer(LINKS[1:]), layer(LINKS[:1])],
    ),
}


@dataclass(frozen=True)
class Carried:
    """A base with a collector of one of the variants. `name` is for other tools."""

    id: str
    name: str
    embedded: Embedded


@pytest.fixture(scope="module", params=VARIANTS)
def carried(request: pytest.FixtureRequest, corpus: Corpus) -> Carried:
    path, layers = VARIANTS[request.param]
    bundle = layer([Entry("etc/ssl/certs/ca-certificates.crt", b"no certificates\n")])
    collector = corpus.prepare(
        Image([bundle, *layers], {"Entrypoint": [path]}), f"0.1.0-{request.param}"
    )
    repository = f"collectors/{request.param}"
    base = load_base(corpus.client, corpus.push(repository, "1", image()))
    embedded = embed(base, collector, collector_config.default(), Launcher())
    push_embedded(corpus.client, embedded)
    name = f"{corpus.host}/{repository}:{embedded.reference.tag}"
    return Carried(request.param, name, embedded)


def test_the_app_runs_with_a_collector_from_anywhere(azure: LocalAzure, carried: Carried) -> None:
    facts = on_a_site(azure, f"with-{carried.id}", carried.name)
    assert facts.pid == 1
    assert facts.words == ("one", "two words")
    assert facts.collectors == [COLLECTOR]


def test_a_collector_from_anywhere_makes_a_well_formed_image(
    azure: LocalAzure, carried: Carried, tmp_path: Path
) -> None:
    Judges(tmp_path, azure.ca).crane(carried.name, str(carried.embedded.digest))


def test_a_collector_from_anywhere_is_where_its_link_leads(
    azure: LocalAzure, carried: Carried, tmp_path: Path
) -> None:
    root, _ = Judges(tmp_path, azure.ca).umoci(carried.name)
    link = (root / "otelembed/otelcol").readlink()
    assert link.is_absolute()
    assert (root / link.relative_to("/")).read_bytes() == program()
    assert (root / "app/facts").read_bytes() != b"other"
