"""The component that a site's connection string belongs to, and what keeps telemetry from it.

`status`, `deploy` and `doctor` ask the same: reads only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from azext_otelembed.azure import components
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import object_at
from azext_otelembed.azure.components import Component, Refusal
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.collector.connection_string import is_reference, parse
from azext_otelembed.collector.destination import (
    PUBLIC_ENDPOINT,
    destination,
    is_zero_key,
    problems,
)
from azext_otelembed.errors import InvalidConfig, OtelembedError, Refused
from azext_otelembed.webapp.key_vault import reference_note
from azext_otelembed.webapp.observe import SETTING, Observed
from azext_otelembed.webapp.setting import Setting, linked_component, with_key

_AZURE = (
    ".applicationinsights.azure.com",
    ".applicationinsights.azure.cn",
    ".applicationinsights.us",
    ".services.visualstudio.com",
)
"""Ends of Application Insights' own hosts, in the public cloud and the sovereign ones."""


@dataclass(frozen=True, slots=True)
class Match:
    """Whether telemetry that is sent with a setting gets to the component that it is meant for.

    `matches` is None where that couldn't be found out; `note` is a phrase about the setting that
    says why it doesn't match, or isn't known to. `component` is the expected one, if any.
    `is_set_in_order`: a deploy without an option for it sets it in order.
    """

    component: Component | None
    matches: bool | None
    note: str = ""
    is_set_in_order: bool = False


def match_setting(
    client: SiteClient,
    arm: Callable[[], Arm],
    observed: Observed,
    value: str,
    app_insights: str | None = None,
) -> Match:
    """Compares the bytes of the app setting `value`, as the exporter parses them, with components.

    The expected component is `app_insights`, else the one linked on the site, else the one among
    those of the resource group and the subscription that has the key.
    """
    if is_reference(value):
        return Match(None, *reference_note(client, arm, observed, value))
    if found := problems(value):
        return Match(None, False, f"malformed: {'; '.join(found)}", _is_set_in_order(value))
    sent = destination(value)
    key, site = sent.instrumentation_key, observed.id
    try:
        if app_insights:
            named = components.find(arm(), site.subscription, site.group, app_insights)
        elif linked := linked_component(observed.tags):
            named = components.get(arm(), linked)
        else:
            in_group = components.find_all(arm(), site.subscription, site.group)
            # One of another group may have been named at the deploy.
            by_key = with_key(in_group, key) or with_key(
                components.find_all(arm(), site.subscription), key
            )
            if by_key is None and len(in_group) != 1:
                return Match(None, False, _unknown(site))
            named = by_key or in_group[0]
    except OtelembedError as unseen:
        return Match(None, None, f"its component can't be read: {unseen.message}")
    try:
        own = parse(named.connection_string)
    except InvalidConfig:
        return Match(named, None, f"component '{named.name}' has no connection string to compare")
    if own.instrumentation_key.lower() != key.lower():
        return Match(named, False, f"not the key of component '{named.name}'")
    return _match_endpoint(named, sent.endpoint, own.ingestion_endpoint)


def refusals(
    arm: Arm, observed: Observed, component: Component, *, reads_quota: bool = True
) -> tuple[list[Refusal], Refusal | None, list[str]]:
    """Why `component` doesn't accept what the azuremonitor exporter of the site sends.

    Returns its refusals, that for its local authentication apart (a custom configuration may sign
    in with Entra ID), and notes on what couldn't be read.
    """
    notes: list[str] = []
    found = (
        []
        if _is_in_network(observed)
        else [components.network_refusal(arm, component, observed.id)]
    )
    try:
        found.append(components.quota_refusal(arm, component) if reads_quota else None)
    except OtelembedError as unread:
        notes.append(f"The daily cap was not checked: {unread.message}")
    local_auth = components.local_auth_refusal(arm, component)
    return [one for one in found if one], local_auth, notes


def check_setting(
    client: SiteClient,
    arm: Callable[[], Arm],
    observed: Observed,
    setting: Setting,
    *,
    sends_by_key: bool | None,
    signs_in: bool = False,
    reads_quota: bool = True,
) -> list[str]:
    """Problems that may keep telemetry from arriving with the setting of a release.

    `sends_by_key` tells whether the collector sends with the azuremonitor exporter, None where its
    configuration isn't known, and `signs_in` that it does so with Entra ID; `reads_quota` is as in
    `refusals`. Raises `Refused` where the component certainly accepts nothing.
    """
    match = Match(setting.component, True)
    if setting.component is None:
        match = match_setting(client, arm, observed, setting.value)
    if match.matches is False:
        return [f"the app setting {SETTING} is {match.note}"]
    if match.component is None:
        return []
    found, local_auth, _ = refusals(arm(), observed, match.component, reads_quota=reads_quota)
    reasons: list[str] = []
    for one in filter(None, [None if signs_in else local_auth, *found]):
        if sends_by_key and not one.is_temporary:
            raise Refused(f"{one.reason}.", one.fix)
        reasons.append(f"{one.reason}. {one.fix}")
    return reasons


def _unknown(site: SiteId) -> str:
    kind = ("--resource-type", "Microsoft.Insights/components")
    listing = site.caller.command("resource list", *kind, subscription=site.subscription)
    return (
        "the key of no Application Insights component that you can see in its subscription "
        f"(`{listing}`); name one of another subscription by its id with --app-insights"
    )


def _is_set_in_order(value: str) -> bool:
    """Whether a malformed string is one that `deploy` accepts, and sets in order."""
    try:
        return not is_zero_key(parse(value).instrumentation_key)
    except InvalidConfig:
        return False


def _match_endpoint(component: Component, endpoint: str, own: str | None) -> Match:
    """Whether the exporter sends to `own`, the component's endpoint.

    An endpoint outside of Azure may be a proxy of the user's.
    """
    host, wanted = urlsplit(endpoint).netloc.lower(), urlsplit(own or "").netloc.lower()
    if not own or host == wanted:
        return Match(component, True)
    if endpoint == PUBLIC_ENDPOINT:
        note = (
            f"without the IngestionEndpoint of component '{component.name}': the exporter sends to "
            f"{PUBLIC_ENDPOINT}"
        )
        return Match(component, False, note, is_set_in_order=True)
    note = f"sent to {host}; the endpoint of component '{component.name}' is {wanted}"
    return Match(component, not host.endswith(_AZURE), note)


def _is_in_network(observed: Observed) -> bool:
    """Whether the site may reach a private link: VNet integration, or an App Service Environment.

    ("Integrate your app with an Azure virtual network", learn.microsoft.com.)
    """
    properties = object_at(str(observed.id), observed.resource, "properties")
    environment = properties.get("hostingEnvironmentProfile")
    return bool(properties.get("virtualNetworkSubnetId") or environment)
