"""The received telemetry, by component."""

from __future__ import annotations

import math
import time
from typing import Any


class Telemetry:
    """Envelopes by instrumentation key (lower case), in order of arrival.

    Queries find an envelope `latency` seconds after it was received: Application Insights takes
    20 s to 3 min on average ("Log data ingestion time in Azure Monitor", learn.microsoft.com).
    """

    def __init__(self) -> None:
        self._envelopes: dict[str, list[tuple[float, dict[str, Any]]]] = {}
        self._queries: dict[str, list[float]] = {}
        self.latency = 0.0

    def add(self, key: str, envelope: dict[str, Any]) -> None:
        """Store one envelope."""
        self._envelopes.setdefault(key.lower(), []).append((time.monotonic(), envelope))

    def of(self, key: str) -> list[dict[str, Any]]:
        """The envelopes of a component that queries find."""
        until = time.monotonic() - self.latency
        return [one for received, one in self._envelopes.get(key.lower(), []) if received <= until]

    def all(self) -> list[dict[str, Any]]:
        """All received envelopes, component by component."""
        return [one for envelopes in self._envelopes.values() for _, one in envelopes]

    def clear(self) -> None:
        """Delete all envelopes."""
        self._envelopes.clear()

    def throttled(self, caller: str, most: int, seconds: float) -> int:
        """Seconds that a caller has to wait who has queried `most` times within `seconds`; 0 for
        others, whose query counts.
        """
        now = time.monotonic()
        queries = [one for one in self._queries.get(caller, []) if one > now - seconds]
        self._queries[caller] = queries
        if len(queries) >= most:
            return max(math.ceil(queries[0] + seconds - now), 1)
        queries.append(now)
        return 0
