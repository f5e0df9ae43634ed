"""The command that lets a site read the secret or key that its app setting refers to."""

from __future__ import annotations

import re

from azext_otelembed.az_commands import Verbatim, placeholder
from azext_otelembed.azure import secret_stores
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import object_at
from azext_otelembed.collector.connection_string import is_key_vault_reference
from azext_otelembed.errors import OtelembedError
from azext_otelembed.webapp.observe import Observed

VAULT = re.compile(r"SecretUri=https://([^./:;)]+)|VaultName=([^;)]+)", re.I)
"""The vault's name in a Key Vault reference."""
_STORE = re.compile(r"Endpoint=https://([^./:;)]+)", re.I)


def grant_command(arm: Arm, observed: Observed, reference: str) -> str:
    """`az role assignment create …` (or `az keyvault set-policy …`) for the identity of the site.

    The identity's principal id and the id of the vault or store are filled in where they can be
    read, else they are placeholders.
    """
    site = observed.id
    principal = _principal_id(observed) or placeholder("its principal id")
    is_vault = is_key_vault_reference(reference)
    kind = secret_stores.VAULT if is_vault else secret_stores.STORE
    name = first_group(VAULT if is_vault else _STORE, reference)
    scope = _scope(arm, site.subscription, kind, name)
    if is_vault and scope and not _uses_roles(arm, scope):
        policy = ("-n", name, "--object-id", principal, "--secret-permissions", "get")
        return site.caller.command("keyvault set-policy", *policy, subscription=site.subscription)
    role = '"Key Vault Secrets User"' if is_vault else '"App Configuration Data Reader"'
    words = (
        *("--role", Verbatim(role), "--assignee-object-id", principal),
        *("--assignee-principal-type", "ServicePrincipal"),
        *("--scope", scope or placeholder(f"the {'vault' if is_vault else 'store'}'s id")),
    )
    return site.caller.command("role assignment create", *words, subscription=None)


def first_group(pattern: re.Pattern[str], reference: str) -> str:
    """The group of `pattern` that matches in a reference; empty if it doesn't match."""
    match = pattern.search(reference)
    return next(filter(None, match.groups()), "") if match else ""


def _principal_id(observed: Observed) -> str | None:
    """The identity that resolves references: the one in `keyVaultReferenceIdentity`, else the
    system-assigned one ("Use Key Vault references as app settings", learn.microsoft.com).
    """
    what = str(observed.id)
    properties = object_at(what, observed.resource, "properties")
    name = "keyVaultReferenceIdentity"
    wanted = str(properties.get(name) or observed.configuration.get(name) or "SystemAssigned")
    identity = object_at(what, observed.resource, "identity")
    if wanted.lower() == "systemassigned":
        return str(identity.get("principalId") or "") or None
    assigned = object_at(what, identity, "userAssignedIdentities")
    for resource_id in assigned:
        if resource_id.lower() == wanted.lower():
            return str(object_at(what, assigned, resource_id).get("principalId") or "") or None
    return None


def _scope(arm: Arm, subscription: str, kind: str, name: str) -> str | None:
    try:
        return secret_stores.find_id(arm, subscription, kind, name) if name else None
    except OtelembedError:
        return None


def _uses_roles(arm: Arm, vault_id: str) -> bool:
    try:
        return secret_stores.uses_roles(arm, vault_id)
    except OtelembedError:
        return True
