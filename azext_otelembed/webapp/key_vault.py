"""Checks that App Service resolves a Key Vault reference, before the image that needs it runs."""

from __future__ import annotations

import time

from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.collector.connection_string import is_key_vault_reference
from azext_otelembed.errors import Refused
from azext_otelembed.webapp.observe import SETTING

PATIENCE = 60.0
"""Seconds that App Service has to resolve a reference."""
INTERVAL = 2.0
PENDING = ("", "initialized", "fetchtimedout")

_GRANT = (
    "Let the site's identity read it: `az role assignment create --role 'Key Vault Secrets User' "
    "--assignee-object-id <its principal id> --assignee-principal-type ServicePrincipal "
    "--scope <the vault's id>`."
)
# How to fix each status (learn.microsoft.com: "Use Key Vault references", troubleshooting).
FIXES = {
    "msinotenabled": "Give the site an identity: `az webapp identity assign {site}`.",
    "accesstokeyvaultdenied": _GRANT,
    "unauthorizedclient": _GRANT,
    "vaultnotfound": "Check the vault's name: `az keyvault list -o table`.",
    "secretnotfound": "Check the secret's name: `az keyvault secret list --vault-name <vault>`.",
    "secretversionnotfound": "Leave the version out, or see `az keyvault secret list-versions`.",
    "invalidsyntax": "Give the secret's URI as `az keyvault secret show --query id` prints it.",
}


def check_reference(client: SiteClient, value: str) -> None:
    """Waits until a reference in the setting is resolved; other values pass at once.

    Raises `Refused` with the cause and the command that fixes it.
    """
    if not is_key_vault_reference(value):
        return
    deadline = time.monotonic() + PATIENCE
    status, details = client.reference_status(SETTING)
    while status.lower() in PENDING and time.monotonic() < deadline:
        client.deadline.sleep(INTERVAL, f"App Service resolved the Key Vault reference {SETTING}")
        status, details = client.reference_status(SETTING)
    if status.lower() == "resolved":
        return
    detail = f" ({details})" if details else ""
    fix = FIXES.get(status.lower(), "See `az webapp show {site}` and the vault's access rights.")
    raise Refused(
        f"{client.id} can't read the Key Vault secret of {SETTING}: "
        f"{status or 'no status yet'}{detail}.",
        fix.format(site=client.id.arguments),
    )
