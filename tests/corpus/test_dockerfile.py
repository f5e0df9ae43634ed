"""The corpus as the base of the Dockerfile that `az otelembed dockerfile` prints, really built."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from azext_otelembed.collector import config as collector_config
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.dockerfile_template import (
    CONFIG_FILE,
    DOCKERFILE_BINARY,
    App,
    make_dockerfile,
)
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.reference import Reference
from azext_otelembed.release.dockerfile import app_of
from tests.corpus.bases import Case
from tests.corpus.conftest import COLLECTOR, HUB, VERSION, Corpus
from tests.corpus.facts import on_engine
from tests.engine import Engine

OURS = ("usr", "otelembed", "otelcol", "otel-collector-config.yml")
WITHOUT_COLLECTOR = ("--volume", f"/dev/null:{DOCKERFILE_BINARY}:ro")
DELICATE = ("docker", "rails", "bin-is-a-link", "usr-bin-is-a-link", "etc-is-a-link", "odd-modes")
"""Those with folders of their own; they are run without the collector, too."""


def test_what_it_builds_does_as_the_embed_does(
    buildable: Case, corpus: Corpus, docker_engine: Engine, tmp_path: Path
) -> None:
    image = built(buildable, corpus, docker_engine, tmp_path)
    facts = on_engine(docker_engine, image)
    facts.check(buildable)
    assert facts.collectors == [DOCKERFILE_BINARY]
    if buildable.id in DELICATE:
        # COPY follows links, and leaves a folder that is there as it is.
        base = on_engine(docker_engine, corpus.base_name(buildable))
        found, before = facts.paths_less(*OURS), base.paths_less(*OURS)
        assert {path: found[path] for path in before} == before
        alone = on_engine(docker_engine, image, *WITHOUT_COLLECTOR)
        alone.check(buildable)
        assert alone.collectors == []


def built(case: Case, corpus: Corpus, engine: Engine, folder: Path) -> str:
    """The image that the engine makes of the Dockerfile."""
    app = app_of(load_base(corpus.client, corpus.base(case)))
    if case.unwrap:
        with pytest.raises(InvalidImage, match="already starts a collector"):
            dockerfile(corpus, app)
        app = replace(app, entrypoint=(), cmd=("/app/facts", *case.words))
    if case.nested:
        app = replace(app, name=corpus.base_name(case))
    (folder / "Dockerfile").write_text(dockerfile(corpus, app))
    (folder / CONFIG_FILE).write_bytes(collector_config.default())
    return engine.run("build", "--quiet", str(folder)).stdout.strip()


def dockerfile(corpus: Corpus, app: App) -> str:
    """As it is printed, with the corpus' collector."""
    corpus.collector()
    hub = Reference(corpus.azure.registries[HUB], COLLECTOR, VERSION)
    return make_dockerfile(hub, collector_config.default(), Launcher(), app)
