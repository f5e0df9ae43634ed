"""Checks, before anything is changed, whether a site may pull from its registry.

A site pulls with a managed identity that holds a role on the registry, or with a user name and
password in its app settings, or from a registry that allows anonymous pulls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from azext_otelembed.az_commands import Verbatim, placeholder
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import Json, object_at, required_object_at, text_at
from azext_otelembed.azure.registries import ABAC, Registry
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.errors import Refused, Unauthorized

API_VERSION = "2022-04-01"

# Ids of built-in roles, the same in every tenant (learn.microsoft.com: Azure built-in roles).
CLASSIC_ROLES = {
    "8e3af657-a8ff-443c-a75c-2fe8c4bcb635": "Owner",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "Contributor",
    "acdd72a7-3385-48ef-bd42-f606fba81ae7": "Reader",
    "7f951dda-4ed3-4680-a7ca-43fe172d538d": "AcrPull",
    "8311e382-0749-4cb8-b61a-304f252e45ec": "AcrPush",
}
# On registries in ABAC mode the classic roles give no right to any repository.
ABAC_ROLES = {
    "b93aa761-3e63-49ed-ac28-beffa264f7ac": "Container Registry Repository Reader",
    "2a1e307c-b015-4ebd-883e-5b7698a07328": "Container Registry Repository Writer",
    "2efddaa5-3f1f-4df3-97df-af3f13818f4c": "Container Registry Repository Contributor",
}


@dataclass(frozen=True, slots=True)
class PullMethod:
    """How a site pulls: as an identity (`principal_id`), as a user, or without credentials."""

    principal_id: str | None = None
    user: str | None = None


def pull_method(
    site: SiteId,
    resource: Json,
    configuration: Mapping[str, object],
    settings: Mapping[str, str],
    host: str,
) -> PullMethod:
    """How the site pulls from `host`, by its configuration.

    Raises `Refused` when the configuration names an identity that the site doesn't have.
    """
    if not configuration.get("acrUseManagedIdentityCreds"):
        url = settings.get("DOCKER_REGISTRY_SERVER_URL", "")
        configured = url.partition("://")[2].rstrip("/") or url.rstrip("/")
        user = settings.get("DOCKER_REGISTRY_SERVER_USERNAME")
        return PullMethod(user=user if configured.lower() == host.lower() else None)
    identity = object_at(str(site), resource, "identity")
    client_id = str(configuration.get("acrUserManagedIdentityID") or "")
    if client_id:
        assigned = object_at(str(site), identity, "userAssignedIdentities")
        for one in (object_at(str(site), assigned, name) for name in assigned):
            if str(one.get("clientId") or "").lower() == client_id.lower():
                return PullMethod(principal_id=text_at(str(site), one, "principalId"))
        assign = site.command("webapp identity assign", "--identities", placeholder("its id"))
        raise Refused(
            f"{site} pulls with the managed identity of client id '{client_id}', which it doesn't "
            "have.",
            f"Assign it: `{assign}`.",
        )
    if not identity.get("principalId"):
        raise Refused(
            f"{site} pulls with its system-assigned managed identity, and has none.",
            f"Give it one: `{site.command('webapp identity assign')}`.",
        )
    return PullMethod(principal_id=str(identity["principalId"]))


def check(arm: Arm, site: SiteId, method: PullMethod, registry: Registry) -> str | None:
    """Raises `Refused`, with the command that fixes it, when the site certainly can't pull.

    Returns None when it can pull, and a note when that is unknown.
    """
    if method.principal_id is not None:
        return _check_identity(arm, site, method.principal_id, registry)
    if method.user is not None or registry.anonymous_pull:
        return None
    # As name=value: cmd and PowerShell read the double quotes of JSON in different ways.
    creds = ("--generic-configurations", "acrUseManagedIdentityCreds=true")
    raise Refused(
        f"{site} has no way to pull from registry '{registry.name}' ({registry.login_server}): no "
        "managed identity is used and no credentials are set.",
        "Give it an identity with the right to pull: "
        f"`{site.command('webapp identity assign', *_role_words(registry))}`, and let it pull with "
        f"that: `{site.command('webapp config set', *creds)}`.",
    )


def _role_words(registry: Registry) -> tuple[str, ...]:
    """The role that lets an identity pull, and its scope, as words of a command."""
    role = "Container Registry Repository Reader" if registry.abac else "AcrPull"
    return "--role", Verbatim(f'"{role}"'), "--scope", registry.id


def _check_identity(arm: Arm, site: SiteId, principal: str, registry: Registry) -> str | None:
    if not registry.arm_tokens:
        # App Service exchanges such a token of the identity ("Configure a custom container for
        # Azure App Service", learn.microsoft.com; MicrosoftDocs/azure-docs#128528).
        update = ("config authentication-as-arm update", "--status", "enabled")
        raise Refused(
            f"{site} can't pull from registry '{registry.name}' with its managed identity: App "
            "Service signs in with a token for Azure Resource Manager (ARM), and the registry's "
            "policy azureADAuthenticationAsArmPolicy is disabled, so it refuses those tokens.",
            f"Enable it: `{registry.command(site.caller, *update, option='-r')}`.",
        )
    sufficient = ABAC_ROLES if registry.abac else CLASSIC_ROLES
    path = f"{registry.id}/providers/Microsoft.Authorization/roleAssignments"
    what = f"Role assignments of registry '{registry.name}'"
    # assignedTo includes the groups that the identity is a member of.
    query = {"$filter": f"assignedTo('{principal}')"}
    try:
        found = arm.get_all(what, path, API_VERSION, **query)
    except Unauthorized:
        return (
            f"Whether {site} may pull from '{registry.name}' is unknown: you may not read its role "
            "assignments."
        )
    properties = [required_object_at(what, one, "properties") for one in found]
    scope = f"{registry.id}/".lower()
    held = {
        str(one.get("roleDefinitionId") or "").rpartition("/")[2].lower()
        for one in properties
        # Made at the registry or above.
        if scope.startswith(str(one.get("scope") or "").rstrip("/").lower() + "/")
    }
    if held & sufficient.keys():
        return None
    if held - CLASSIC_ROLES.keys() - ABAC_ROLES.keys():
        return (
            f"The identity of {site} has other roles on '{registry.name}': whether they allow "
            "it to pull is unknown."
        )
    why = f" The registry's mode is {ABAC}, where AcrPull gives no access."
    why = why if registry.abac and held else ""
    assignee = ("--assignee-object-id", principal, "--assignee-principal-type", "ServicePrincipal")
    names = (*_role_words(registry)[:2], *assignee, "--scope", registry.id)
    create = site.caller.command(
        "role assignment create", *names, subscription=registry.subscription
    )
    raise Refused(
        f"The managed identity of {site} may not pull from registry '{registry.name}'.{why}",
        f"Let it: `{create}`.",
    )
