"""The test collector's binary."""

from __future__ import annotations

from tests.unit.collector.conftest import otelcol as otelcol
