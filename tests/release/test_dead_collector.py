"""Releases whose container serves, while the collector in it exits."""

from __future__ import annotations

import io
import re
from typing import Any

import pytest

from azext_otelembed.console import Console
from azext_otelembed.release.release_context import TelemetryWait
from azext_otelembed.release.status import status
from tests.e2e.support import Site, eventually
from tests.release.support import Hand, id_of, request_of

CONFIG = b"""
receivers: {otlp: {protocols: {http: {endpoint: localhost:4318}}}}
exporters: {otlphttp: {endpoint: "${env:MINE}"}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlphttp]}}}
"""
"""Without the variable, the exporter has no endpoint, and the collector exits at start."""
DEAD = "its collector doesn't run: it has exited "


def found(hand: Hand, site: Site) -> dict[str, Any]:
    return status(
        hand.session,
        id_of(site),
        options=request_of(collector_config=CONFIG).embed,
        app_insights=None,
        health_path="/",
        console=Console(stream=io.StringIO()),
    )


@pytest.fixture
def dead(site: Site, hand: Hand) -> Site:
    """A site whose newest release has a collector that exits at its start."""
    assert hand.deploy(site, collector_config=CONFIG).exit_status == 6
    return site


def test_a_release_whose_collector_exits_stays_and_isnt_called_healthy(
    site: Site, hand: Hand
) -> None:
    ended = hand.deploy(site, collector_config=CONFIG)
    assert (ended.exit_status, ended.release) == (6, "unproven")
    assert ended.result["healthy"] is None
    assert ended.result["reason"].startswith(DEAD)
    assert re.fullmatch(r"started; it has exited \d times since", ended.evidence["collector"])
    assert site.runs == ended.result["image"]["name"]
    assert (
        "but its collector doesn't run. The release is unproven and stays in place." in ended.said
    )
    assert f"Find the broken link with:\n  az otelembed doctor {' '.join(site.arguments)}\n" in (
        ended.said
    )


def test_a_dead_collector_is_told_until_it_runs(dead: Site, hand: Hand) -> None:
    told = found(hand, dead)
    assert (told["healthy"], told["collectorState"]["running"]) == (False, False)
    (problem,) = (one for one in told["problems"] if one.startswith("the collector doesn't run"))
    assert problem.endswith("finds the broken link")
    again = hand.deploy(dead, collector_config=CONFIG)
    assert (again.exit_status, again.result["healthy"]) == (6, None)
    assert again.result["reason"].startswith(DEAD)
    dead.set(MINE="http://localhost:9")
    eventually(lambda: found(hand, dead)["collectorState"]["running"] is True)
    assert found(hand, dead)["healthy"] is True
    assert hand.wait(dead).exit_status == 0
    assert hand.states(dead) == ["succeeded"]


def test_a_dead_collector_fails_a_release_that_requires_its_telemetry(
    site: Site, hand: Hand
) -> None:
    wait = TelemetryWait(2, required=True)
    ended = hand.deploy(site, collector_config=CONFIG, telemetry=wait)
    assert (ended.exit_status, ended.release) == (4, "rolled back")
    assert ended.result["reason"].startswith(DEAD)


def test_a_dead_collector_can_be_accepted(site: Site, hand: Hand) -> None:
    ended = hand.deploy(site, collector_config=CONFIG, accept_unproven=True)
    assert (ended.exit_status, ended.result["healthy"]) == (0, None)
