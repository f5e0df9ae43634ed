"""Where the exporter sends with a connection string, and what keeps telemetry from arriving there.

The exporter parses strictly, and the collector exits at start where that fails. The environment
variable, which is the app setting, wins over the configuration. (`parseConnectionString` in
exporter/azuremonitorexporter/connection_string_parser.go of opentelemetry-collector-contrib
v0.150.0.) No message contains any part of the string.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from azext_otelembed.collector.connection_string import (
    BYTE_ORDER_MARK,
    GUID,
    INGESTION,
    KEY,
    MAX_LENGTH,
    value_problem,
)
from azext_otelembed.errors import InvalidConfig

PUBLIC_ENDPOINT = "https://dc.services.visualstudio.com/"
"""Where the exporter sends with a connection string that has no IngestionEndpoint."""
ZERO_KEY_PROBLEM = f"its {KEY} is all zeros, the key of no component"
"""The problem of a connection string that was copied from an example."""
_ZERO_KEY = "00000000-0000-0000-0000-000000000000"
# What Go's strings.TrimSpace removes: Unicode's White_Space. (Python's `strip` removes more.)
_SPACES = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)


@dataclass(frozen=True, slots=True, repr=False)
class Destination:
    """Where the exporter sends with a connection string; `pairs` are as the exporter reads them."""

    pairs: Mapping[str, str]

    @property
    def instrumentation_key(self) -> str:
        """The key that each envelope has."""
        return self.pairs[KEY]

    @property
    def endpoint(self) -> str:
        """The endpoint below which it posts to v2.1/track."""
        return self.pairs.get(INGESTION) or PUBLIC_ENDPOINT


def destination(text: str) -> Destination:
    """Reads the bytes of a connection string exactly as the exporter does.

    Raises InvalidConfig if the collector exits at start; the message has none of the values.
    """
    if not text:
        raise InvalidConfig("it is empty: the collector exits at start")
    if len(text.encode("utf-8", "surrogatepass")) > MAX_LENGTH:
        raise InvalidConfig(f"it is longer than {MAX_LENGTH} bytes: the collector exits at start")
    parts = text.split(";")
    pairs: dict[str, str] = {}
    for number, part in enumerate(parts, 1):
        name, equals, value = part.strip(_SPACES).partition("=")
        if not equals and not name and number == len(parts):
            raise InvalidConfig("it ends with ';': the collector exits at start")
        if not equals or not name.strip(_SPACES):
            raise InvalidConfig(
                f"its part {number} is not of the form Key=value: the collector exits at start"
            )
        pairs[name.strip(_SPACES)] = value.strip(_SPACES)
    if not pairs.get(KEY):
        names = {name.strip("\"'" + BYTE_ORDER_MARK).lower() for name in pairs if name != KEY}
        spelt = KEY.lower() in names
        reason = f"its {KEY} isn't spelt exactly so" if spelt else f"it has no {KEY}"
        raise InvalidConfig(f"{reason}: the collector exits at start")
    return Destination(pairs)


def problems(text: str) -> tuple[str, ...]:
    """Reasons why no telemetry arrives with exactly this app setting; empty if there is none.

    Each is a phrase about the string ("it ends with ';': the collector exits at start"), without
    any of its values.
    """
    try:
        found = destination(text)
    except InvalidConfig as problem:
        return (problem.message,)
    reasons = []
    if not GUID.fullmatch(found.instrumentation_key):
        reasons.append(
            f"its {KEY} is not a GUID (8-4-4-4-12 hex digits with hyphens): Application Insights "
            "refuses everything"
        )
    elif is_zero_key(found.instrumentation_key):
        reasons.append(ZERO_KEY_PROBLEM)
    if given := found.pairs.get(INGESTION):
        if wrong := value_problem(INGESTION, given):
            reasons.append(f"its {INGESTION} {wrong}: the exporter can't send to it")
    elif any(name.lower() == INGESTION.lower() for name in found.pairs if name != INGESTION):
        reasons.append(
            f"its {INGESTION} isn't spelt exactly so, and the exporter ignores it: it sends to "
            f"{PUBLIC_ENDPOINT}"
        )
    elif any(name.lower() == "endpointsuffix" for name in found.pairs):
        reasons.append(
            f"it has an EndpointSuffix, which the exporter ignores: it sends to {PUBLIC_ENDPOINT}"
        )
    return tuple(reasons)


def is_zero_key(key: str) -> bool:
    """Whether this is the key of examples, which belongs to no component."""
    return key == _ZERO_KEY
