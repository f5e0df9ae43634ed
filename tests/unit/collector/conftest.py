"""The test collector's binary."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

IMAGE = Path(__file__).resolve().parents[3] / ".local" / "images" / "collector"


@pytest.fixture(scope="session")
def otelcol(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The test collector's binary, from its image."""
    layer = max((IMAGE / "blobs" / "sha256").iterdir(), key=lambda path: path.stat().st_size)
    binary = tmp_path_factory.mktemp("otelcol") / "otelcol-contrib"
    with tarfile.open(layer) as archive:
        content = archive.extractfile("otelcol-contrib")
        assert content is not None
        binary.write_bytes(content.read())
    binary.chmod(0o755)
    return binary
