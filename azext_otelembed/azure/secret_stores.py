"""Key vaults and App Configuration stores: their ids, and how they give access."""

from __future__ import annotations

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import required_object_at, text_at

RESOURCES_API = "2021-04-01"
VAULTS_API = "2023-07-01"
VAULT = "Microsoft.KeyVault/vaults"
STORE = "Microsoft.AppConfiguration/configurationStores"


def find_id(arm: Arm, subscription: str, kind: str, name: str) -> str | None:
    """The id of the vault or store of this name, None if none is visible in the subscription.

    Names are unique in Azure ("Resources - List" and its `$filter`, learn.microsoft.com).
    """
    what = f"Resources of type {kind}"
    query = f"resourceType eq '{kind}' and name eq '{name}'"
    path = f"/subscriptions/{subscription}/resources"
    found = arm.get_all(what, path, RESOURCES_API, **{"$filter": query})
    ids = [text_at(what, one, "id") for one in found]
    return next((one for one in ids if one.lower().endswith(f"/{kind}/{name}".lower())), None)


def uses_roles(arm: Arm, vault_id: str) -> bool:
    """Whether roles give access to a vault, and not access policies ("Vaults - Get")."""
    what = f"Key vault '{vault_id.rpartition('/')[2]}'"
    properties = required_object_at(what, arm.get(what, vault_id, VAULTS_API), "properties")
    return properties.get("enableRbacAuthorization") is True
