"""The state of the double: the resources of its subscriptions, held in memory.

`arm` reads and writes these objects, `runtime` runs the sites, `acr` serves the registries and
`insights` takes the telemetry. All share one `State` in one event loop, so it needs no locks.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any, Protocol

STICKY = ("connectionStringNames", "appSettingNames", "azureStorageConfigNames")
"""The lists of names that stay with a slot."""


@dataclass(slots=True)
class Identity:
    """A managed identity: system assigned (`resource_id` None) or user assigned."""

    principal_id: str
    client_id: str
    tenant_id: str
    resource_id: str | None = None


@dataclass(slots=True)
class Site:
    """A web app, or one of its slots.

    `config` holds the properties of config/web as ARM spells them (camelCase, complete);
    `host` is `host:port` of the site's own HTTPS front end, `scm_host` the same for Kudu.
    """

    subscription: str
    group: str
    name: str
    slot: str | None
    location: str
    kind: str
    config: dict[str, Any]
    host: str
    scm_host: str
    app_settings: dict[str, str] = field(default_factory=dict)
    connection_strings: dict[str, Any] = field(default_factory=dict)
    slot_config_names: dict[str, list[str] | None] = field(
        default_factory=lambda: dict.fromkeys(STICKY)
    )
    tags: dict[str, str] = field(default_factory=dict)
    system_identity: Identity | None = None
    user_identities: list[Identity] = field(default_factory=list)
    state: str = "Running"
    plan: str = "plan"
    workers: int = 1
    etag: str = '"1DA9812909D9F95"'
    slots: dict[str, Site] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)
    """Values of the Key Vault secrets that the site's identity may read, by secret URI."""
    secret_refusals: dict[str, str] = field(default_factory=dict)
    """The status of references that can't be resolved (`AccessToKeyVaultDenied` …), by URI."""
    container_put_restarts: bool = True
    """Whether a PUT of a site container restarts the site: public procedures disagree on it."""
    swap_status: dict[str, str] | None = None
    publishing_password: str = field(default_factory=lambda: uuid.uuid4().hex)
    properties: dict[str, Any] = field(default_factory=dict)
    """Site properties that were set and have no effect but in the site's GET (`httpsOnly` …)."""
    documents: dict[str, Any] = field(default_factory=dict)
    """Properties of sub-resources that were set, by lower-case path: `config/logs`,
    `sitecontainers/main`, `basicpublishingcredentialspolicies/scm` …"""

    @property
    def resource_id(self) -> str:
        """The ARM id of the site or slot."""
        group = f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
        site = f"{group}/providers/Microsoft.Web/sites/{self.name}"
        return f"{site}/slots/{self.slot}" if self.slot else site

    @property
    def image(self) -> str | None:
        """The reference after `DOCKER|` in linuxFxVersion; None for any other kind of site."""
        kind, _, image = str(self.config.get("linuxFxVersion") or "").partition("|")
        return image if kind.upper() == "DOCKER" and image else None


@dataclass(slots=True)
class Registry:
    """An Azure container registry (`acr=True`) or a plain public one such as Docker Hub."""

    name: str
    login_server: str
    group: str = ""
    location: str = "westeurope"
    acr: bool = True
    admin_enabled: bool = False
    admin_password: str = field(default_factory=lambda: uuid.uuid4().hex)
    role_assignment_mode: str = "LegacyRegistryPermissions"
    anonymous_pull: bool = False
    mounts: bool = True
    """False: a mount request answers 202, as the distribution spec allows."""
    referrers: bool = True
    """False: a registry from before OCI 1.1, whose referrers path is 404."""
    aliases: list[str] = field(default_factory=list)
    """Other names of the registry in importImage, such as `docker.io`."""
    users: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Component:
    """An Application Insights component."""

    group: str
    name: str
    location: str
    app_id: str
    instrumentation_key: str
    connection_string: str
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Federation:
    """A federated credential: a token of `issuer` for `subject` replaces a principal's secret."""

    issuer: str
    subject: str
    audience: str = "api://AzureADTokenExchange"


@dataclass(slots=True)
class Principal:
    """A service principal that may log in. Rights come from role assignments."""

    client_id: str
    object_id: str
    secret: str
    certificates: list[str] = field(default_factory=list)
    """PEM, public part: their keys verify the principal's assertions."""
    federations: list[Federation] = field(default_factory=list)


@dataclass(slots=True)
class Host:
    """A machine with managed identities; `secret` is the IDENTITY_HEADER of its endpoint."""

    name: str
    secret: str
    system_identity: Identity | None = None
    user_identities: list[Identity] = field(default_factory=list)


