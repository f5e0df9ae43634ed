"""The subscription's resource providers; az chooses api-versions by their list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

WEB = ("2025-05-01", "2024-11-01", "2024-04-01", "2023-12-01", "2023-01-01", "2022-03-01")
REGISTRY = ("2026-09-01-preview", "2026-01-01-preview", "2025-11-01", "2023-11-01-preview")
INSIGHTS = ("2020-02-02", "2020-02-02-preview", "2018-05-01-preview", "2015-05-01")
IDENTITY = ("2024-11-30", "2023-01-31", "2022-01-31-preview")
RESOURCES = ("2024-11-01", "2022-12-01", "2022-09-01", "2021-04-01")
AUTHORIZATION = ("2022-05-01-preview", "2022-04-01", "2015-07-01")


@dataclass(frozen=True, slots=True)
class Provider:
    """A registered provider: its namespace and its types with their api-versions."""

    namespace: str
    types: tuple[str, ...]
    versions: tuple[str, ...]

    def document(self, subscription: str) -> dict[str, Any]:
        """GET …/providers/{namespace}."""
        return {
            "id": f"/subscriptions/{subscription}/providers/{self.namespace}",
            "namespace": self.namespace,
            "resourceTypes": [
                {
                    "resourceType": name,
                    "locations": ["West Europe", "East US"],
                    "apiVersions": list(self.versions),
                    "capabilities": "SupportsTags, SupportsLocation",
                }
                for name in self.types
            ],
            "registrationState": "Registered",
            "registrationPolicy": "RegistrationRequired",
        }


_ALL = (
    Provider(
        "Microsoft.Web",
        ("sites", "sites/slots", "serverFarms", "sites/config", "sites/instances"),
        WEB,
    ),
    Provider("Microsoft.ContainerRegistry", ("registries",), REGISTRY),
    # Azure spells this one in lower case, as in its resource ids.
    Provider("microsoft.insights", ("components",), INSIGHTS),
    Provider("Microsoft.ManagedIdentity", ("userAssignedIdentities",), IDENTITY),
    Provider("Microsoft.KeyVault", ("vaults",), ("2024-11-01", "2023-07-01", "2022-07-01")),
    Provider("Microsoft.Resources", ("resourceGroups", "subscriptions"), RESOURCES),
    Provider(
        "Microsoft.Authorization", ("roleAssignments", "roleDefinitions", "locks"), AUTHORIZATION
    ),
)

PROVIDERS = {provider.namespace.lower(): provider for provider in _ALL}
