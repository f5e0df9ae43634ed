"""The configuration that an earlier `az otelembed dockerfile` wrote."""

from __future__ import annotations

from pathlib import Path

import pytest

from azext_otelembed.errors import InvalidInput
from azext_otelembed.image.dockerfile_template import CONFIG_FILE
from azext_otelembed.release.dockerfile import config_in, write


def test_it_is_found_in_the_directory(tmp_path: Path) -> None:
    assert config_in(str(tmp_path)) is None
    (tmp_path / CONFIG_FILE).write_text("receivers: {}")
    assert config_in(str(tmp_path)) == str(tmp_path / CONFIG_FILE)


def test_a_directory_that_cannot_be_used_is_reported_when_it_is_written(tmp_path: Path) -> None:
    unusable = str(tmp_path / ("x" * 300))
    assert config_in(unusable) is None
    with pytest.raises(InvalidInput, match="can't be written to"):
        write("FROM a", b"", unusable, own_config=False)
