"""Whether App Service resolves a reference to a Key Vault secret or an App Configuration key."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from azext_otelembed.az_commands import placeholder
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.collector.connection_string import (
    is_app_configuration_reference,
    is_key_vault_reference,
    is_reference,
)
from azext_otelembed.errors import NotFound, OtelembedError, Refused
from azext_otelembed.webapp.observe import SETTING, Observed
from azext_otelembed.webapp.reference_access import VAULT, first_group, grant_command

PATIENCE = 60.0
"""Seconds that App Service has to resolve a reference."""
INTERVAL = 2.0
PENDING = ("", "initialized", "fetchtimedout")
_UNKNOWN = "unknown"

_SECRET = re.compile(r"/secrets/([^/;)]+)|SecretName=([^;)]+)", re.I)
_DENIED = ("accesstokeyvaultdenied", "unauthorizedclient", "accessdenied")
_NAMED = ("--vault-name", placeholder("vault"), "-n", placeholder("secret"))
# How to fix each status (learn.microsoft.com: "Use Key Vault references", troubleshooting): what,
# and the words of the command.
_FIXES = {
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


def check_reference(client: SiteClient, arm: Arm, observed: Observed, value: str) -> None:
    """Waits until a reference in the setting is resolved; other values pass at once.

    Raises `Refused` with the cause and the command that fixes it.
    """
    if not is_reference(value):
        return
    deadline = time.monotonic() + PATIENCE
    status, details = _status(client, value)
    while status.lower() in PENDING and time.monotonic() < deadline:
        client.deadline.sleep(INTERVAL, f"App Service resolved the {_kind(value)} {SETTING}")
        status, details = _status(client, value)
    if status.lower() in ("resolved", _UNKNOWN):
        return
    raise Refused(
        f"{client.id} can't read the {_target(value)} of {SETTING}: "
        f"{status or 'no status yet'}{details and f' ({details})'}.",
        _fix(arm, observed, status.lower(), value),
    )


def reference_note(
    client: SiteClient, arm: Callable[[], Arm], observed: Observed, value: str
) -> tuple[bool | None, str]:
    """As `reference_state`, but never true: the value itself isn't read."""
    resolves, note = reference_state(client, arm, observed, value)
    return False if resolves is False else None, note


def reference_state(
    client: SiteClient, arm: Callable[[], Arm], observed: Observed, value: str
) -> tuple[bool | None, str]:
    """Whether App Service resolves the reference that the setting has: true, false, or unknown.

    With a phrase about the setting, and how to fix it. One read, and up to three more for the
    ids in a command.
    """
    kind = f"{'an' if is_app_configuration_reference(value) else 'a'} {_kind(value)}"
    try:
        status, _ = _status(client, value)
    except OtelembedError as unread:
        return None, f"{kind}, whose status can't be read: {unread.message}"
    if status.lower() == "resolved":
        return True, f"{kind}, which App Service resolves: its value isn't read"
    if status.lower() in PENDING:
        return None, f"{kind}, which App Service hasn't resolved yet: its value isn't read"
    if status.lower() == _UNKNOWN:
        return None, f"{kind}, for which App Service reports no status: its value isn't read"
    fix = _fix(arm(), observed, status.lower(), value).rstrip(".")
    return False, f"{kind} that App Service can't resolve: {status}. {fix}"


def _status(client: SiteClient, value: str) -> tuple[str, str]:
    """The status of the reference, and details. `_UNKNOWN` if App Service lists none for it.

    The API is documented for Key Vault references only ("Web Apps - Get App Setting Key Vault
    Reference"), so the one of an App Configuration reference may be missing.
    """
    try:
        return client.reference_status(SETTING)
    except NotFound:
        if is_key_vault_reference(value):
            raise
        return _UNKNOWN, ""


def _kind(value: str) -> str:
    return (
        "App Configuration reference"
        if is_app_configuration_reference(value)
        else "Key Vault reference"
    )


def _target(value: str) -> str:
    return "App Configuration key" if is_app_configuration_reference(value) else "Key Vault secret"


def _fix(arm: Arm, observed: Observed, status: str, reference: str) -> str:
    """How to fix a status, with the names of the vault and the secret where they are known."""
    site = observed.id
    if status == "msinotenabled":
        return f"Give the site an identity: `{site.command('webapp identity assign')}`."
    is_of_store = is_app_configuration_reference(reference)
    if is_of_store or status in _DENIED:
        grant = grant_command(arm, observed, reference)
        rest = " Check the reference's Endpoint, Key and Label." if is_of_store else ""
        return f"Let the site's identity read it: `{grant}`.{rest}"
    if status not in _FIXES:
        return f"See `{site.command('webapp show')}` and the vault's access rights."
    what, words = _FIXES[status]
    known: dict[str, str] = {
        placeholder("vault"): first_group(VAULT, reference),
        placeholder("secret"): first_group(_SECRET, reference),
    }
    filled = [known.get(word) or word for word in words[1:]]
    command = site.caller.command(words[0], *filled, subscription=site.subscription)
    return f"{what}: `{command}`."
