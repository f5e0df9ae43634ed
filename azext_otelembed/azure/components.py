"""Application Insights components: their connection strings, and whether they accept telemetry."""

from __future__ import annotations

from dataclasses import dataclass, field

from azext_otelembed.az_commands import Caller, Verbatim, placeholder
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import Json, object_at, required_object_at, text_at
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.errors import InvalidInput, NotFound

API_VERSION = "2020-02-02"
QUOTA_API = "2015-05-01"
WORKSPACE_API = "2023-09-01"
IDS = Verbatim('"[].id"')
PROVIDER = "providers/Microsoft.Insights/components"


@dataclass(frozen=True, slots=True)
class Component:
    """A component; `connection_string` is a secret.

    `local_auth` is false where only senders with Entra ID are accepted, `public_ingestion` where
    only senders on a private link are. `workspace` is the id of its Log Analytics workspace.
    """

    id: str
    name: str
    connection_string: str = field(repr=False)
    instrumentation_key: str = field(repr=False, default="")
    local_auth: bool = True
    public_ingestion: bool = True
    workspace: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a component doesn't accept what the exporter sends, and how to change that.

    `is_temporary`: telemetry is accepted again without a change.
    """

    reason: str
    fix: str
    is_temporary: bool = False


def get(arm: Arm, resource_id: str, label: str = "") -> Component:
    """The component with this ARM id. Raises `NotFound`, which names it by `label` if given."""
    what = f"Application Insights component {label or repr(resource_id)}"
    try:
        response = arm.get(what, resource_id, API_VERSION)
    except NotFound:
        raise NotFound(
            f"{what} was not found.",
            f"List the components with `{_list_command(arm.caller, resource_id, '-o', 'table')}`.",
        ) from None
    return _component(arm, what, response)


def find(arm: Arm, subscription: str, group: str, name_or_id: str) -> Component:
    """The component of `--app-insights`: a name in the site's resource group, or an ARM id."""
    if name_or_id.startswith("/"):
        if "/microsoft.insights/components/" not in name_or_id.lower():
            raise InvalidInput(
                f"'{name_or_id}' isn't the id of an Application Insights component.",
                "Give a component's name or its id: "
                f"`{_list_command(arm.caller, name_or_id, '--query', IDS)}`.",
            )
        return get(arm, name_or_id)
    path = f"/subscriptions/{subscription}/resourceGroups/{group}/{PROVIDER}/{name_or_id}"
    return get(arm, path, f"'{name_or_id}' of resource group '{group}'")


def find_all(arm: Arm, subscription: str, group: str | None = None) -> list[Component]:
    """All components of a resource group or a subscription, by name."""
    where = "the subscription" if group is None else f"resource group '{group}'"
    what = f"Application Insights components of {where}"
    scope = f"/subscriptions/{subscription}" + (f"/resourceGroups/{group}" if group else "")
    found = arm.get_all(what, f"{scope}/{PROVIDER}", API_VERSION)
    return sorted((_component(arm, what, item) for item in found), key=lambda one: one.name)


def local_auth_refusal(arm: Arm, component: Component) -> Refusal | None:
    """The refusal of a component that accepts senders with Entra ID only.

    The azuremonitor exporter signs in only with an extension (`auth`), and gets 401 without.
    """
    if component.local_auth:
        return None
    enable = _update_command(arm.caller, component, "properties.DisableLocalAuth=false")
    return Refusal(
        f"{_named(component)} has local authentication disabled (DisableLocalAuth): it accepts "
        "only senders that sign in with Entra ID, which the azuremonitor exporter "
        "of the default configuration doesn't do",
        f"Name another component with --app-insights, enable it with `{enable}`, or let the "
        "collector sign in with the site's identity: docs/entra-id.md.",
    )


