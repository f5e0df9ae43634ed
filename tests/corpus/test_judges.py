"""The corpus, embedded, as strangers see it: crane, skopeo, umoci and a Docker engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from azext_otelembed.image.embed import MAX_LAYERS
from azext_otelembed.image.launcher import NAME, SHELL
from localazure.client import LocalAzure
from tests.corpus.bases import Case, many
from tests.corpus.conftest import Corpus
from tests.corpus.facts import COLLECTOR, on_engine
from tests.corpus.judges import Judges
from tests.engine import Engine


@pytest.fixture
def judges(tmp_path: Path, azure: LocalAzure) -> Judges:
    return Judges(tmp_path, azure.ca)


def test_an_embedded_image_is_well_formed(
    case: Case, judge: str, corpus: Corpus, judges: Judges, request: pytest.FixtureRequest
) -> None:
    image, embedded = corpus.name(case), corpus.embedded(case)
    if judge == "crane":
        judges.crane(image, str(embedded.digest))
    elif judge == "skopeo":
        assert judges.skopeo(image, str(embedded.digest)) == embedded.config.document
    elif judge == "umoci":
        root, starts = judges.umoci(image)
        assert (root / "otelembed/otelcol").readlink() == Path("/otelcol-contrib")
        assert (root / "otelembed/config.yml").is_file()
        assert starts == [*embedded.config.entrypoint, *embedded.config.cmd]
        assert starts[:2] == [SHELL, "-c"]
        assert starts[3] == NAME
    else:
        run_by_docker(case, corpus, request.getfixturevalue("docker_engine"))


def run_by_docker(case: Case, corpus: Corpus, engine: Engine) -> None:
    """Pulled by a real engine, and run on its overlay2, where nothing of the base has changed."""
    base = on_engine(engine, corpus.base_name(case))
    facts = on_engine(engine, corpus.name(case))
    facts.check(case)
    assert facts.collectors == [COLLECTOR]
    assert facts.paths_less("otelembed", "otelcol-contrib") == base.paths


@pytest.mark.thorough
def test_docker_runs_as_many_layers_as_an_embed_may_have_and_not_one_more(
    corpus: Corpus, docker_engine: Engine
) -> None:
    most = str(corpus.push("corpus/layers", "most", many(MAX_LAYERS)))
    on_engine(docker_engine, most)
    more = str(corpus.push("corpus/layers", "more", many(MAX_LAYERS + 1)))
    refused = docker_engine.run("pull", more, check=False)
    assert refused.returncode == 1
    assert "max depth exceeded" in refused.stderr
