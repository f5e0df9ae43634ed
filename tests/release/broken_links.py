"""Ways to break the chain from a site to Application Insights, and the link that breaks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from tests.e2e.support import SETTING, Site

Break = Callable[[Site], None]


@dataclass(frozen=True, slots=True)
class Row:
    """A row of the table: its title, what breaks the site, and the links that doctor calls broken.

    `change_back` undoes what doesn't lie in the app settings.
    """

    title: str
    change: Break
    broken: tuple[str, ...]
    change_back: Break = lambda _site: None


def _value(site: Site) -> str:
    return site.cloud.connection_string(site.component or "")


def _set(edit: Callable[[str], str | None]) -> Break:
    return lambda site: site.set(**{SETTING: edit(_value(site))})


def _variables(**settings: str) -> Break:
    return lambda site: site.set(**settings)


def _component(**fields: object) -> Break:
    return lambda site: site.cloud.local.change_component(site.component or "", **fields)


def _without_endpoint(text: str) -> str:
    return ";".join(one for one in text.split(";") if not one.startswith("IngestionEndpoint"))


def _without_right(site: Site) -> None:
    site.configure(acrUseManagedIdentityCreds=False)


def _with_right(site: Site) -> None:
    site.configure(acrUseManagedIdentityCreds=True)


ZERO = "00000000-0000-0000-0000-000000000000"
DEAD_BY_SETTING = ("collector", "setting")
"""The exporter accepts no such setting: the collector exits at its start."""
ROWS = (
    Row("the right to pull is gone", _without_right, ("pull",), _with_right),
    Row("no app setting", _set(lambda _text: None), DEAD_BY_SETTING),
    Row("a trailing ';'", _set(lambda text: f"{text};"), DEAD_BY_SETTING),
    Row(
        "a lower-case key",
        _set(lambda text: text.replace("InstrumentationKey", "instrumentationkey")),
        DEAD_BY_SETTING,
    ),
    Row(
        "only an EndpointSuffix",
        _set(lambda text: f"{_without_endpoint(text)};EndpointSuffix=localhost"),
        ("setting",),
    ),
    Row("no IngestionEndpoint", _set(_without_endpoint), ("setting",)),
    Row(
        "the key of examples",
        _set(lambda text: f"InstrumentationKey={ZERO};{text.partition(';')[2]}"),
        ("setting",),
    ),
    Row(
        "another component's key",
        _set(lambda text: f"InstrumentationKey=9{ZERO[1:]};{text.partition(';')[2]}"),
        ("setting",),
    ),
    Row(
        "a Key Vault reference without the right to read it",
        _set(
            lambda _text: "@Microsoft.KeyVault(SecretUri=https://links.vault.azure.net/secrets/a)"
        ),
        DEAD_BY_SETTING,
    ),
    Row(
        "DisableLocalAuth",
        _component(disable_local_auth=True),
        ("endpoint",),
        _component(disable_local_auth=False),
    ),
    Row(
        "publicNetworkAccessForIngestion disabled",
        _component(public_ingestion="Disabled"),
        ("endpoint",),
        _component(public_ingestion="Enabled"),
    ),
    Row(
        "the daily cap is reached",
        _component(over_quota=True),
        ("endpoint",),
        _component(over_quota=False),
    ),
    Row("OTEL_SDK_DISABLED", _variables(OTEL_SDK_DISABLED="true"), ("app",)),
    Row("OTEL_TRACES_EXPORTER=none", _variables(OTEL_TRACES_EXPORTER="none"), ("app",)),
    Row(
        "OTEL_EXPORTER_OTLP_ENDPOINT elsewhere",
        _variables(OTEL_EXPORTER_OTLP_ENDPOINT="https://otel.example.com"),
        ("app",),
    ),
    Row(
        "gRPC sent to the port for HTTP",
        _variables(
            OTEL_EXPORTER_OTLP_ENDPOINT="http://localhost:4318", OTEL_EXPORTER_OTLP_PROTOCOL="grpc"
        ),
        ("app",),
    ),
)
"""Each is tried on a site that runs embedded, and has sent nothing within the window."""


ALIKE = {
    *("a trailing ';'", "no IngestionEndpoint", "the key of examples"),
    *("publicNetworkAccessForIngestion disabled", "OTEL_TRACES_EXPORTER=none"),
    "OTEL_EXPORTER_OTLP_ENDPOINT elsewhere",
}
"""Rows that another one resembles."""


def undo(site: Site, settings: dict[str, str], row: Row) -> None:
    """Makes the site whole again; `settings` are its app settings from before."""
    row.change_back(site)
    added = dict.fromkeys(set(site.settings()) - set(settings))
    partial(site.set, **{**settings, **added})()
