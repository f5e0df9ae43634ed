"""Connection strings by what the exporter does with them: for tests, also with a collector."""

from __future__ import annotations

KEY = "12345678-9abc-def0-1234-56789abcdef0"
_FULL = f"InstrumentationKey={KEY};IngestionEndpoint=https://localhost:1/"

EXITS = (
    f"{_FULL};",
    f"{_FULL};\n",
    _FULL.replace("InstrumentationKey", "instrumentationkey"),
    f'"{_FULL}"',
    "IngestionEndpoint=https://localhost:1/;LiveEndpoint=https://localhost:1/",
    f"\ufeff{_FULL}",
    f";{_FULL}",
    _FULL.replace(";", ";;"),
    f"{_FULL};=x",
    f"{_FULL};Key",
    f"'{_FULL}'",
    f"InstrumentationKey=;{_FULL.partition(';')[2]}",
    f"\x1c{_FULL}",
    _FULL.replace("InstrumentationKey", "Instrumentation Key"),
    KEY,
    "@Microsoft.KeyVault(SecretUri:https://shop.vault.azure.net/secrets/ai)",
    f"{_FULL};Other={4096 * 'x'}",
    f"{_FULL};Other={1400 * '€'}",
)
"""The collector exits at start with each of these. (The first six are those that people have.)"""

SENDS = (
    _FULL,
    f" {_FULL}\n",
    _FULL.replace("=", " =\t"),
    f"{_FULL};Future=a=b",
    f"\u3000{_FULL}\xa0",
    f"InstrumentationKey=x;{_FULL}",
)
"""The collector sends to https://localhost:1/ with the key."""

STARTS = (
    *SENDS,
    f"InstrumentationKey={KEY}",
    f"InstrumentationKey={KEY};ingestionendpoint=https://localhost:1/",
    f"InstrumentationKey={KEY};EndpointSuffix=localhost",
    _FULL.replace(KEY, f'"{KEY}"'),
)
"""The collector starts with each of these."""
