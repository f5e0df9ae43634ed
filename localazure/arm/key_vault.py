"""References in app settings: the secret or key that one names, and whether the site can read it.

Statuses are those of azure-mgmt-web's ResolveStatus. Rules and syntax: learn.microsoft.com, "Use
Key Vault references as app settings". The details of MSINotEnabled and AccessToKeyVaultDenied are
as in public reports, those of the others are unconfirmed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from localazure.arm.access import roles_of
from localazure.state import Identity, Site, State, Vault

_REFERENCE = re.compile(r"@Microsoft\.KeyVault\((.*)\)", re.IGNORECASE)
_KEY_REFERENCE = re.compile(r"@Microsoft\.AppConfiguration\((.*)\)", re.IGNORECASE)
_STORE = re.compile(r"https://([^./]+)\.azconfig\.io/?", re.IGNORECASE)
_READER = "app configuration data reader"
_URI = re.compile(r"https://([^./]+)\.[^/]+/secrets/([^/]+)(?:/([^/]*))?/?", re.IGNORECASE)
_FAILED = "Key Vault reference was not able to be resolved because"
_DETAILS = {
    "InvalidSyntax": "The syntax of the reference is invalid.",
    "MSINotEnabled": "Reference was not able to be resolved because site Managed Identity not "
    "enabled.",
    "VaultNotFound": f"{_FAILED} the vault was not found.",
    "AccessToKeyVaultDenied": f"{_FAILED} site was denied access to Key Vault reference's vault.",
    "SecretNotFound": f"{_FAILED} the secret was not found in the vault.",
    "SecretVersionNotFound": f"{_FAILED} the version of the secret was not found.",
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A reference in a setting: what it names, and with `status` Resolved the secret's `value`."""

    status: str
    vault: str | None = None
    secret: str | None = None
    version: str = ""
    identity: dict[str, Any] | None = None
    active_version: str | None = None
    value: str | None = None

    @property
    def details(self) -> str | None:
        """Azure's words for a status that isn't Resolved."""
        return _DETAILS.get(self.status)


def values(state: State, site: Site) -> dict[str, str]:
    """The values of a site's references that are resolved, by setting."""
    found = {name: resolve(state, site, value) for name, value in site.app_settings.items()}
    secrets = {name: one.value for name, one in found.items() if one and one.value is not None}
    keys = {name: _key(state, site, value) for name, value in site.app_settings.items()}
    return secrets | {name: value for name, value in keys.items() if value is not None}


def _key(state: State, site: Site, value: str) -> str | None:
    """The value of a setting's App Configuration reference; None if it isn't resolved.

    ("Use App Configuration references for App Service and Azure Functions", learn.microsoft.com.)
    Labels aren't known here.
    """
    match = _KEY_REFERENCE.fullmatch(value.strip())
    if match is None:
        return None
    pairs = (part.partition("=") for part in match[1].split(";") if part.strip())
    parts = {name.strip().lower(): text.strip() for name, _, text in pairs}
    host = _STORE.fullmatch(parts.get("endpoint", ""))
    store = state.stores.get(host[1].lower()) if host else None
    identity, _ = _identity(site)
    if store is None or identity is None or "label" in parts:
        return None
    roles = roles_of(state, identity.principal_id, state.store_id(store))
    return store.values.get(parts.get("key", "")) if _READER in roles else None


def resolve(state: State, site: Site, value: str) -> Reference | None:
    """A setting's reference, read with the site's reference identity; None for another value."""
    match = _REFERENCE.fullmatch(value.strip())
    if match is None:
        return None
    names = _parse(match[1])
    if names is None:
        return Reference("InvalidSyntax")
    vault, secret, version = names
    identity, shown = _identity(site)
    status, active, text = "MSINotEnabled", None, None
    if identity is not None:
        status, active, text = _read(state, identity, *names)
    return Reference(status, vault, secret, version, shown, active, text)


def _parse(body: str) -> tuple[str, str, str] | None:
    """Vault, secret and version (empty for the newest) of `SecretUri=…` or `VaultName=…;…`."""
    pairs = (part.partition("=") for part in body.split(";") if part.strip())
    parts = {name.strip().lower(): value.strip() for name, _, value in pairs}
    if uri := parts.get("secreturi"):
        match = _URI.fullmatch(uri)
        return (match[1], match[2], match[3] or "") if match else None
    vault, secret = parts.get("vaultname"), parts.get("secretname")
    return (vault, secret, parts.get("secretversion", "")) if vault and secret else None


def _identity(site: Site) -> tuple[Identity | None, dict[str, Any]]:
    """The identity of `keyVaultReferenceIdentity`, if the site has it, and how Azure shows it."""
    name = "keyVaultReferenceIdentity"
    wanted = str(site.properties.get(name) or site.config.get(name) or "SystemAssigned")
    if wanted.lower() == "systemassigned":
        return site.system_identity, {"type": "SystemAssigned"}
    shown = {"type": "UserAssigned", "userAssignedIdentities": {wanted: {}}}
    for each in site.user_identities:
        if (each.resource_id or "").lower() == wanted.lower():
            return each, shown
    return None, shown


def _read(
    state: State, identity: Identity, vault: str, secret: str, version: str
) -> tuple[str, str | None, str | None]:
    """Status, version and value. Key Vault checks the right before it looks for the secret."""
    found = state.vaults.get(vault.lower())
    if found is None:
        return "VaultNotFound", None, None
    if not _may_read(state, found, secret, identity.principal_id):
        return "AccessToKeyVaultDenied", None, None
    versions = {name.lower(): held for name, held in found.secrets.items()}.get(secret.lower())
    if not versions:
        return "SecretNotFound", None, None
    chosen = version or list(versions)[-1]
    if chosen not in versions:
        return "SecretVersionNotFound", None, None
    return "Resolved", chosen, versions[chosen]


def _may_read(state: State, vault: Vault, secret: str, principal: str) -> bool:
    if not vault.rbac:
        return principal in vault.readers
    scope = f"{state.vault_id(vault)}/secrets/{secret}"
    return "key vault secrets user" in roles_of(state, principal, scope)
