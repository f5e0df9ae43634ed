"""Application Insights connection strings: checked, normalised, and masked for output.

The collector's exporter reports no errors: it exits at start for a missing key, keys in lower case
or a trailing `;`, and sends to the public endpoint if it can't parse the given one. So the string
is checked and normalised before it is stored in the app setting (`parse`), and a stored one is
checked as the exporter parses it (`destination`). No error contains any part of it.
https://learn.microsoft.com/azure/azure-monitor/app/connection-strings
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from azext_otelembed.az_commands import DEFAULT, placeholder
from azext_otelembed.errors import InvalidConfig

KEY = "InstrumentationKey"
INGESTION = "IngestionEndpoint"
_ENDPOINTS = (INGESTION, "LiveEndpoint", "ProfilerEndpoint", "SnapshotEndpoint")
_GUIDS = (KEY, "ApplicationId")
_PLAIN = (*_ENDPOINTS, "EndpointSuffix", "Location", "Authorization")
_CANONICAL = {name.lower(): name for name in (*_GUIDS, *_PLAIN, "AADAudience")}
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
_SUFFIX = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*", re.ASCII)
_MASK = "****"
MAX_LENGTH = 4096  # the limit in Azure's SDKs and of the exporter
BYTE_ORDER_MARK = "\ufeff"
TRACK = "/v2.1/track"
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
        return dict(self.pairs)[KEY]

    @property
    def ingestion_endpoint(self) -> str | None:
        """The IngestionEndpoint, None without one: the exporter sends to the public endpoint."""
        return dict(self.pairs).get(INGESTION)

    @property
    def masked(self) -> str:
        """For output: GUIDs cut to their first four characters, endpoints to their host."""
        return ";".join(f"{key}={_masked_value(key, value)}" for key, value in self.pairs)

    def __repr__(self) -> str:
        return f"ConnectionString({self.masked!r})"


def completed(found: ConnectionString, own_endpoint: str | None) -> ConnectionString:
    """The string with an explicit IngestionEndpoint, the only part that the exporter sends to.

    Without one it follows from EndpointSuffix and Location, as Azure's SDKs derive it
    (`https://[location.]dc.<suffix>`); else it is `own_endpoint`, that of its component. Unchanged
    if neither is known.
    """
    pairs = dict(found.pairs)
    if INGESTION in pairs:
        return found
    endpoint = own_endpoint
    if suffix := pairs.get("EndpointSuffix"):
        location = f"{pairs['Location']}." if "Location" in pairs else ""
        endpoint = f"https://{location}dc.{suffix}/"
    if not endpoint:
        return found
    key = (KEY, pairs.pop(KEY))
    return ConnectionString((key, (INGESTION, endpoint), *pairs.items()))


def differences(before: str, after: ConnectionString) -> tuple[str, ...]:
    """What `after` has otherwise than the text `before`, as phrases without values.

    They tell apart two strings that look the same where they are masked. Empty if `before` can't
    be parsed, since it is masked entirely.
    """
    try:
        earlier = parse(before)
    except InvalidConfig:
        return ()
    return (*_tidied(before), *_changed(dict(earlier.pairs), dict(after.pairs)))


def _tidied(text: str) -> Iterator[str]:
    """What `parse` removes or respells."""
    inner = _plain(text)
    if text.startswith(BYTE_ORDER_MARK):
        yield "byte order mark removed"
    if inner != text.lstrip(BYTE_ORDER_MARK).strip():
        yield "quotes removed"
    parts = inner.split(";")
    if len(parts) > 1 and not parts[-1].strip():
        yield "trailing ';' removed"
    if any(not part.strip() for part in parts[:-1]):
        yield "empty part removed"
    pairs = [part.partition("=") for part in parts if part.strip()]
    pieces = [piece for key, _, value in pairs for piece in (key, value)]
    if any(piece != piece.strip() for piece in pieces) or text != text.strip():
        yield "spaces removed"
    for key, _, _ in pairs:
        name = _CANONICAL.get(key.strip().lower())
        if name and key.strip() != name:
            yield f"{name} spelt as the exporter reads it"


def _changed(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    for name, value in after.items():
        shown = name if name in _CANONICAL.values() else "a part"
        if name not in before:
            yield f"{shown} added"
        elif before[name] != value and _masked_value(name, before[name]) == _masked_value(
            name, value
        ):
            yield f"the value of {shown} differs"
    removed = [name for name in before if name not in after]
    yield from (f"{name if name in _CANONICAL.values() else 'a part'} removed" for name in removed)


def _plain(text: str) -> str:
    """The text without a byte order mark, spaces around it, and quotes around it."""
    stripped = text.lstrip(BYTE_ORDER_MARK).strip()
    while len(stripped) > 1 and stripped[0] in "\"'" and stripped[-1] == stripped[0]:
        stripped = stripped[1:-1].strip()
    return stripped


def parse(text: str) -> ConnectionString:
    """Parse a connection string. Raises InvalidConfig; its message has none of the values.

    Spaces around keys, values and the whole string are removed, and so are empty pairs (`;;`, a
    trailing `;`), a byte order mark, and quotes around the string. Unknown keys are kept unchanged.
    """
    stripped = _plain(text)
    if not stripped:
        raise InvalidConfig("The connection string is empty.", COPY_IT)
    if len(stripped.encode("utf-8", "surrogatepass")) > MAX_LENGTH:
        raise InvalidConfig(
            f"The connection string is {len(stripped)} characters long; "
            f"at most {MAX_LENGTH} bytes are valid."
        )
    if not stripped.isprintable():
        raise InvalidConfig("The connection string has line breaks or control characters.", COPY_IT)
    if GUID.fullmatch(stripped):
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
        if problem := value_problem(name, value):
            raise InvalidConfig(f"The {name} of the connection string {problem}.", COPY_IT)
        if name == "Authorization" and value.lower() != "ikey":
            raise InvalidConfig(
                "The connection string has an Authorization other than 'ikey', which isn't "
                "supported.",
                COPY_IT,
            )
        pairs[name] = value
    if KEY not in pairs:
        raise InvalidConfig("The connection string has no InstrumentationKey.", COPY_IT)
    return ConnectionString(tuple(pairs.items()))


def is_key_vault_reference(text: str) -> bool:
    """Whether an app setting's value is a Key Vault reference, which Azure resolves."""
    return text.strip().lower().startswith("@microsoft.keyvault(")


