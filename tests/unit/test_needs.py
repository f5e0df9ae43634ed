"""Other people's programs: nothing is installed behind a person's back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.needs import program

SAID = "skopeo isn't installed: as root, `apt-get install --no-install-recommends skopeo`"


@pytest.fixture(autouse=True)
def _bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_a_missing_program_is_a_skip_that_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("OTELEMBED_ENGINE", raising=False)
    with pytest.raises(pytest.skip.Exception) as skipped:
        program("skopeo")
    assert str(skipped.value) == SAID


def test_where_it_is_required_a_missing_program_is_a_failure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTELEMBED_ENGINE", "required")
    with pytest.raises(pytest.fail.Exception) as failed:
        program("skopeo")
    assert str(failed.value) == SAID
