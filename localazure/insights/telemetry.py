"""The received telemetry, by component."""

from __future__ import annotations

from typing import Any


class Telemetry:
    """Envelopes by instrumentation key (lower case), in order of arrival."""

    def __init__(self) -> None:
        self._envelopes: dict[str, list[dict[str, Any]]] = {}

    def add(self, key: str, envelope: dict[str, Any]) -> None:
        """Store one envelope."""
        self._envelopes.setdefault(key.lower(), []).append(envelope)

    def of(self, key: str) -> list[dict[str, Any]]:
        """The envelopes of a component."""
        return self._envelopes.get(key.lower(), [])

    def all(self) -> list[dict[str, Any]]:
        """All envelopes, component by component."""
        return [envelope for envelopes in self._envelopes.values() for envelope in envelopes]

    def clear(self) -> None:
        """Delete all envelopes."""
        self._envelopes.clear()
