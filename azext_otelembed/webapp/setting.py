"""Which connection string the site is to have, and where it comes from."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from azext_otelembed.az_commands import placeholder
from azext_otelembed.azure import components
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.components import Component
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.collector.connection_string import (
    COPY_IT,
    ConnectionString,
    completed,
    differences,
    is_app_configuration_reference,
    is_key_vault_reference,
    is_reference,
    mask,
    parse,
)
from azext_otelembed.collector.destination import is_zero_key
from azext_otelembed.errors import InvalidConfig, InvalidInput, NotFound, OtelembedError
from azext_otelembed.webapp.observe import SETTING, Observed

HIDDEN_LINK = "hidden-link: /app-insights-resource-id"
SECRET_URI = re.compile(
    r"https://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/secrets/[A-Za-z0-9-]+(?:/[0-9A-Fa-f]*)?"
)


@dataclass(frozen=True, slots=True)
class SettingOptions:
    """Where the telemetry is to go, as the caller says; at most one of these is given.

    `connection_string` is a secret, `app_insights` a component's name or id, `secret_uri` the URI
    of a Key Vault secret.
    """

    connection_string: str | None = field(default=None, repr=False)
    app_insights: str | None = None
    secret_uri: str | None = None


@dataclass(frozen=True, slots=True)
class Setting:
    """The connection string to set (a secret: no repr), its source, and its masked form.

    `normalised` tells what was changed of the value as it was given. `component` is the one that
    the value belongs to, where that was read.
    """

    value: str = field(repr=False)
    source: str
    masked: str
    normalised: tuple[str, ...] = ()
    component: Component | None = None


def resolve(observed: Observed, options: SettingOptions, arm: Callable[[], Arm]) -> Setting:
    """The setting that the site is to have.

    The first of these that there is: the value given, the Key Vault secret, the component named,
    the site's present value, the component linked on the site, the only component of its resource
    group. A value without an IngestionEndpoint gets that of its component: the exporter would send
    to the public endpoint. Raises `InvalidInput` for a malformed value or several components,
    `NotFound` for none.
    """
    site = observed.id
    if options.connection_string is not None:
        return _given(options.connection_string, site, arm)
    if options.secret_uri is not None:
        return _key_vault(options.secret_uri, site)
    if options.app_insights is not None:
        named = components.find(arm(), site.subscription, site.group, options.app_insights)
        return _of_component(named, "--app-insights")
    if present := observed.setting:
        if is_reference(present):
            return Setting(present, "already set", mask(present))
        return _parsed(present, "already set", f"The app setting {SETTING} of {site}", site, arm)
    if linked := linked_component(observed.tags):
        return _of_component(components.get(arm(), linked), "linked on the site")
    return _only(components.find_all(arm(), site.subscription, site.group), observed)


def linked_component(tags: Mapping[str, str]) -> str | None:
    """The id of the component that the portal linked to the site, if any."""
    for name, value in tags.items():
        if name.lower().startswith(HIDDEN_LINK) and value.startswith("/"):
            return value
    return None


def find_by_key(arm: Arm, site: SiteId, key: str) -> Component | None:
    """The component with this key in the site's group, or else in its subscription."""
    in_group = components.find_all(arm, site.subscription, site.group)
    return with_key(in_group, key) or with_key(components.find_all(arm, site.subscription), key)


def with_key(found: Sequence[Component], key: str) -> Component | None:
    """The component among these that has this instrumentation key."""
    return next((one for one in found if one.instrumentation_key.lower() == key.lower()), None)


def _given(value: str, site: SiteId, arm: Callable[[], Arm]) -> Setting:
    if is_key_vault_reference(value):
        raise InvalidInput(
            "--connection-string: this is a reference to a Key Vault secret.",
            "Give the secret's URI: `--connection-string-secret https://<vault>/secrets/<name>`.",
        )
    if is_app_configuration_reference(value):
        return Setting(value, "--connection-string", mask(value))
    if value.startswith("@"):
        raise InvalidInput(
            f"--connection-string: the file '{value[1:]}' doesn't exist or can't be read.",
            "Give the path of a file that holds the connection string, such as "
            "`--connection-string @appinsights.txt`, or - for standard input.",
        )
    return _parsed(value, "--connection-string", "--connection-string", site, arm)


def _key_vault(uri: str, site: SiteId) -> Setting:
    """A reference to a Key Vault secret, which App Service resolves with the site's identity."""
    if not SECRET_URI.fullmatch(uri):
        named = ("--vault-name", placeholder("vault"), "-n", placeholder("name"))
        words = (*named, "--query", "id", "-o", "tsv")
        show = site.caller.command("keyvault secret show", *words, subscription=site.subscription)
        raise InvalidInput(
            "--connection-string-secret isn't the URI of a Key Vault secret.",
            "It is like https://myvault.vault.azure.net/secrets/appinsights, with or without a "
            f"version: `{show}`.",
        )
    value = f"@Microsoft.KeyVault(SecretUri={uri})"
    return Setting(value, "--connection-string-secret", value)


def _of_component(component: Component, how: str) -> Setting:
    what = f"Application Insights component '{component.name}'"
    if not component.connection_string:
        raise NotFound(f"{what} has no connection string yet.", "Try again in a minute.")
    parsed = completed(_parse(component.connection_string, what), None)
    source = f"component '{component.name}' ({how})"
    return Setting(parsed.normalised, source, parsed.masked, component=component)


def _parsed(value: str, source: str, what: str, site: SiteId, arm: Callable[[], Arm]) -> Setting:
    """The value in order, completed with the IngestionEndpoint that it lacks, where that is known.

    The key's component may be in another subscription, or not be readable.
    """
    parsed = completed(_parse(value, what), None)
    component = None
    if parsed.ingestion_endpoint is None:
        with suppress(OtelembedError):
            component = find_by_key(arm(), site, parsed.instrumentation_key)
        if component is not None:
            own = _parse(component.connection_string, f"component '{component.name}'")
            parsed = completed(parsed, own.ingestion_endpoint)
    changes = differences(value, parsed)
    return Setting(parsed.normalised, source, parsed.masked, changes, component)


def _parse(value: str, what: str) -> ConnectionString:
    try:
        parsed = parse(value)
    except InvalidConfig as problem:
        raise InvalidInput(
            f"{what}: {problem.message}", problem.recommendation or COPY_IT
        ) from None
    if is_zero_key(parsed.instrumentation_key):
        raise InvalidInput(
            f"{what}: The InstrumentationKey is all zeros, as in examples: it belongs to no "
            "Application Insights component.",
            COPY_IT,
        )
    return parsed


def _only(components: Sequence[Component], observed: Observed) -> Setting:
    if len(components) == 1:
        return _of_component(components[0], f"the only one in '{observed.id.group}'")
    name = "--app-insights"
    if not components:
        raise NotFound(
            f"{observed.id} has no app setting {SETTING}, no linked Application Insights "
            f"component, and resource group '{observed.id.group}' has none either.",
            f"Name one with {name} <name or id>, or give --connection-string @file.",
        )
    names = ", ".join(f"'{component.name}'" for component in components)
    raise InvalidInput(
        f"Resource group '{observed.id.group}' has {len(components)} Application Insights "
        f"components to choose from: {names}.",
        f"Choose one: `{name} {components[0].name}`.",
    )
