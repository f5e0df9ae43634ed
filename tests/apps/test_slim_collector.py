"""The collector of docs/examples/slim-collector.yaml: what is in it, and a release with it."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from azext_otelembed.collector import config as collector_config
from localazure.client import ROOT
from localazure.images import build, contents, slim, toolchain
from localazure.images.assemble import Entry, Image, layer, write_layout
from tests.apps.test_apps_page import rows
from tests.e2e import images
from tests.e2e.support import IMAGES, Site, eventually

KINDS = ("receivers", "processors", "exporters", "extensions")
MANIFEST = yaml.safe_load(slim.MANIFEST.read_text())
PAGE = (ROOT / "docs" / "slim-collector.md").read_text()
PACKAGES = {
    "memory_limiter": "memorylimiterprocessor",
    "resource": "resourceprocessor",
    "health_check": "healthcheckextension",
}
"""The modules whose names are not just the component's type and its kind."""


def test_the_manifest_has_the_components_of_the_default_configuration_and_no_other() -> None:
    default = yaml.safe_load(collector_config.default())
    for kind in KINDS:
        modules = {each["gomod"].split()[0].rpartition("/")[2] for each in MANIFEST[kind]}
        wanted = {PACKAGES.get(name, f"{name}{kind[:-1]}") for name in default[kind]}
        assert modules == wanted


def test_all_its_versions_are_of_the_release_of_the_test_collector() -> None:
    used = (toolchain.SOURCES / "collector" / "go.mod").read_text()
    assert MANIFEST["dist"]["version"] == contents.COLLECTOR_VERSION
    for kind in (*KINDS, "providers"):
        for each in MANIFEST[kind]:
            # azuremonitorexporter is the one module that the test collector doesn't have.
            beta = each["gomod"].endswith(f" v{contents.COLLECTOR_VERSION}")
            assert each["gomod"] in used or (slim.EXPORTER in each["gomod"] and beta)


def test_the_page_builds_with_the_builder_of_that_version() -> None:
    assert f"cmd/builder@v{contents.COLLECTOR_VERSION}" in PAGE
    name = MANIFEST["dist"]["name"]
    assert f'ENTRYPOINT ["/{name}"]' in PAGE
    assert f"/build/build/{name} " in PAGE


@pytest.fixture(scope="module")
def program() -> Path:
    """The slim collector's program, built by the Collector Builder."""
    return build.slim_binary(ROOT / ".local")


@pytest.mark.thorough(minutes=3)
@pytest.mark.timeout(900)  # the first one compiles it
def test_it_accepts_the_default_configuration(program: Path, tmp_path: Path) -> None:
    file = tmp_path / "config.yml"
    file.write_bytes(collector_config.default())
    key = "00000000-0000-0000-0000-00000000abcd"
    string = f"InstrumentationKey={key};IngestionEndpoint=https://localhost:1/"
    done = subprocess.run(
        [program, "validate", f"--config={file}"],
        env={"APPLICATIONINSIGHTS_CONNECTION_STRING": string},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.thorough(minutes=3)
@pytest.mark.timeout(900)  # the first one compiles it
def test_telemetry_arrives_through_it(
    make_site: Callable[..., Site], program: Path, tmp_path: Path
) -> None:
    site = make_site()
    bundle, *_ = images.read(IMAGES / "collector")[0]
    found = re.findall(r'^ENTRYPOINT \["/([^"]+)"\]', PAGE, re.MULTILINE)
    binary = layer([Entry(found[0], program.read_bytes(), 0o755)], level=1)
    write_layout(tmp_path, Image([bundle, binary], {"Entrypoint": [f"/{found[0]}"]}), "0.150.0")
    site.cloud.push("otelcol-slim", "0.150.0", tmp_path)
    answer = site.deploy(
        *("--collector-image", f"{site.host}/otelcol-slim:0.150.0"),
        *("--wait-for-telemetry", "60", "--require-telemetry"),
    )
    assert answer.returncode == 0, answer.show()
    site.get("/spans?n=3")
    eventually(lambda: rows(site)["RequestData"])
