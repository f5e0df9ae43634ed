"""Completions of argument values in the shell."""

from __future__ import annotations

from typing import Any

from azure.cli.core.decorators import Completer


@Completer
def site_names(cmd: Any, _prefix: str, namespace: Any, **_: Any) -> list[str]:
    """The Web Apps of the resource group on the command line, or of the subscription."""
    group = getattr(namespace, "resource_group_name", None)
    return _names(cmd, (f"/resourceGroups/{group}" if group else "") + _SITES)


@Completer
def slot_names(cmd: Any, _prefix: str, namespace: Any, **_: Any) -> list[str]:
    """The slots of the Web App on the command line."""
    group = getattr(namespace, "resource_group_name", None)
    name = getattr(namespace, "name", None)
    if not group or not name:
        return []
    listed = _names(cmd, f"/resourceGroups/{group}{_SITES}/{name}/slots")
    return [slot.partition("/")[2] for slot in listed]


_SITES = "/providers/Microsoft.Web/sites"


def _names(cmd: Any, path: str) -> list[str]:
    from azext_otelembed.azure.arm import Arm
    from azext_otelembed.azure.arm_json import text_at
    from azext_otelembed.azure.sign_in import from_az
    from azext_otelembed.azure.sites import API_VERSION
    from azext_otelembed.deadline import COMPLETION, Deadline
    from azext_otelembed.printable import one_line

    session = from_az(cmd.cli_ctx, Deadline(longest=COMPLETION))
    path = f"/subscriptions/{session.subscription}{path}"
    found = Arm(session).get_all("Web Apps", path, API_VERSION)
    names = (text_at("Web Apps", item, "name") for item in found)
    return [name for name in names if name == one_line(name)]
