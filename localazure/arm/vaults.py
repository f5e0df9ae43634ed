"""Microsoft.KeyVault vaults and App Configuration stores, as resources."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response

from localazure.arm import errors
from localazure.arm.call import Call
from localazure.arm.responses import arm
from localazure.arm.routing import GROUP, Route

VAULT = "Microsoft.KeyVault/vaults"
STORE = "Microsoft.AppConfiguration/configurationStores"


def summary(resource_id: str, kind: str) -> dict[str, Any]:
    """The entry in the list of all resources."""
    name = resource_id.rpartition("/")[2]
    return {"id": resource_id, "name": name, "type": kind, "location": "westeurope", "tags": {}}


async def get_vault(call: Call) -> Response:
    """GET of a vault. `accessPolicies` is empty where roles count."""
    name = call.names["vault"]
    found = call.state.vaults.get(name.lower())
    if found is None:
        raise errors.resource_not_found(VAULT, name, call.group().name)
    policies = [
        {"tenantId": call.state.tenant, "objectId": one, "permissions": {"secrets": ["get"]}}
        for one in ([] if found.rbac else found.readers)
    ]
    properties = {
        "tenantId": call.state.tenant,
        "enableRbacAuthorization": found.rbac,
        "accessPolicies": policies,
        "vaultUri": f"https://{found.name.lower()}.vault.azure.net/",
        "provisioningState": "Succeeded",
    }
    return arm(200, {**summary(call.state.vault_id(found), VAULT), "properties": properties})


ROUTES = (Route("GET", f"{GROUP}/providers/{VAULT}/{{vault}}", get_vault),)
