"""`az otelembed config validate`: its result, its exit status, and that it asks nobody."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.refusal_places import CONFIGURATION
from tests.e2e.support import Cloud

WRONG = CONFIGURATION.replace("exporters: [", "procesors: []\n      exporters: [").replace(
    "    azuremonitor: {}", "    azuremonitor: {}\n    logging:"
)


def test_errors_have_their_line_path_and_advice_and_end_with_status_1(
    cloud: Cloud, tmp_path: Path
) -> None:
    file = tmp_path / "shop.yml"
    file.write_text(WRONG)
    answer = cloud.otelembed("config", "validate", str(file))
    assert answer.returncode == 1, answer.show()
    assert answer.requests == []
    assert answer.json["valid"] is False
    logging, unknown = answer.json["errors"]
    assert logging == {
        "file": str(file),
        "line": 5,
        "path": "exporters::logging",
        "message": "opentelemetry-collector-contrib 0.150.0 has no exporter 'logging'.",
        "advice": "Release 0.110.0 was the last one with it. Use debug.",
    }
    assert unknown["line"] == 10
    assert unknown["path"] == "service::pipelines::traces::procesors"
    assert f"{file}:10: error: the key 'procesors' is unknown" in answer.stderr
    assert "Did you mean 'processors'?" in answer.stderr
    assert f"{file}: warning: Telemetry of 'traces'" in answer.stderr


def test_warnings_are_in_the_result_and_leave_status_0(cloud: Cloud, tmp_path: Path) -> None:
    file, more = tmp_path / "shop.yml", tmp_path / "more.yml"
    file.write_text(CONFIGURATION)
    more.write_bytes("exporters: {acme: }\n".encode("utf-16"))
    command = ("config", "validate", str(file), str(more))
    other = cloud.otelembed(*command, "--collector-image", "acme.azurecr.io/otelcol:1.0")
    assert other.returncode == 0, other.show()
    assert other.json["valid"] is True
    assert other.json["typesKnown"] is False
    acme = next(one for one in other.json["warnings"] if one["path"] == "exporters::acme")
    assert (acme["file"], acme["line"]) == (str(more), 1)
    assert cloud.otelembed(*command, "-o", "none").returncode == 1


def test_build_makes_the_same_check_before_it_asks_for_anything(
    cloud: Cloud, tmp_path: Path
) -> None:
    file = tmp_path / "shop.yml"
    file.write_text(WRONG)
    image = "shop.azurecr.io/shop:1.0"
    answer = cloud.otelembed("build", "--image", image, "--collector-config", str(file))
    assert answer.returncode == 1, answer.show()
    assert answer.requests == []
    assert f"'{file}': line 5: " in answer.stderr
    assert f"`az otelembed config validate {file}` lists 1 more error." in answer.stderr
