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
    """The values of its Key Vault references, by setting: read when a start is asked for."""
    start_delay: float = 0.0
    """Seconds that each start takes in addition, while the container isn't asked yet."""
    swap_delay: float = 0.0
    """Seconds that each swap of the site's slots takes in addition."""
    container_put_restarts: bool = True
    """Whether a PUT of a site container restarts the site: public procedures disagree on it."""
    swap_status: dict[str, str] | None = None
    publishing_password: str = field(default_factory=lambda: uuid.uuid4().hex)
    properties: dict[str, Any] = field(default_factory=dict)
    """Site properties that were set and have no effect but in the site's GET (`httpsOnly` …)."""
    old_log: bool = False
    """Whether the platform writes its log in the format that App Service used until 2025."""
    broken_volume: str = ""
    """The mount path of a volume that can't be mounted: the site's starts fail."""
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
    def easy_auth(self) -> dict[str, Any]:
        """The properties of config/authsettingsV2 if Easy Auth is enabled; empty otherwise."""
        settings: dict[str, Any] = self.documents.get("config/authsettingsv2") or {}
        return settings if (settings.get("platform") or {}).get("enabled") else {}

    @property
    def image(self) -> str | None:
        """The reference after `DOCKER|` in linuxFxVersion; None for any other kind of site."""
        kind, _, image = str(self.config.get("linuxFxVersion") or "").partition("|")
        return image if kind.upper() == "DOCKER" and image else None


@dataclass(slots=True)
class RuntimeSettings:
    """How the runtime runs all sites; may be changed at any time. The defaults are App Service's.

    Times are in seconds. All other waits of the runtime are fractions or multiples of these two.
    """

    overlap: float = 20.0
    """From `Site started.` to the stop of the old container; both answer requests meanwhile."""
    blocked: float = 120.0
    """The time that a site is blocked after its second failed start in a row."""
    log_lines: int = 0
    """`containerlogs` has the last lines of each file only, this many; 0: all."""
    log_by_file: bool = False
    """`containerlogs` has the app's output first, then the platform's log: not sorted by time."""


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
    audience: str = "https://containerregistry.azure.net"
    """The audience of the Entra tokens that it exchanges. Disconnected clouds have another."""
    arm_tokens: bool = True
    """False: `azureADAuthenticationAsArmPolicy` is disabled, and tokens for ARM are refused."""
    label_scope: str = "Unsecure"
    """`autoGeneratedDomainNameLabelScope`: with any other value its host has a hash."""
    mounts: bool = True
    """False: a mount request answers 202, as the distribution spec allows."""
    referrers: bool = True
    """False: a registry from before OCI 1.1, whose referrers path is 404."""
    page_size: int = 0
    """The entries of a page of any of its lists, at most. 0: 1,000 (100 where none are asked for),
    and all referrers on one page."""
    absolute_links: bool = False
    """The Link header of a page has the whole address, as the distribution spec allows."""
    aliases: list[str] = field(default_factory=list)
    """Other names of the registry in importImage, such as `docker.io`."""
    users: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Vault:
    """A key vault. `secrets` holds the versions of each secret with their values, oldest first."""

    name: str
    group: str
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    readers: list[str] = field(default_factory=list)
    """Principal ids that an access policy lets get secrets."""
    rbac: bool = False
    """enableRbacAuthorization: roles count, and access policies don't."""


@dataclass(slots=True)
class ConfigurationStore:
    """An App Configuration store, at https://NAME.azconfig.io. `values` are those without label."""

    name: str
    group: str
    values: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Component:
    """An Application Insights component. It refuses telemetry as Application Insights does."""

    group: str
    name: str
    location: str
    app_id: str
    instrumentation_key: str
    connection_string: str
    tags: dict[str, str] = field(default_factory=dict)
    own_endpoint: bool = False
    """Its IngestionEndpoint has a path of its own; other paths don't know its key."""
    disable_local_auth: bool = False
    """Telemetry needs a token of Entra ID."""
    public_ingestion: str = "Enabled"
    """`publicNetworkAccessForIngestion`: Enabled, Disabled or SecuredByPerimeter."""
    over_quota: bool = False
    """The daily cap of the component is reached."""
    workspace_state: str = "RespectQuota"
    """The dataIngestionStatus of its workspace: RespectQuota, OverQuota, ForceOff …"""


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
    """A resource group; `subscription` is empty for the double's first one.

    `shown` is its name for clients where that is another one: that of a group of another
    subscription.
    """

    name: str
    location: str
    tags: dict[str, str] = field(default_factory=dict)
    subscription: str = ""
    shown: str = ""


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
        """All lines of the platform and the containers, sorted by time."""

    def container_log(self, site: Site) -> str:
        """What POST containerlogs answers: the instances' logs one after the other."""

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
    subscriptions, unlike in Azure; ARM shows a group under its `shown` name.
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
    vaults: dict[str, Vault] = field(default_factory=dict)
    stores: dict[str, ConfigurationStore] = field(default_factory=dict)
    """By lower-case name, which is unique in all of Azure."""
    hosts: dict[str, Host] = field(default_factory=dict)
    """Machines with managed identities, by name."""
    unknown_resources: list[str] = field(default_factory=list)
    """Resources that Entra ID doesn't know: it issues no token for them (AADSTS500011)."""
    runtime: RuntimeSettings = field(default_factory=RuntimeSettings)
    arm_page_size: int = 0
    """The entries of a page of Resource Manager's lists, at most; 0: all."""

    @property
    def subscriptions(self) -> dict[str, str]:
        """The names of all subscriptions, by id."""
        return {self.subscription: self.subscription_name, **self.other_subscriptions}

    def subscription_of(self, group: str) -> str:
        """The id of a group's subscription."""
        found = self.groups.get(group.lower())
        return (found.subscription if found else "") or self.subscription

    def renamed_groups(self, subscription: str) -> list[Group]:
        """The groups of a subscription that clients know by another name."""
        wanted = subscription.lower()
        groups = self.groups.values()
        return [one for one in groups if one.shown and one.subscription.lower() == wanted]

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

    def store_id(self, store: ConfigurationStore) -> str:
        """The ARM id of an App Configuration store."""
        group = self.group_id(store.group)
        return f"{group}/providers/Microsoft.AppConfiguration/configurationStores/{store.name}"

    def vault_id(self, vault: Vault) -> str:
        """The ARM id of a key vault."""
        return f"{self.group_id(vault.group)}/providers/Microsoft.KeyVault/vaults/{vault.name}"

    def all_sites(self) -> list[Site]:
        """Sites and slots, each site before its slots."""
        return [s for site in self.sites.values() for s in (site, *site.slots.values())]