def is_app_configuration_reference(text: str) -> bool:
    """Whether an app setting's value is an App Configuration reference, which Azure resolves."""
    return text.strip().lower().startswith("@microsoft.appconfiguration(")


def is_reference(text: str) -> bool:
    """Whether an app setting's value names where App Service finds the value."""
    return is_key_vault_reference(text) or is_app_configuration_reference(text)


def mask(text: str) -> str:
    """A connection string from an app setting, masked for output.

    Never raises: a value that can't be parsed is masked entirely. A reference isn't masked.
    """
    if is_reference(text):
        return text.strip() if text.isprintable() else _MASK
    try:
        return parse(text).masked
    except InvalidConfig:
        return _MASK


def value_problem(name: str, value: str) -> str | None:
    """The reason why a known key can't have this value."""
    if name in _GUIDS and not GUID.fullmatch(value):
        return "is not a GUID (8-4-4-4-12 hex digits with hyphens)"
    if name in _ENDPOINTS:
        url = _parse_url(value)
        plain = url is not None and not url.username and not url.query and not url.fragment
        if url is None or not plain or url.scheme != "https" or not url.hostname:
            return "is not an https address (https://host, with no user, query or fragment)"
        if name == INGESTION and url.path.rstrip("/").endswith((TRACK, "/v2/track")):
            return f"ends with {TRACK}, which the exporter appends itself"
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
