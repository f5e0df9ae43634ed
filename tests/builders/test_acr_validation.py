"""`--validate acr`: a run of ACR Tasks validates, here the double's with a real engine."""

from __future__ import annotations

from pathlib import Path

from tests.builders.support import Builds
from tests.e2e.refusal_places import CONFIGURATION
from tests.e2e.support import REGISTRY


def test_the_collector_of_the_registry_validates_in_a_run_that_pushes_nothing(
    builds: Builds, tmp_path: Path
) -> None:
    builds.cloud.local.engine(Path(builds.engine.host.removeprefix("unix://")))
    prepared = builds.cloud.otelembed("build", "--image", builds.base())
    assert prepared.returncode == 0, prepared.show()
    right, wrong = tmp_path / "right.yml", tmp_path / "wrong.yml"
    right.write_text(CONFIGURATION)
    wrong.write_text("extensions: {health_check: {responce_body: '{}'}}\n")
    command = ("config", "validate", "--registry", REGISTRY, "--validate", "acr")
    answer = builds.cloud.otelembed(*command, str(right))
    assert answer.returncode == 0, answer.show()
    assert answer.json["otelcol"]["where"] == "acr"
    assert answer.json["otelcol"]["run"].startswith("ca")
    refused = builds.cloud.otelembed(*command, str(right), str(wrong))
    assert refused.returncode == 1, refused.show()
    (error,) = refused.json["errors"]
    assert "responce_body" in error["message"]
    assert error["file"] == str(wrong)


def test_a_run_that_does_not_come_to_the_collector_is_no_verdict(
    builds: Builds, tmp_path: Path
) -> None:
    builds.cloud.local.engine(None)
    file = tmp_path / "right.yml"
    file.write_text(CONFIGURATION)
    command = ("config", "validate", str(file), "--registry", REGISTRY, "--validate", "acr")
    answer = builds.cloud.otelembed(*command)
    assert answer.returncode == 1, answer.show()
    assert "no container engine to build with" in answer.stderr
    assert "az acr task logs" in answer.stderr
