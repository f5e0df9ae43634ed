"""The subscriptions that the caller sees."""

from __future__ import annotations

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import text

SUBSCRIPTIONS_API = "2022-12-01"


def subscriptions(arm: Arm) -> dict[str, str]:
    """The names of all subscriptions that the caller sees, by id."""
    what = "Subscriptions"
    listed = arm.get_all(what, "/subscriptions", SUBSCRIPTIONS_API)
    return {text(what, one, "subscriptionId"): str(one.get("displayName")) for one in listed}
