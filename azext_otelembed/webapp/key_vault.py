"""Checks that App Service resolves a Key Vault reference, before the image that needs it runs."""

from __future__ import annotations

import re
import time

from azext_otelembed.az_commands import placeholder
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.collector.connection_string import is_key_vault_reference
from azext_otelembed.errors import Refused
from azext_otelembed.webapp.observe import SETTING

PATIENCE = 60.0
"""Seconds that App Service has to resolve a reference."""
INTERVAL = 2.0
PENDING = ("", "initialized", "fetchtimedout")

_VAULT = re.compile(r"SecretUri=https://(?P<uri>[^./:;)]+)|VaultName=(?P<name>[^;)]+)", re.I)
_SECRET = re.compile(r"/secrets/(?P<uri>[^/;)]+)|SecretName=(?P<name>[^;)]+)", re.I)
_GRANT = (
    *("role assignment create", "--role", "Key Vault Secrets User"),
    *("--assignee-object-id", placeholder("its principal id")),
    *("--assignee-principal-type", "ServicePrincipal", "--scope", placeholder("the vault's id")),
)
_NAMED = ("--vault-name", placeholder("vault"), "-n", placeholder("secret"))
# How to fix each status (learn.microsoft.com: "Use Key Vault references", troubleshooting): what,
# and the words of the command.
_FIXES = {
    "accesstokeyvaultdenied": ("Let the site's identity read it", _GRANT),
    "unauthorizedclient": ("Let the site's identity read it", _GRANT),
    "vaultnotfound": ("Check the vault's name", ("keyvault list", "-o", "table")),
    "secretnotfound": ("Check the secret's name", ("keyvault secret list", *_NAMED[:2])),
    "secretversionnotfound": (
        "Leave the version out, or see",
        ("keyvault secret list-versions", *_NAMED),
    ),
    "invalidsyntax": (
        "Give the secret's URI as it is printed",
        ("keyvault secret show", *_NAMED, "--query", "id"),
    ),
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
    raise Refused(
        f"{client.id} can't read the Key Vault secret of {SETTING}: "
        f"{status or 'no status yet'}{detail}.",
        _fix(client.id, status.lower(), value),
    )


def _fix(site: SiteId, status: str, reference: str) -> str:
    """How to fix a status, with the names of the vault and the secret where they are known."""
    if status == "msinotenabled":
        return f"Give the site an identity: `{site.command('webapp identity assign')}`."
    if status not in _FIXES:
        return f"See `{site.command('webapp show')}` and the vault's access rights."
    what, words = _FIXES[status]
    known: dict[str, re.Match[str] | None] = {
        placeholder("vault"): _VAULT.search(reference),
        placeholder("secret"): _SECRET.search(reference),
    }
    filled = [
        str(found["uri"] or found["name"]) if (found := known.get(word)) else word
        for word in words[1:]
    ]
    command = site.caller.command(words[0], *filled, subscription=site.subscription)
    return f"{what}: `{command}`."
