"""The built-in roles of the double, with their real ids.

The actions are those of Azure's definitions, limited to the double's providers. ACR requires
`pull/read` and `push/write` in the classic mode; the Repository roles have data actions, which have
an effect only on registries in ABAC mode.
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from dataclasses import dataclass

REGISTRY = "Microsoft.ContainerRegistry/registries"


@dataclass(frozen=True, slots=True)
class Role:
    """A role definition; `id` is the last segment of its resource id."""

    name: str
    id: str
    description: str
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    data_actions: tuple[str, ...] = ()

    def allows(self, action: str) -> bool:
        """Whether the role grants `action`; wildcards match slashes, too; case is ignored."""
        return _any(self.actions, action) and not _any(self.not_actions, action)


def _any(patterns: Iterable[str], action: str) -> bool:
    return any(fnmatch.fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)


ROLES = (
    Role(
        "Owner",
        "8e3af657-a8ff-443c-a75c-2fe8c4bcb635",
        "Grants full access to manage all resources, including the ability to assign roles "
        "in Azure RBAC.",
        ("*",),
    ),
    Role(
        "Contributor",
        "b24988ac-6180-42a0-ab88-20f7382dd24c",
        "Grants full access to manage all resources, but does not allow you to assign roles "
        "in Azure RBAC.",
        ("*",),
        ("Microsoft.Authorization/*/Delete", "Microsoft.Authorization/*/Write"),
    ),
    Role(
        "Reader",
        "acdd72a7-3385-48ef-bd42-f606fba81ae7",
        "View all resources, but does not allow you to make any changes.",
        ("*/read",),
    ),
    Role(
        "User Access Administrator",
        "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9",
        "Lets you manage user access to Azure resources.",
        ("*/read", "Microsoft.Authorization/*"),
    ),
    Role(
        "Website Contributor",
        "de139f84-1756-47ae-9be6-808fbbe84772",
        "Lets you manage websites (not web plans), but not access to them.",
        (
            "Microsoft.Authorization/*/read",
            "Microsoft.Insights/components/*",
            "Microsoft.Resources/subscriptions/resourceGroups/read",
            "Microsoft.Web/serverFarms/join/action",
            "Microsoft.Web/serverFarms/read",
            "Microsoft.Web/sites/*",
        ),
    ),
    Role(
        "Monitoring Reader",
        "43d0d8ad-25c7-4714-9337-8ba259a9fe05",
        "Can read all monitoring data.",
        ("*/read",),
    ),
    Role(
        "Container Registry Tasks Contributor",
        "fb382eab-e894-4461-af04-94435c366c3f",
        "Provides permissions to configure, read, list, trigger, or cancel Container Registry "
        "Tasks, Task Runs, Task Logs, Quick Runs, Quick Builds, and Task Agent Pools.",
        (
            f"{REGISTRY}/read",
            f"{REGISTRY}/listBuildSourceUploadUrl/action",
            f"{REGISTRY}/runs/*",
            f"{REGISTRY}/scheduleRun/action",
        ),
    ),
    Role("AcrPull", "7f951dda-4ed3-4680-a7ca-43fe172d538d", "acr pull", (f"{REGISTRY}/pull/read",)),
    Role(
        "AcrPush",
        "8311e382-0749-4cb8-b61a-304f252e45ec",
        "acr push",
        (f"{REGISTRY}/pull/read", f"{REGISTRY}/push/write"),
    ),
    Role(
        "AcrDelete",
        "c2f4ef07-c644-48eb-af81-4b1b4947fb11",
        "acr delete",
        (f"{REGISTRY}/artifacts/delete",),
    ),
    Role(
        "Container Registry Repository Reader",
        "b93aa761-3e63-49ed-ac28-beffa264f7ac",
        "Allows for read access to Azure Container Registry repositories.",
        data_actions=(
            f"{REGISTRY}/repositories/content/read",
            f"{REGISTRY}/repositories/metadata/read",
        ),
    ),
    Role(
        "Container Registry Repository Writer",
        "2a1e307c-b015-4ebd-883e-5b7698a07328",
        "Allows for read and write access to Azure Container Registry repositories.",
        data_actions=(
            f"{REGISTRY}/repositories/content/read",
            f"{REGISTRY}/repositories/content/write",
            f"{REGISTRY}/repositories/metadata/read",
            f"{REGISTRY}/repositories/metadata/write",
        ),
    ),
    Role(
        "Container Registry Repository Contributor",
        "2efddaa5-3f1f-4df3-97df-af3f13818f4c",
        "Allows for read, write and delete access to Azure Container Registry repositories.",
        data_actions=(f"{REGISTRY}/repositories/*",),
    ),
    Role(
        "Container Registry Repository Catalog Lister",
        "bfdb9389-c9a5-478a-bb2f-ba9ca092c3c7",
        "Allows for listing all repositories in an Azure Container Registry.",
        data_actions=(f"{REGISTRY}/catalog/read",),
    ),
    Role(
        "App Configuration Data Reader",
        "516239f1-63e1-4d78-a4de-a74fb236a071",
        "Allows read access to App Configuration data.",
        data_actions=("Microsoft.AppConfiguration/configurationStores/*/read",),
    ),
    Role(
        "Key Vault Secrets User",
        "4633458b-17de-408a-b874-0445c86b69e6",
        "Read secret contents.",
        data_actions=(
            "Microsoft.KeyVault/vaults/secrets/getSecret/action",
            "Microsoft.KeyVault/vaults/secrets/readMetadata/action",
        ),
    ),
)

BY_NAME = {role.name.lower(): role for role in ROLES}
BY_ID = {role.id: role for role in ROLES}
