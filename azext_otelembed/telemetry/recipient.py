"""Which Application Insights component a site's telemetry goes to."""

from __future__ import annotations

from azext_otelembed.azure import components
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.components import Component
from azext_otelembed.collector.connection_string import is_reference, parse
from azext_otelembed.errors import InvalidConfig, NotFound, OtelembedError
from azext_otelembed.webapp.observe import SETTING, Observed
from azext_otelembed.webapp.setting import find_by_key, linked_component

NAME_IT = "Name it with --app-insights <name or id>."


def recipient(arm: Arm, observed: Observed, value: str, app_insights: str | None) -> Component:
    """The component with the instrumentation key of `value`, the site's connection string.

    It is looked for in what `app_insights` names (a name or an id), in the resource group of the
    site, then in the subscription, and in what is linked on the site, whatever its subscription.
    A reference (to a Key Vault secret, to App Configuration) doesn't tell its key: then it is the
    component that `app_insights` names, the one linked on the site, or the only one in its resource
    group. Raises `NotFound` if there is none.
    """
    site = observed.id
    named = (
        components.find(arm, site.subscription, site.group, app_insights) if app_insights else None
    )
    if is_reference(value):
        return named or _expected(arm, observed)
    key = _key(value)
    if key is None:
        raise NotFound(f"The app setting {SETTING} of {site} is no valid connection string.")
    if named is not None and named.instrumentation_key.lower() == key:
        return named
    if found := find_by_key(arm, site, key):
        return found
    if (linked := _linked(arm, observed)) and linked.instrumentation_key.lower() == key:
        return linked
    raise NotFound(
        f"No Application Insights component of subscription '{site.subscription}' that you can see "
        f"has the instrumentation key of the app setting {SETTING}.",
        "If it lies in another subscription, give its id: `--app-insights <id>`.",
    )


def _linked(arm: Arm, observed: Observed) -> Component | None:
    """The component linked on the site, if it can be read."""
    linked = linked_component(observed.tags)
    try:
        return components.get(arm, linked) if linked else None
    except OtelembedError:
        return None


def _expected(arm: Arm, observed: Observed) -> Component:
    if linked := linked_component(observed.tags):
        return components.get(arm, linked)
    found = components.find_all(arm, observed.id.subscription, observed.id.group)
    if len(found) == 1:
        return found[0]
    raise NotFound(
        f"The app setting {SETTING} of {observed.id} is a reference, which doesn't tell the "
        f"component, and resource group '{observed.id.group}' has {len(found) or 'no'} "
        "Application Insights components.",
        NAME_IT,
    )


def _key(connection_string: str) -> str | None:
    try:
        return parse(connection_string).instrumentation_key.lower()
    except InvalidConfig:
        return None