def network_refusal(arm: Arm, component: Component, site: SiteId) -> Refusal | None:
    """The refusal of a component that accepts senders on a private link only ("Design your Azure
    Private Link setup", learn.microsoft.com), for a site outside of any virtual network.
    """
    if component.public_ingestion:
        return None
    words = "properties.publicNetworkAccessForIngestion=Enabled"
    enable = _update_command(arm.caller, component, words)
    network = ("--vnet", placeholder("network"), "--subnet", placeholder("subnet"))
    connect = site.command("webapp vnet-integration add", *network)
    return Refusal(
        f"{_named(component)} accepts no telemetry from public networks "
        f"(publicNetworkAccessForIngestion is Disabled), and {site} is in no virtual network",
        f"Connect the site to the network of the component's private link scope with `{connect}`, "
        f"or allow public networks with `{enable}`.",
    )


def quota_refusal(arm: Arm, component: Component) -> Refusal | None:
    """The refusal of a component whose daily cap, or that of its workspace, is reached.

    Two requests. The cap of a component: "Component Quota Status - Get"; that of a workspace:
    `workspaceCapping` of "Workspaces - Get" (REST references, learn.microsoft.com). The smaller one
    of the two is effective.
    """
    what = f"Daily cap of {_named(component)}"
    quota = arm.get(what, f"{component.id}/quotastatus", QUOTA_API)
    if quota.get("ShouldBeThrottled") is True:
        until = str(quota.get("ExpirationTime") or "the next day")
        raise_it = arm.caller.command(
            "monitor app-insights component billing update",
            *("--ids", component.id, "--cap", placeholder("GB")),
            subscription=None,
        )
        return Refusal(
            f"{_named(component)} has reached its daily cap and discards telemetry until {until}",
            f"Wait, or raise the cap with `{raise_it}`.",
            is_temporary=True,
        )
    if not component.workspace.startswith("/"):
        return None
    name = component.workspace.rpartition("/")[2]
    what = f"Daily cap of Log Analytics workspace '{name}'"
    workspace = arm.get(what, component.workspace, WORKSPACE_API)
    capping = object_at(what, object_at(what, workspace, "properties"), "workspaceCapping")
    state = str(capping.get("dataIngestionStatus") or "")
    if state not in _STOPPED:
        return None
    until = str(capping.get("quotaNextResetTime") or "the next day")
    raise_it = arm.caller.command(
        "monitor log-analytics workspace update",
        *("--ids", component.workspace, "--quota", placeholder("GB")),
        subscription=None,
    )
    return Refusal(
        f"Log Analytics workspace '{name}' of {_named(component)} {_STOPPED[state]}",
        f"Wait until {until}, or raise the cap with `{raise_it}`."
        if state == "OverQuota"
        else "Ask its administrator.",
        is_temporary=state == "OverQuota",
    )


_STOPPED = {
    "OverQuota": "has reached its daily cap and discards telemetry",
    "ForceOff": "has its ingestion stopped by Azure",
    "SubscriptionSuspended": "discards telemetry: its subscription is suspended",
}
"""States of a workspace (`DataIngestionStatus`) in which it ingests nothing."""


def _named(component: Component) -> str:
    return f"Application Insights component '{component.name}'"


def _update_command(caller: Caller, component: Component, change: str) -> str:
    words = ("--ids", component.id, "--set", change)
    return caller.command("resource update", *words, subscription=None)


def _list_command(caller: Caller, resource_id: str, *options: str) -> str:
    """The command that lists the components of the subscription of `resource_id`."""
    first, _, rest = resource_id.lstrip("/").partition("/")
    subscription = rest.partition("/")[0] if first.lower() == "subscriptions" else None
    kind = ("--resource-type", "Microsoft.Insights/components")
    return caller.command("resource list", *kind, subscription=subscription, options=options)


def _component(arm: Arm, what: str, response: Json) -> Component:
    properties = required_object_at(what, response, "properties")
    connection_string = str(properties.get("ConnectionString") or "")
    arm.secrets.add_settings({"ConnectionString": connection_string})
    return Component(
        id=text_at(what, response, "id"),
        name=text_at(what, response, "name"),
        connection_string=connection_string,
        instrumentation_key=str(properties.get("InstrumentationKey") or ""),
        local_auth=properties.get("DisableLocalAuth") is not True,
        public_ingestion=properties.get("publicNetworkAccessForIngestion") != "Disabled",
        workspace=str(properties.get("WorkspaceResourceId") or ""),
    )
