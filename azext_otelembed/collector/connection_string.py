"""Application Insights connection strings: checked, normalised, and masked for people to see.

The collector's exporter is strict and silent: no key, keys in lower case or a trailing `;` make it
exit at start, and an endpoint it can't parse makes it send to the public one. So what is written
into the app setting is put in order first. No error ever repeats the string or a part of it.
https://learn.microsoft.com/azure/azure-monitor/app/connection-strings
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from azext_otelembed.errors import InvalidConfig

_KEY = "InstrumentationKey"
_INGESTION = "IngestionEndpoint"
_ENDPOINTS = (_INGESTION, "LiveEndpoint", "ProfilerEndpoint", "SnapshotEndpoint")
_GUIDS = (_KEY, "ApplicationId")
_SHOWN = (*_ENDPOINTS, "EndpointSuffix", "Location", "Authorization")
_CANONICAL = {name.lower(): name for name in (*_GUIDS, *_SHOWN, "AADAudience")}
_GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_SUFFIX = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII)
_MASK = "****"
_MAX_LENGTH = 4096  # as Azure's own SDKs bound it
_HELP = (
    "Copy it from the Application Insights component: "
    "`az resource show -g GROUP -n COMPONENT --resource-type microsoft.insights/components "
    "--query properties.ConnectionString -o tsv`."
)


@dataclass(frozen=True, slots=True, repr=False)
class ConnectionString:
    """A checked connection string: pairs in their order, known keys in their canonical spelling."""

    pairs: tuple[tuple[str, str], ...]

    @property
    def normalised(self) -> str:
        """As the exporter takes it: `Key=value;Key=value`, no trailing semicolon."""
        return ";".join(f"{key}={value}" for key, value in self.pairs)

    @property
    def instrumentation_key(self) -> str:
        """The component's key, a GUID."""
        return dict(self.pairs)[_KEY]

    @property
    def ingestion_endpoint(self) -> str | None:
        """Where telemetry goes, e.g. `https://westeurope-5.in.applicationinsights.azure.com/`."""
        return dict(self.pairs).get(_INGESTION)

    @property
    def application_id(self) -> str | None:
        """The component's application id, where the string tells it."""
        return dict(self.pairs).get("ApplicationId")

    @property
    def masked(self) -> str:
        """For people: GUIDs cut to their first four characters, endpoints to their host."""
        return ";".join(f"{key}={_shown(key, value)}" for key, value in self.pairs)

    def __repr__(self) -> str:
        return f"ConnectionString({self.masked!r})"


def parse(text: str) -> ConnectionString:
    """Read a connection string. Raises InvalidConfig, whose message never holds any of its values.

    Spaces around keys, values and the whole are dropped, and so are empty pairs (`;;`, a trailing
    `;`). Keys that aren't known here are kept as they are.
    """
    stripped = text.strip()
    if not stripped:
        raise InvalidConfig("The connection string is empty.", _HELP)
    if len(stripped) > _MAX_LENGTH:
        raise InvalidConfig(
            f"The connection string is {len(stripped)} characters long; "
            f"at most {_MAX_LENGTH} can be right."
        )
    if not stripped.isprintable():
        raise InvalidConfig("The connection string has line breaks or control characters.", _HELP)
    if _GUID.fullmatch(stripped):
        raise InvalidConfig(
            "This is an instrumentation key alone, not a connection string "
            "(InstrumentationKey=…;IngestionEndpoint=https://…).",
            _HELP,
        )
    pairs: dict[str, str] = {}
    for number, part in enumerate(stripped.split(";"), 1):
        if not part.strip():
            continue
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not key or not value:
            raise InvalidConfig(
                f"Part {number} of the connection string is not of the form Key=value.", _HELP
            )
        # An unknown key may hold a piece of a secret if the string was cut: it is not shown either.
        name = _CANONICAL.get(key.lower(), key)
        if name in pairs or name.lower() in (known.lower() for known in pairs):
            raise InvalidConfig(
                f"Part {number} of the connection string repeats a key that is already there.",
                _HELP,
            )
        _check(name, value)
        pairs[name] = value
    if _KEY not in pairs:
        raise InvalidConfig("The connection string has no InstrumentationKey.", _HELP)
    return ConnectionString(tuple(pairs.items()))


def is_key_vault_reference(text: str) -> bool:
    """Whether an app setting's value is a Key Vault reference, which Azure resolves itself."""
    return text.strip().lower().startswith("@microsoft.keyvault(")


def mask(text: str) -> str:
    """What may be shown of any app setting's value that should be a connection string.

    Never raises: what can't be read is masked as a whole. A Key Vault reference is no secret.
    """
    if is_key_vault_reference(text):
        return text.strip() if text.isprintable() else _MASK
    try:
        return parse(text).masked
    except InvalidConfig:
        return _MASK


def _check(name: str, value: str) -> None:
    if name in _GUIDS and not _GUID.fullmatch(value):
        raise InvalidConfig(
            f"The {name} of the connection string is not a GUID "
            "(8-4-4-4-12 hex digits with hyphens).",
            _HELP,
        )
    if name in _ENDPOINTS:
        url = _split(value)
        plain = url is not None and not url.username and not url.query and not url.fragment
        if url is None or not plain or url.scheme != "https" or not url.hostname:
            raise InvalidConfig(
                f"The {name} of the connection string is not an https address "
                "(https://host, with no user, query or fragment).",
                _HELP,
            )
    if name == "EndpointSuffix" and not _SUFFIX.fullmatch(value):
        raise InvalidConfig("The EndpointSuffix of the connection string is no domain name.", _HELP)
    if name == "Authorization" and value.lower() != "ikey":
        raise InvalidConfig(
            "The connection string asks for an Authorization other than 'ikey'; there is none.",
            _HELP,
        )


def _split(value: str) -> SplitResult | None:
    if not value.isascii() or " " in value:
        return None
    try:
        url = urlsplit(value)
        _ = url.port  # raises for one that is no number
    except ValueError:
        return None
    return url


def _shown(key: str, value: str) -> str:
    if key in _GUIDS:
        return f"{value[:4]}{_MASK}-…"
    if key in _ENDPOINTS:
        url = urlsplit(value)
        return f"{url.scheme}://{url.netloc}/"
    return value if key in _SHOWN else _MASK
