"""Other people's tools, as judges of whether an image is well formed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.needs import program


class Judges:
    """Each raises AssertionError with what the tool has to say against an image."""

    def __init__(self, directory: Path, ca: str) -> None:
        self._directory = directory
        self._environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(directory),
            "TMPDIR": str(directory),
            "SSL_CERT_FILE": ca,
        }

    def _run(self, name: str, *words: str) -> str:
        done = subprocess.run(
            [program(name), *words],
            env=self._environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.returncode == 0, f"{name} {' '.join(words)}: {done.stdout}{done.stderr}"
        return done.stdout

    def crane(self, image: str, digest: str) -> None:
        """Reads every layer, and compares digests, sizes and diff_ids."""
        assert self._run("crane", "digest", image).strip() == digest
        assert "PASS" in self._run("crane", "validate", "--remote", image)

    def skopeo(self, image: str, digest: str) -> Mapping[str, object]:
        """Inspects it, and copies it with all its blobs; the configuration as it is read there."""
        found = self._run("skopeo", "inspect", "--format", "{{.Digest}}", f"docker://{image}")
        assert found.strip() == digest
        self._run("skopeo", "copy", "--quiet", f"docker://{image}", f"dir:{self._new('copied')}")
        config = self._run("skopeo", "inspect", "--config", "--raw", f"docker://{image}")
        document: Mapping[str, object] = json.loads(config)
        return document

    def umoci(self, image: str) -> tuple[Path, list[str]]:
        """Unpacks it, from the OCI form that skopeo makes of it: root file system, what starts."""
        layout, bundle = self._new("layout"), self._new("bundle")
        self._run("skopeo", "copy", "--quiet", f"docker://{image}", f"oci:{layout}:1")
        rootless = [] if os.geteuid() == 0 else ["--rootless"]
        self._run("umoci", "unpack", *rootless, "--image", f"{layout}:1", str(bundle))
        runtime = json.loads((bundle / "config.json").read_bytes())
        return bundle / "rootfs", runtime["process"]["args"]

    def _new(self, name: str) -> Path:
        path = self._directory / name
        shutil.rmtree(path, ignore_errors=True)
        return path
