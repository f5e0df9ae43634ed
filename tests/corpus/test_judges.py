"""The corpus, embedded, as strangers see it: crane, skopeo, umoci and a Docker engine."""

from __future__ import annotations

from pathlib import Path

import pytest

from azext_otelembed.image.launcher import NAME, SHELL
from localazure.client import LocalAzure
from tests.corpus.bases import Case
from tests.corpus.conftest import Corpus
from tests.corpus.facts import COLLECTOR, parse
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
        run_by_docker(case, image, request.getfixturevalue("docker_engine"))


def run_by_docker(case: Case, image: str, engine: Engine) -> None:
    """Pulled by a real engine, and run on its overlay2."""
    engine.pull(image)
    said = engine.run("run", "--rm", "--network", "host", "--env", "ONCE=1", image).stdout
    facts = parse(said)
    assert facts.pid == 1
    assert facts.words == tuple(case.words)
    assert (facts.uid, facts.gid, facts.cwd) == (case.uid, case.gid, case.cwd)
    assert facts.prepared is case.prepared
    assert facts.collectors == [COLLECTOR]
