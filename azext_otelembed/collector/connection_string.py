"""Application Insights connection strings: checked, normalised, and masked for output.

The collector's exporter reports no errors: it exits at start for a missing key, keys in lower case
or a trailing `;`, and sends to the public endpoint if it can't parse the given one. So the string
is checked and normalised before it is stored in the app setting. No error contains any part of it.
https://learn.microsoft.com/azure/azure-monitor/app/connection-strings
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from azext_otelembed.az_commands import DEFAULT, placeholder
from azext_otelembed.errors import InvalidConfig

_KEY = "InstrumentationKey"
_ENDPOINTS = ("IngestionEndpoint", "LiveEndpoint", "ProfilerEndpoint", "SnapshotEndpoint")
_GUIDS = (_KEY, "ApplicationId")
_PLAIN = (*_ENDPOINTS, "EndpointSuffix", "Location", "Authorization")
_CANONICAL = {name.lower(): name for name in (*_GUIDS, *_PLAIN, "AADAudience")}
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_SUFFIX = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII)
_MASK = "****"
_MAX_LENGTH = 4096  # the limit in Azure's SDKs
_SHOW = DEFAULT.command(
    "resource show",
    *("--ids", placeholder("component id"), "--query", "properties.ConnectionString", "-o", "tsv"),
    subscription=None,
)
COPY_IT = f"Copy it from the Application Insights component: `{_SHOW}`."
"""The recommendation for a connection string that can't be right."""


@dataclass(frozen=True, slots=True, repr=False)
class ConnectionString:
    """A checked connection string: pairs in their order, known keys in their canonical spelling."""

    pairs: tuple[tuple[str, str], ...]

    @property
    def normalised(self) -> str:
        """In the exporter's format: `Key=value;Key=value`, without a trailing semicolon."""
        return ";".join(f"{key}={value}" for key, value in self.pairs)

    @property
    def instrumentation_key(self) -> str:
        """The component's key, a GUID."""
        return dict(self.pairs)[_KEY]

    @property
    def masked(self) -> str:
        """For output: GUIDs cut to their first four characters, endpoints to their host."""
        return ";".join(f"{key}={_masked_value(key, value)}" for key, value in self.pairs)

    def __repr__(self) -> str:
        return f"ConnectionString({self.masked!r})"


def parse(text: str) -> ConnectionString:
    """Parse a connection string. Raises InvalidConfig; its message has none of the values.

    Spaces around keys, values and the whole string are removed, and so are empty pairs (`;;`, a
    trailing `;`). Unknown keys are kept unchanged.
    """
    stripped = text.strip()
    if not stripped:
        raise InvalidConfig("The connection string is empty.", COPY_IT)
    if len(stripped) > _MAX_LENGTH:
        raise InvalidConfig(
            f"The connection string is {len(stripped)} characters long; "
            f"at most {_MAX_LENGTH} are valid."
        )
    if not stripped.isprintable():
        raise InvalidConfig("The connection string has line breaks or control characters.", COPY_IT)
    if _GUID.fullmatch(stripped):
        raise InvalidConfig(
            "This is only an instrumentation key, not a connection string "
            "(InstrumentationKey=…;IngestionEndpoint=https://…).",
            COPY_IT,
        )
    pairs: dict[str, str] = {}
    for number, part in enumerate(stripped.split(";"), 1):
        if not part.strip():
            continue
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            raise InvalidConfig(
                f"Part {number} of the connection string is not of the form Key=value.", COPY_IT
            )
        # If the string was cut, an unknown key may be part of a secret: it is not shown either.
        name = _CANONICAL.get(key.lower(), key)
        if name in pairs or name.lower() in (known.lower() for known in pairs):
            raise InvalidConfig(
                f"Part {number} of the connection string repeats an earlier key.", COPY_IT
            )
        if problem := _problem(name, value):
            raise InvalidConfig(f"The {name} of the connection string {problem}.", COPY_IT)
        if name == "Authorization" and value.lower() != "ikey":
            raise InvalidConfig(
                "The connection string has an Authorization other than 'ikey', which isn't "
                "supported.",
                COPY_IT,
            )
        pairs[name] = value
    if _KEY not in pairs:
        raise InvalidConfig("The connection string has no InstrumentationKey.", COPY_IT)
    return ConnectionString(tuple(pairs.items()))


def is_key_vault_reference(text: str) -> bool:
    """Whether an app setting's value is a Key Vault reference, which Azure resolves."""
    return text.strip().lower().startswith("@microsoft.keyvault(")


def mask(text: str) -> str:
    """A connection string from an app setting, masked for output.

    Never raises: a value that can't be parsed is masked entirely. A Key Vault reference isn't
    masked.
    """
    if is_key_vault_reference(text):
        return text.strip() if text.isprintable() else _MASK
    try:
        return parse(text).masked
    except InvalidConfig:
        return _MASK


def _problem(name: str, value: str) -> str | None:
    """The reason why a known key can't have this value."""
    if name in _GUIDS and not _GUID.fullmatch(value):
        return "is not a GUID (8-4-4-4-12 hex digits with hyphens)"
    if name in _ENDPOINTS:
        url = _parse_url(value)
        plain = url is not None and not url.username and not url.query and not url.fragment
        if url is None or not plain or url.scheme != "https" or not url.hostname:
            return "is not an https address (https://host, with no user, query or fragment)"
    if name == "EndpointSuffix" and not _SUFFIX.fullmatch(value):
        return "is not a domain name"
    return None


def _parse_url(value: str) -> SplitResult | None:
    if not value.isascii() or " " in value:
        return None
    try:
        url = urlsplit(value)
        _ = url.port  # raises ValueError if it is not a number
    except ValueError:
        return None
    return url


def _masked_value(key: str, value: str) -> str:
    if key in _GUIDS:
        return f"{value[:4]}{_MASK}-…"
    if key in _ENDPOINTS:
        url = urlsplit(value)
        return f"{url.scheme}://{url.netloc}/"
    return value if key in _PLAIN else _MASK
