"""The products of `python -m localazure.images`, and when they are built again."""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

from localazure.images import build, shell, toolchain
from localazure.images.errors import BuildError
from tests.localazure.images_support import LOCAL


def blob(layout: Path, digest: str) -> bytes:
    return layout.joinpath("blobs", *digest.split(":")).read_bytes()


def document(layout: Path, digest: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(blob(layout, digest))
    return found


def tagged(layout: Path, tag: str) -> dict[str, Any]:
    (entry,) = json.loads((layout / "index.json").read_bytes())["manifests"]
    assert entry["annotations"]["org.opencontainers.image.ref.name"] == tag
    return document(layout, entry["digest"])


def members(layout: Path, digest: str) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(blob(layout, digest))) as tar:
        return {member.name: member for member in tar.getmembers()}


def content(layout: Path, digest: str, path: str) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(blob(layout, digest))) as tar:
        file = tar.extractfile(path)
        assert file
        return file.read()


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    path.write_text("-----BEGIN CERTIFICATE-----\nlocalazure\n-----END CERTIFICATE-----\n")
    return path


@pytest.fixture(scope="module")
def collector(tmp_path_factory: pytest.TempPathFactory, ca: Path) -> Path:
    layout = tmp_path_factory.mktemp("collector") / "layout"
    assert build.collector(LOCAL, layout, ca)
    return layout


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    layout = tmp_path_factory.mktemp("app") / "layout"
    assert build.app(LOCAL, layout)
    return layout


def test_the_collector_is_a_docker_manifest_list_of_two_platforms(collector: Path) -> None:
    index = tagged(collector, "0.150.0")
    assert index["mediaType"] == "application/vnd.docker.distribution.manifest.list.v2+json"
    platforms = [each["platform"]["architecture"] for each in index["manifests"]]
    assert platforms == ["amd64", "arm64"]


def test_the_collector_image_has_the_layout_of_upstream(collector: Path, ca: Path) -> None:
    manifest = document(collector, tagged(collector, "0.150.0")["manifests"][0]["digest"])
    config = document(collector, manifest["config"]["digest"])["config"]
    assert config["User"] == "10001"
    assert config["Entrypoint"] == ["/otelcol-contrib"]
    assert config["Cmd"] == ["--config", "/etc/otelcol-contrib/config.yaml"]
    certificates, program, settings = (each["digest"] for each in manifest["layers"])
    bundle = content(collector, certificates, "etc/ssl/certs/ca-certificates.crt")
    assert bundle.endswith(ca.read_bytes())
    assert bundle.count(b"BEGIN CERTIFICATE") > 50
    assert list(members(collector, program)) == ["otelcol-contrib"]
    assert members(collector, program)["otelcol-contrib"].mode == 0o755
    assert "etc/otelcol-contrib/config.yaml" in members(collector, settings)


def test_the_collectors_default_configuration_is_valid(collector: Path, tmp_path: Path) -> None:
    manifest = document(collector, tagged(collector, "0.150.0")["manifests"][0]["digest"])
    config = tmp_path / "config.yaml"
    settings = manifest["layers"][2]["digest"]
    config.write_bytes(content(collector, settings, "etc/otelcol-contrib/config.yaml"))
    binary = build.collector_binary(LOCAL)
    subprocess.run([str(binary), "validate", f"--config={config}"], check=True)


def test_the_app_image_has_an_entrypoint_that_executes_its_command(app: Path) -> None:
    manifest = tagged(app, "1.0")
    assert manifest["mediaType"] == "application/vnd.docker.distribution.manifest.v2+json"
    config = document(app, manifest["config"]["digest"])["config"]
    assert config["Entrypoint"] == ["/usr/local/bin/docker-entrypoint.sh"]
    assert config["Cmd"] == ["/usr/local/bin/shop"]
    assert config["User"] == "1000"
    base, own = (each["digest"] for each in manifest["layers"])
    assert set(members(app, own)) == {"usr/local/bin/docker-entrypoint.sh", "usr/local/bin/shop"}
    script = content(app, own, "usr/local/bin/docker-entrypoint.sh")
    assert script.endswith(b'exec "$@"\n')
    assert members(app, base)["bin"].linkname == "usr/bin"
    assert members(app, base)["usr/bin/sh"].mode == 0o755


def test_products_that_are_up_to_date_are_not_built_again(
    collector: Path, ca: Path, app: Path
) -> None:
    before = (collector / "index.json").stat().st_ino
    assert not build.collector(LOCAL, collector, ca)
    assert not build.app(LOCAL, app)
    assert (collector / "index.json").stat().st_ino == before


def test_another_authority_makes_another_image(collector: Path, ca: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pem"
    other.write_text("another")
    before = tagged(collector, "0.150.0")
    assert build.collector(LOCAL, collector, other)
    assert tagged(collector, "0.150.0") != before
    assert build.collector(LOCAL, collector, ca)
    assert tagged(collector, "0.150.0") == before


def fake(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(0o755)


STATIC_ELF = b"\x7fELF\x02\x01" + bytes(58)


def test_without_ldd_the_shell_is_the_machines_static_busybox(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    busybox = tmp_path / "busybox"
    busybox.write_bytes(STATIC_ELF)
    busybox.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    entries = {entry.path: entry for entry in shell.base()}
    assert entries["usr/bin/busybox"].data == STATIC_ELF
    assert entries["usr/bin/sh"].target == "busybox"


def test_without_a_shell_the_error_names_the_package_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match="Install busybox-static"):
        shell.base()


def test_a_go_that_is_too_old_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake(tmp_path / "path" / "go", "print('go version go1.20.14 linux/amd64')")
    own = tmp_path / "go" / "toolchain" / "go" / "bin" / "go"
    fake(own, "print('go version go1.99.1 linux/amd64')")
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    found = toolchain.find_go(tmp_path)
    assert (found.command, found.version) == (own, "go1.99.1 linux/amd64")


def test_without_go_the_error_names_the_required_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake(tmp_path / "uv" / "bin" / "uv", "import sys; sys.exit('the network is unreachable')")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BuildError, match=r"Go 1\.25\.0 or newer is needed") as raised:
        toolchain.find_go(tmp_path)
    assert "the network is unreachable" in str(raised.value)


def test_caches_are_in_the_local_folder_unless_the_environment_names_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("GOCACHE", raising=False)
    monkeypatch.setenv("GOMODCACHE", "/srv/warm")
    environment = toolchain.Go(Path("go"), "", Path("/local/go")).environment()
    assert environment["GOCACHE"] == "/local/go/build"
    assert environment["GOMODCACHE"] == "/srv/warm"
    assert environment["GOTOOLCHAIN"] == "local"


def test_a_failed_build_shows_the_output_of_go(tmp_path: Path) -> None:
    fake(tmp_path / "go", "import sys; print('main.go:7: undefined: shop'); sys.exit(1)")
    go = toolchain.Go(tmp_path / "go", "", tmp_path)
    with pytest.raises(BuildError, match=r"main\.go:7: undefined: shop"):
        go.build("sampleapp", tmp_path / "shop")
    assert not (tmp_path / "shop").exists()
