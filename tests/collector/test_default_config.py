"""The default configuration in the collector: what it says at its start."""

from __future__ import annotations

import subprocess
from pathlib import Path

from azext_otelembed.collector import config as collector_config
from tests.collector.default_config import template
from tests.localazure.images_support import Collector, Ingestion


def test_it_is_valid(program: Path, tmp_path: Path) -> None:
    (tmp_path / "config.yml").write_bytes(collector_config.default())
    command = [str(program), "validate", f"--config={tmp_path / 'config.yml'}"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_collector_starts_without_a_warning_about_deprecated_or_missing_settings(
    program: Path, tmp_path: Path
) -> None:
    with Ingestion() as insights:
        started = Collector(
            program, tmp_path, insights.connection_string, template(), environment={}
        )
        with started as collector:
            collector.wait_until_ready()
            assert collector.stop() == 0
            log = collector.log.read_text()
    assert "Everything is ready" in log
    levels = [line.split("\t")[1] for line in log.splitlines() if "\t" in line]
    assert set(levels) == {"info"}, log
    assert "deprecated" not in log.lower()
