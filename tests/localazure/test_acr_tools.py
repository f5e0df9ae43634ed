"""crane, skopeo and the Azure SDK with the double: push, copy, pull and list."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localazure.client import LocalAzure
from localazure.images.assemble import Family
from tests.localazure.core_support import PRINCIPALS, SECRET
from tests.needs import program

Tool = Callable[..., str]


@pytest.fixture
def tool(azure: LocalAzure, tmp_path: Path) -> Tool:
    """Run a command that trusts the double; returns its output."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "SSL_CERT_FILE": azure.ca,
        "DOCKER_CONFIG": str(tmp_path / "docker"),
        "REGISTRY_AUTH_FILE": str(tmp_path / "auth.json"),
        "TMPDIR": str(tmp_path),
    }

    def run(*command: object) -> str:
        words = [str(word) for word in command]
        done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_crane_copies_from_the_hub_and_within_a_registry(
    azure: LocalAzure, tool: Tool, layout: Path, tmp_path: Path
) -> None:
    crane = program("crane")
    shop, hub = azure.registries["shopregistry"], azure.registries["hub"]
    digest = azure.push("hub", "tools/crane", "1.0", layout)
    tool(crane, "auth", "login", shop, "-u", PRINCIPALS["pusher"][0], "-p", SECRET)
    tool(crane, "copy", f"{hub}/tools/crane:1.0", f"{shop}/tools/crane:1.0")
    assert tool(crane, "digest", f"{shop}/tools/crane:1.0").strip() == digest
    mark = azure.mark()
    tool(crane, "copy", f"{shop}/tools/crane:1.0", f"{shop}/tools/crane-again:1.0")
    mounts = [r for r in azure.requests(since=mark) if "mount=" in r["query"]]
    assert mounts
    assert {r["status"] for r in mounts} == {201}
    tool(crane, "pull", f"{shop}/tools/crane-again:1.0", tmp_path / "pulled.tar")
    assert tool(crane, "ls", f"{shop}/tools/crane").split() == ["1.0"]
    blobs = azure.requests(since=mark, service="blob")
    assert blobs
    assert not any(r["authorization"] for r in blobs), "a token went to the storage host"


@pytest.mark.parametrize("family", ["docker", "oci"])
def test_skopeo_pulls_and_pushes_all_platforms(
    azure: LocalAzure, tool: Tool, layout: Path, tmp_path: Path, family: Family
) -> None:
    shop, trust = azure.registries["shopregistry"], tmp_path / "certs"
    trust.mkdir()
    shutil.copyfile(azure.ca, trust / "ca.crt")
    name = f"{shop}/tools/skopeo-{family}"
    digest = azure.push("shopregistry", f"tools/skopeo-{family}", "1.0", layout)
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps({"default": [{"type": "insecureAcceptAnything"}]}))
    copy = [program("skopeo"), "--policy", policy, "copy", "--all", "--preserve-digests"]
    trusted = {
        side: (f"--{side}-cert-dir={trust}", f"--{side}-creds={PRINCIPALS['pusher'][0]}:{SECRET}")
        for side in ("src", "dest")
    }
    tool(*copy, *trusted["src"], f"docker://{name}:1.0", f"dir:{tmp_path / 'out'}")
    tool(*copy, *trusted["dest"], f"dir:{tmp_path / 'out'}", f"docker://{name}-again:2.0")
    owner = [f"--cert-dir={trust}", f"--creds={PRINCIPALS['pusher'][0]}:{SECRET}"]
    found = json.loads(
        tool(program("skopeo"), "inspect", *owner, f"docker://{name}-again@{digest}")
    )
    assert found["RepoTags"] == ["2.0"]


def test_azures_sdk_lists_the_content(
    azure: LocalAzure, layout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from azure.containerregistry import ContainerRegistryClient
    from azure.core.credentials import AccessToken

    class Owner:
        def get_token(self, *scopes: str, **options: object) -> AccessToken:
            return AccessToken(azure.token(), 2**31)

    monkeypatch.setenv("NO_PROXY", "localhost")
    digest = azure.push("shopregistry", "tools/sdk", "1.0", layout)
    client = ContainerRegistryClient(
        f"https://{azure.registries['shopregistry']}",
        Owner(),
        audience="https://management.core.windows.net/",
        connection_verify=azure.ca,
    )
    with client:
        assert "tools/sdk" in list(client.list_repository_names())
        (tag,) = client.list_tag_properties("tools/sdk")
        assert (tag.name, tag.digest) == ("1.0", digest)
        digests = [m.digest for m in client.list_manifest_properties("tools/sdk")]
        assert len(digests) == 3
        assert client.get_manifest("tools/sdk", "1.0").digest == digest
        child = next(d for d in digests if d != digest)
        manifest: Any = client.get_manifest("tools/sdk", child).manifest
        blob = b"".join(client.download_blob("tools/sdk", manifest["config"]["digest"]))
        assert json.loads(blob)["os"] == "linux"
        uploaded, size = client.upload_blob("tools/sdk", layout.joinpath("index.json").open("rb"))
        assert size == layout.joinpath("index.json").stat().st_size
        client.delete_tag("tools/sdk", "1.0")
        assert list(client.list_tag_properties("tools/sdk")) == []
        assert uploaded.startswith("sha256:")