@dataclass(slots=True)
class RoleAssignment:
    """`role` is the role's name, such as `Contributor` or `AcrPull`."""

    name: str
    scope: str
    role: str
    principal_id: str
    principal_type: str = "ServicePrincipal"


@dataclass(slots=True)
class Lock:
    """A management lock: `level` is CanNotDelete or ReadOnly."""

    name: str
    scope: str
    level: str
    notes: str | None = None


@dataclass(slots=True)
class Plan:
    """An App Service plan."""

    group: str
    name: str
    location: str
    kind: str = "linux"
    sku: str = "S1"
    capacity: int = 1
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Group:
    """A resource group; `subscription` is empty for the double's first one."""

    name: str
    location: str
    tags: dict[str, str] = field(default_factory=dict)
    subscription: str = ""


@dataclass(frozen=True, slots=True)
class InstanceView:
    """One instance as ARM lists it: 64 hex digits and READY, STOPPED or UNKNOWN."""

    name: str
    state: str


class Runtime(Protocol):
    """The runtime of the sites. ARM calls it after it has changed a site."""

    def changed(self, site: Site, why: str) -> None:
        """Start a container with the changed configuration, then stop the old one."""

    def restart(self, site: Site) -> None:
        """Restart the site's container."""

    def stop(self, site: Site) -> None:
        """Stop the site; its host name answers 403 as in Azure."""

    def start(self, site: Site) -> None:
        """Start a stopped site."""

    def instances(self, site: Site) -> list[InstanceView]:
        """The site's instances, in a stable order."""

    def log(self, site: Site) -> str:
        """The platform's and the container's log (what POST containerlogs answers)."""

    def log_files(self, site: Site) -> dict[str, bytes]:
        """The files below LogFiles/ that Kudu's /dump puts in its zip."""

    async def close(self) -> None:
        """Stop all containers, and return when they have ended."""

    def kill(self) -> None:
        """Kill all containers; for the thread that ends a process whose `close` takes too long."""


@dataclass(slots=True)
class State:
    """All resources of the double. `subscription` is the id of its first subscription.

    A resource is in the subscription of its group. The names of groups are unique across all
    subscriptions, unlike in Azure.
    """

    tenant: str
    subscription: str
    subscription_name: str = "localazure"
    other_subscriptions: dict[str, str] = field(default_factory=dict)
    """Names of further ones, by id."""
    groups: dict[str, Group] = field(default_factory=dict)
    """By lower-case name, as in every dictionary here: names are case-insensitive in ARM."""
    sites: dict[tuple[str, str], Site] = field(default_factory=dict)
    """By (group, name), both lower case; slots are in their site."""
    registries: dict[str, Registry] = field(default_factory=dict)
    """By lower-case login server."""
    components: dict[tuple[str, str], Component] = field(default_factory=dict)
    principals: dict[str, Principal] = field(default_factory=dict)
    """By client id."""
    role_assignments: list[RoleAssignment] = field(default_factory=list)
    locks: list[Lock] = field(default_factory=list)
    plans: dict[tuple[str, str], Plan] = field(default_factory=dict)
    """By (group, name). A plan that only a site names exists, too, with default values."""
    identities: dict[str, Identity] = field(default_factory=dict)
    """User-assigned identities, by lower-case resource id."""
    hosts: dict[str, Host] = field(default_factory=dict)
    """Machines with managed identities, by name."""

    @property
    def subscriptions(self) -> dict[str, str]:
        """The names of all subscriptions, by id."""
        return {self.subscription: self.subscription_name, **self.other_subscriptions}

    def subscription_of(self, group: str) -> str:
        """The id of a group's subscription."""
        found = self.groups.get(group.lower())
        return (found.subscription if found else "") or self.subscription

    def group_id(self, group: str) -> str:
        """The ARM id of a group."""
        return f"/subscriptions/{self.subscription_of(group)}/resourceGroups/{group}"

    def registry(self, name: str) -> Registry:
        """The registry with this name, login server or alias. Raises KeyError."""
        wanted = name.lower()
        for registry in self.registries.values():
            if wanted in (registry.name.lower(), registry.login_server, *registry.aliases):
                return registry
        raise KeyError(name)

    def registry_id(self, registry: Registry) -> str:
        """The ARM id of a registry."""
        group = self.group_id(registry.group)
        return f"{group}/providers/Microsoft.ContainerRegistry/registries/{registry.name}"

    def all_sites(self) -> list[Site]:
        """Sites and slots, each site before its slots."""
        return [s for site in self.sites.values() for s in (site, *site.slots.values())]
