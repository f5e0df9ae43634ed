"""Numbers of thousands of digits, and lists of thousands of levels, are refused or left out."""

from __future__ import annotations

import re
from importlib import resources

import pytest

from azext_otelembed.collector.config import load
from azext_otelembed.errors import InvalidConfig, InvalidImage
from azext_otelembed.image import labels
from azext_otelembed.image.dockerfile_template import instruction_words
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.provenance import read_provenance
from azext_otelembed.webapp.preflight import STOP_LIMIT_SETTING, check_grace

LONG = "9" * 5000
DEFAULT = resources.files("azext_otelembed.collector").joinpath("default.yml").read_text()


def test_a_long_memory_limit_is_refused() -> None:
    text = re.sub(r"limit_mib: *\d+", f"limit_mib: {LONG}", DEFAULT)
    assert text != DEFAULT
    with pytest.raises(InvalidConfig, match="must be a number from 1 to"):
        load(text.encode())


def test_a_long_port_is_refused() -> None:
    with pytest.raises(InvalidConfig, match="must listen on host:port"):
        load(DEFAULT.replace(":4318", f":{LONG}").encode())


def test_a_long_stop_limit_is_not_one_of_app_service() -> None:
    assert check_grace(Launcher("drain"), {STOP_LIMIT_SETTING: LONG}) == check_grace(
        Launcher("drain"), {}
    )


def test_a_long_format_is_a_later_one() -> None:
    names = (*labels.PROVENANCE, labels.RESTORE)
    document = {"config": {"Labels": {**dict.fromkeys(names, "x"), labels.VERSION: LONG}}}
    with pytest.raises(InvalidImage, match="later version of otelembed"):
        read_provenance(ImageConfig.of(document))


def test_a_deep_entrypoint_is_refused() -> None:
    with pytest.raises(InvalidImage, match="is not a JSON list of words") as refused:
        instruction_words("[" * 100_000)
    assert len(refused.value.message) < 400
