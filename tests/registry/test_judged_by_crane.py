"""What is put into the registry, as a stranger reads it: crane checks every digest and diff_id."""

from __future__ import annotations

import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from azext_otelembed.collector import config as collector_config
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.embedding.prepare_collector import prepare_collector
from azext_otelembed.embedding.push import push_embedded
from azext_otelembed.image.embed import embed
from azext_otelembed.image.launcher import Launcher
from localazure.images.assemble import Family
from tests.needs import program
from tests.registry import images
from tests.registry.conftest import PUSHER, SECRET, Registries


@pytest.mark.parametrize("family", ["docker", "oci"])
def test_an_embedded_image_is_well_formed_and_holds_everything(
    registries: Registries, tmp_path: Path, name: str, family: Family
) -> None:
    client = registries.owner()
    collector = prepare_collector(
        client, images.upstream(registries, "2.150.0"), registries.anonymous()
    )
    reference = images.push(registries, name, "1.0", images.app(family=family))
    embedded = embed(
        load_base(client, reference), collector, collector_config.default(), Launcher()
    )
    push_embedded(client, embedded)

    image = f"{registries.shop}/{name}:{embedded.reference.tag}"
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "SSL_CERT_FILE": registries.azure.ca,
    }

    def crane(*words: str) -> str:
        done = subprocess.run(
            [program("crane"), *words], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    crane("auth", "login", registries.shop, "-u", PUSHER, "-p", SECRET)
    assert crane("digest", image).strip() == str(embedded.digest)
    assert "PASS" in crane("validate", "--remote", image)
    crane("export", image, str(tmp_path / "files.tar"))
    with tarfile.open(tmp_path / "files.tar") as tar:
        assert tar.getmember("otelembed/otelcol").linkname == "/otelcol-contrib"
        assert tar.getmember("otelcol-contrib").mode == 0o755
        config = tar.extractfile("otelembed/config.yml")
        assert config is not None
        assert config.read() == collector_config.default()
        bundle = tar.extractfile("otelembed/certs/ca-certificates.crt")
        assert bundle is not None
        assert bundle.read() == images.CA_BUNDLE
        assert "app/shop" in tar.getnames()
