"""Key Vault references: resolved only where vault, secret and the site's identity allow it."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import pytest

from localazure.state import Vault
from tests.localazure.arm_support import GROUP, Arm
from tests.localazure.runtime_support import RuntimeFixture, server_image

FIRST, SECOND = "1" * 32, "2" * 32
SECRETS = {"Key": {FIRST: "old", SECOND: "new"}, "empty": {}}
_NUMBERS = itertools.count(1)


def reference(arm: Arm, site: str) -> dict[str, Any]:
    """What ARM tells about the setting KEY."""
    found = arm.get(f"{site}/config/configreferences/appsettings/KEY")
    return dict(found["properties"])


def principal(arm: Arm, site: str) -> str:
    return str(arm.get(site)["identity"]["principalId"])


def vault(arm: Arm, *readers: str, **spec: Any) -> tuple[str, str]:
    """Name and id of a new vault, with an access policy for `readers`."""
    name = f"Vault{next(_NUMBERS)}"
    fields = {"name": name, "group": GROUP, "secrets": SECRETS, "readers": list(readers), **spec}
    return name, arm.azure.add_vault(fields)["id"]


def refer(arm: Arm, site: str, text: str) -> dict[str, Any]:
    """Sets KEY to a reference, and returns what ARM tells about it."""
    settings = {"properties": {"KEY": f"@Microsoft.KeyVault({text})"}}
    arm.call("PUT", f"{site}/config/appsettings", settings)
    return reference(arm, site)


@pytest.mark.parametrize(
    ("text", "status", "version"),
    [
        ("SecretUri=https://{0}.vault.azure.net/secrets/key", "Resolved", SECOND),
        ("SecretUri=https://{0}.vault.azure.net/secrets/key/", "Resolved", SECOND),
        (f"secreturi=https://{{0}}.vault.azure.net/secrets/KEY/{FIRST}", "Resolved", FIRST),
        ("VaultName={0};SecretName=key", "Resolved", SECOND),
        (f"VaultName={{0}};SecretName=key;SecretVersion={FIRST}", "Resolved", FIRST),
        (f"VaultName={{0}};SecretName=key;SecretVersion={'3' * 32}", "SecretVersionNotFound", None),
        ("VaultName={0};SecretName=other", "SecretNotFound", None),
        ("VaultName={0};SecretName=empty", "SecretNotFound", None),
        ("VaultName=none;SecretName=key", "VaultNotFound", None),
        ("VaultName={0}", "InvalidSyntax", None),
        ("SecretUri=http://{0}.vault.azure.net/secrets/key", "InvalidSyntax", None),
        ("SecretUri=https://{0}.vault.azure.net/keys/key", "InvalidSyntax", None),
        ("", "InvalidSyntax", None),
    ],
)
def test_a_reference_is_resolved_if_its_secret_exists(
    arm: Arm, text: str, status: str, version: str | None
) -> None:
    site = arm.site(system_identity=True)
    name, _ = vault(arm, principal(arm, site))
    found = refer(arm, site, text.format(name))
    assert (found["status"], found["activeVersion"]) == (status, version)
    assert (found["details"] is None) is (status == "Resolved")
    assert "new" not in str(found)


def test_a_site_needs_an_identity_and_a_right(arm: Arm) -> None:
    site = arm.site()
    name, _ = vault(arm)
    assert refer(arm, site, f"VaultName={name};SecretName=key")["status"] == "MSINotEnabled"
    arm.call("PATCH", site, {"identity": {"type": "SystemAssigned"}})
    found = reference(arm, site)
    assert found["status"] == "AccessToKeyVaultDenied"
    assert "denied access" in found["details"]
    arm.azure.add_vault(
        {"name": name, "group": GROUP, "secrets": SECRETS, "readers": [principal(arm, site)]}
    )
    assert reference(arm, site)["status"] == "Resolved"


def test_a_vault_with_roles_ignores_access_policies(arm: Arm) -> None:
    site = arm.site(system_identity=True)
    mine = principal(arm, site)
    name, identifier = vault(arm, mine, rbac=True)
    denied = refer(arm, site, f"VaultName={name};SecretName=key")
    assert denied["status"] == "AccessToKeyVaultDenied"
    role = "4633458b-17de-408a-b874-0445c86b69e6"
    definition = f"{arm.subscription}/providers/Microsoft.Authorization/roleDefinitions/{role}"
    body = {"properties": {"principalId": mine, "roleDefinitionId": definition}}
    path = f"{identifier}/providers/Microsoft.Authorization/roleAssignments/{mine}"
    made = arm.call("PUT", path, body, "2022-04-01")
    assert made.status_code == 201, made.text
    assert reference(arm, site)["status"] == "Resolved"


def test_the_reference_identity_counts_and_must_be_one_of_the_sites(arm: Arm) -> None:
    path = arm.provider("Microsoft.ManagedIdentity/userAssignedIdentities/reader")
    user = arm.call("PUT", path, {"location": "westeurope"}, "2023-01-31").json()
    site = arm.site(system_identity=True)
    name, _ = vault(arm, user["properties"]["principalId"])
    text = f"VaultName={name};SecretName=key"
    assert refer(arm, site, text)["status"] == "AccessToKeyVaultDenied"
    chosen = {"properties": {"keyVaultReferenceIdentity": user["id"]}}
    arm.call("PATCH", site, chosen)
    assert reference(arm, site)["status"] == "MSINotEnabled"
    identity = {"type": "SystemAssigned, UserAssigned", "userAssignedIdentities": {path: {}}}
    arm.call("PATCH", site, {"identity": identity})
    found = reference(arm, site)
    assert found["status"] == "Resolved"
    assert found["identityType"]["type"] == "UserAssigned"


async def test_a_container_gets_the_secrets_value_or_else_the_reference(
    here: RuntimeFixture,
) -> None:
    text = "@Microsoft.KeyVault(VaultName=shop;SecretName=key)"
    other = "@Microsoft.KeyVault(VaultName=shop;SecretName=other)"
    site = await here.site(here.push(server_image()), app_settings={"KEY": text, "OTHER": other})
    assert (await here.facts(site))["env"]["KEY"] == text
    assert site.system_identity is not None
    readers = [site.system_identity.principal_id]
    here.double.state.vaults["shop"] = Vault("shop", GROUP, SECRETS, readers)
    await here.set(site, MORE="1")
    while "MORE" not in (env := (await here.facts(site))["env"]):
        await asyncio.sleep(0.05)
    assert (env["KEY"], env["APPSETTING_KEY"], env["OTHER"]) == ("new", "new", other)
