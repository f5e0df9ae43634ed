"""Other people's programs: only CI installs them; else a test says what a person may type."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.corpus import judges


@pytest.fixture
def calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What apt-get is called with, on a machine that has nothing else."""
    program, noted = tmp_path / "bin" / "apt-get", tmp_path / "calls"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\necho "$@" >>{noted}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    monkeypatch.setattr(judges, "program", judges.program.__wrapped__)
    return noted


def test_a_missing_program_is_not_installed_behind_a_persons_back(
    calls: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OTELEMBED_ENGINE", raising=False)
    with pytest.raises(pytest.skip.Exception, match=r"as root, `apt-get install .*skopeo`"):
        judges.program("skopeo")
    assert not calls.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may install")
def test_ci_installs_it_and_fails_without(calls: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTELEMBED_ENGINE", "required")
    with pytest.raises(pytest.fail.Exception, match="skopeo isn't installed"):
        judges.program("skopeo")
    assert calls.read_text().splitlines()[-1].endswith("install -qq --no-install-recommends skopeo")
