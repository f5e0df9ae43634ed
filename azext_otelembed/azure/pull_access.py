"""Whether a site may pull from its registry, before anything is changed.

A site pulls with a managed identity that holds a role on the registry, or with a user name and
password among its app settings, or from a registry that lets anyone pull.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from azext_otelembed.azure.arm_json import Json, part
from azext_otelembed.errors import Refused, Unauthorized

if TYPE_CHECKING:
    from azext_otelembed.azure.arm import Arm
    from azext_otelembed.azure.registries import Registry
    from azext_otelembed.azure.sites import SiteId

API_VERSION = "2022-04-01"
ABAC = "AbacRepositoryPermissions"

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
OTHER_BUILT_IN = frozenset({*CLASSIC_ROLES, *ABAC_ROLES})


@dataclass(frozen=True, slots=True)
class Puller:
    """How a site pulls: by an identity (`principal_id`), by a user's password, or neither."""

    principal_id: str | None = None
    user: str | None = None


def puller(
    site: SiteId,
    resource: Json,
    configuration: Mapping[str, object],
    settings: Mapping[str, str],
    host: str,
) -> Puller:
    """How the site pulls from `host`, by its configuration.

    Raises `Refused` when it is told to use an identity that it doesn't have.
    """
    if not configuration.get("acrUseManagedIdentityCreds"):
        url = settings.get("DOCKER_REGISTRY_SERVER_URL", "")
        configured = url.partition("://")[2].rstrip("/") or url.rstrip("/")
        user = settings.get("DOCKER_REGISTRY_SERVER_USERNAME")
        return Puller(user=user if configured.lower() == host.lower() else None)
    identity = part(str(site), resource, "identity")
    client_id = str(configuration.get("acrUserManagedIdentityID") or "")
    if client_id:
        assigned = part(str(site), identity, "userAssignedIdentities")
        for held in (part(str(site), assigned, name) for name in assigned):
            if str(held.get("clientId") or "").lower() == client_id.lower():
                return Puller(principal_id=str(held.get("principalId")))
        raise Refused(
            f"{site} pulls with the managed identity of client id '{client_id}', which it doesn't "
            "have.",
            f"Assign it: `az webapp identity assign {site.arguments} --identities <its id>`.",
        )
    if not identity.get("principalId"):
        raise Refused(
            f"{site} pulls with its system-assigned managed identity, and has none.",
            f"Give it one: `az webapp identity assign {site.arguments}`.",
        )
    return Puller(principal_id=str(identity["principalId"]))


def check(arm: Arm, site: SiteId, how: Puller, registry: Registry) -> str | None:
    """Raises `Refused`, with the command that mends it, when the site certainly can't pull.

    Returns a note when it can't be told, and None when it can pull.
    """
    if how.principal_id is not None:
        return _check_identity(arm, site, how.principal_id, registry)
    if how.user is not None or registry.anonymous_pull:
        return None
    raise Refused(
        f"{site} has no way to pull from registry '{registry.name}' ({registry.login_server}): no "
        "managed identity is used and no credentials are set.",
        f"Let it pull with its identity: `az webapp config set {site.arguments} "
        "--generic-configurations '{\"acrUseManagedIdentityCreds\": true}'`, and assign that "
        "identity the role AcrPull.",
    )


def _check_identity(arm: Arm, site: SiteId, principal: str, registry: Registry) -> str | None:
    abac = registry.role_assignment_mode == ABAC
    fitting = ABAC_ROLES if abac else CLASSIC_ROLES
    path = f"{registry.id}/providers/Microsoft.Authorization/roleAssignments"
    what = f"Role assignments of registry '{registry.name}'"
    try:
        # assignedTo: those of the groups that the identity is in, too.
        query = {"$filter": f"assignedTo('{principal}')"}
        found = arm.get_all(what, path, API_VERSION, **query)
    except Unauthorized:
        return f"Whether {site} may pull from '{registry.name}' can't be seen with your rights."
    properties = [part(what, one, "properties") for one in found]
    held = {
        str(one.get("roleDefinitionId") or "").rpartition("/")[2].lower()
        for one in properties
        if _covers(one, registry.id)
    }
    if held & fitting.keys():
        return None
    if held - OTHER_BUILT_IN:
        return (
            f"The identity of {site} holds roles on '{registry.name}' that aren't known here: "
            "whether it may pull is left to them."
        )
    role = "Container Registry Repository Reader" if abac else "AcrPull"
    why = f" The registry's mode is {ABAC}, where AcrPull means nothing." if abac and held else ""
    raise Refused(
        f"The managed identity of {site} may not pull from registry '{registry.name}'.{why}",
        f'Let it: `az role assignment create --role "{role}" --assignee-object-id {principal} '
        f"--assignee-principal-type ServicePrincipal --scope {registry.id}`.",
    )


def _covers(assignment: Json, scope: str) -> bool:
    """Whether an assignment holds at `scope`: it was made there or above."""
    at = str(assignment.get("scope") or "").rstrip("/").lower()
    return scope.lower() == at or scope.lower().startswith(at + "/")
