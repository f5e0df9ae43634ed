"""Connection strings: the collector itself beside `azext_otelembed.collector.destination`."""

from __future__ import annotations

from pathlib import Path

import pytest

from azext_otelembed.collector.destination import PUBLIC_ENDPOINT, destination
from azext_otelembed.errors import InvalidConfig
from tests.exporter_strings import EXITS, KEY, STARTS
from tests.localazure.images_support import Collector

SAMPLE = 6
"""Of either kind; `make test-all` takes the others, too."""


def rows(texts: tuple[str, ...]) -> list[object]:
    rest = [pytest.param(text, marks=pytest.mark.thorough) for text in texts[SAMPLE:]]
    return [*texts[:SAMPLE], *rest]


@pytest.mark.parametrize("text", rows(EXITS))
def test_the_collector_exits_where_no_destination_is_found(
    binary: Path, tmp_path: Path, text: str
) -> None:
    with pytest.raises(InvalidConfig, match="the collector exits at start"):
        destination(text)
    with Collector(binary, tmp_path, text) as collector:
        assert collector.process.wait(15) == 1
        assert "cannot start pipelines" in collector.log.read_text()


@pytest.mark.parametrize("text", rows(tuple(reversed(STARTS))))
def test_the_collector_starts_and_sends_where_a_destination_is_found(
    binary: Path, tmp_path: Path, text: str
) -> None:
    found = destination(text)
    with Collector(binary, tmp_path, text) as collector:
        collector.wait_until_ready()
        assert collector.stop() == 0
        log = collector.log.read_text()
    # This collector sends to this machine only, and says where it would have sent.
    is_public = "sends nothing to other machines" in log and "dc.services.visualstudio.com" in log
    assert is_public is (found.endpoint == PUBLIC_ENDPOINT)
    assert KEY not in log
