"""Application Insights components."""

from __future__ import annotations

from dataclasses import dataclass

from azext_otelembed.az_commands import Caller, Verbatim
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import Json, required_object_at, text_at
from azext_otelembed.errors import InvalidInput, NotFound

API_VERSION = "2020-02-02"
IDS = Verbatim('"[].id"')
PROVIDER = "providers/Microsoft.Insights/components"


@dataclass(frozen=True, slots=True)
class Component:
    """A component; `connection_string` is a secret."""

    id: str
    name: str
    connection_string: str


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
    )
