"""What all services of the double share, and the ways to add resources to it."""

from __future__ import annotations

import base64
import copy
import dataclasses
import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from starlette.types import ASGIApp

from localazure.aad.tokens import Tokens
from localazure.acr import layouts
from localazure.acr.builds import Builds
from localazure.acr.sas import Signer
from localazure.acr.store import Store
from localazure.arm.config_schema import DEFAULTS
from localazure.authority import HASHED_HOSTS, Authority
from localazure.faults.middleware import Recording
from localazure.faults.recorder import Recorder
from localazure.insights.telemetry import Telemetry
from localazure.loopback_proxy import LoopbackProxy
from localazure.server import Listeners
from localazure.state import (
    Component,
    ConfigurationStore,
    Federation,
    Group,
    Host,
    Identity,
    Principal,
    Registry,
    RoleAssignment,
    Runtime,
    Site,
    State,
    Vault,
)

_COMPONENT_STATES = (
    "own_endpoint",
    "disable_local_auth",
    "public_ingestion",
    "over_quota",
    "workspace_state",
)


class Apps(NamedTuple):
    """Makes the apps of resources that are added while the double runs."""

    registry: Callable[[Double, Registry], ASGIApp]
    site: Callable[[Double, Site], ASGIApp]
    """The front end of a web app or slot."""
    scm: Callable[[Double, Site], ASGIApp]
    """The Kudu of a web app or slot."""


class Double:
    """The state and the services that all apps share. Made by `composition.build`.

    It imports no app and no runtime: `composition` passes `apps`, and sets `runtime`.
    """

    runtime: Runtime
    """Set by `composition.build`; `close` ends it."""

    def __init__(self, directory: Path, authority: Authority, state: State, apps: Apps) -> None:
        self.directory = directory
        self.authority = authority
        self.state = state
        self._apps = apps
        self.recorder = Recorder()
        self.listeners = Listeners(authority.server_context(), Recording(self.recorder))
        self.loopback = LoopbackProxy()
        self.tokens = Tokens(authority.signing_key, state.tenant)
        self.store = Store(directory / "registry")
        self.signer = Signer()
        self.builds = Builds(directory / "builds")
        self.telemetry = Telemetry()
        self.management = ""
        """`https://localhost:PORT` of ARM, Entra ID and Graph."""
        self.insights = ""
        """`https://localhost:PORT` of Application Insights."""
        self.blobs = ""
        """`https://localhost:PORT` of blob storage."""
        self.admin = ""
        """`http://localhost:PORT` of the double's own controls (`faults.admin`)."""
        self.proxy = ""
        """`http://localhost:PORT` of a proxy to all listeners (`loopback_proxy`)."""
        self.identity = ""
        """`http://localhost:PORT` of the managed-identity endpoints of `Host`s."""

    async def close(self) -> None:
        """End containers, then listeners."""
        await self.runtime.close()
        await self.builds.close()
        await self.listeners.close()
        await self.loopback.close()

    async def add_registry(self, spec: Mapping[str, Any]) -> Registry:
        """Open a registry. `spec` holds fields of `Registry`, without `login_server`."""
        bound = self.listeners.bind()
        registry = Registry(login_server=bound.host, **{"group": "", **spec})
        if not registry.acr:
            # The cloud's domain of registries is `localhost`: others must lie outside of it.
            registry.login_server = bound.host.replace("localhost", "127.0.0.1")
        elif registry.label_scope != "Unsecure":
            label = f"{registry.name}-{_label_hash(registry)}".lower()
            registry.login_server = f"{label}.{HASHED_HOSTS}:{bound.port}"
        self.state.registries[registry.login_server] = registry
        service = "acr" if registry.acr else "registry"
        app = self._apps.registry(self, registry)
        await self.listeners.listen(app, service=service, bound=bound)
        return registry

    def change_runtime(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        """Change fields of `RuntimeSettings`; returns the former values. Raises ValueError."""
        settings = self.state.runtime
        if unknown := wanted.keys() - {one.name for one in dataclasses.fields(settings)}:
            raise ValueError(f"The runtime has no setting {', '.join(sorted(unknown))}.")
        former = {name: getattr(settings, name) for name in wanted}
        for name, value in wanted.items():
            setattr(settings, name, value)
        return former

    def add_subscription(
        self, name: str, groups: Sequence[str], shown: Mapping[str, str] | None = None
    ) -> str:
        """Add a subscription with resource groups; returns its id. It has no role assignments.

        `shown` are the names that clients know groups by, where those are other ones.
        """
        identifier = str(uuid.uuid4())
        self.state.other_subscriptions[identifier] = name
        for group in groups:
            self.state.groups[group.lower()] = Group(
                group, "westeurope", subscription=identifier, shown=(shown or {}).get(group, "")
            )
        return identifier

    async def add_component(self, spec: Mapping[str, Any]) -> Component:
        """Add an Application Insights component. `spec` holds fields of `Component`."""
        key, app_id = str(uuid.uuid4()), str(uuid.uuid4())
        component = Component(
            app_id=spec.get("app_id", app_id),
            instrumentation_key=spec.get("instrumentation_key", key),
            connection_string="",
            group=spec["group"],
            name=spec["name"],
            location=spec.get("location", "westeurope"),
            tags=dict(spec.get("tags", {})),
            **{name: spec[name] for name in _COMPONENT_STATES if name in spec},
        )
        at = f"{self.insights}/at/{component.name}" if component.own_endpoint else self.insights
        component.connection_string = (
            f"InstrumentationKey={component.instrumentation_key};"
            f"IngestionEndpoint={at}/;LiveEndpoint={self.insights}/;"
            f"ApplicationId={component.app_id}"
        )
        self.state.components[component.group.lower(), component.name.lower()] = component
        return component

    async def add_site(self, spec: Mapping[str, Any]) -> Site:
        """Add a web app, or a slot where `spec` has `slot`, and start its container.

        `spec` holds fields of `Site`, and in addition `image` (a reference, for linuxFxVersion),
        `config` (the differences from a new site's), `system_identity` (True or a principal id),
        `roles` (the system identity's, as `{"role", "scope"}`).
        """
        fields = dict(spec)
        front, scm = self.listeners.bind(), self.listeners.bind()
        image, roles = fields.pop("image", None), fields.pop("roles", [])
        config = copy.deepcopy(DEFAULTS) | fields.pop("config", {})
        if image:
            config["linuxFxVersion"] = f"DOCKER|{image}"
        site = Site(
            **{
                "subscription": self.state.subscription_of(fields["group"]),
                "slot": None,
                "location": "westeurope",
                "kind": "app,linux,container",
                **fields,
                "system_identity": self._identity(fields.get("system_identity")),
                "config": config,
                "host": front.host,
                "scm_host": scm.host,
            }
        )
        self._keep(site)
        for role in roles:
            if site.system_identity is None:
                raise ValueError(f"{site.name} has roles but no system identity.")
            self.assign(role["role"], role["scope"], site.system_identity.principal_id)
        listen = self.listeners.listen
        await listen(self._apps.site(self, site), service="site", bound=front)
        await listen(self._apps.scm(self, site), service="scm", bound=scm)
        if site.state == "Running":
            self.runtime.start(site)
        return site

    def add_store(self, spec: Mapping[str, Any]) -> ConfigurationStore:
        """Add an App Configuration store, or replace one (fields of `ConfigurationStore`)."""
        store = ConfigurationStore(**spec)
        self.state.stores[store.name.lower()] = store
        return store

    def add_vault(self, spec: Mapping[str, Any]) -> Vault:
        """Add a key vault, or replace one. `spec` holds fields of `Vault`."""
        vault = Vault(**spec)
        self.state.vaults[vault.name.lower()] = vault
        return vault

    def add_principal(
        self,
        client_id: str,
        secret: str,
        object_id: str = "",
        certificates: Sequence[str] = (),
        federations: Sequence[Mapping[str, str]] = (),
    ) -> Principal:
        """Add a service principal with a secret, certificates (PEM) and federated credentials.

        `federations` hold fields of `Federation`; the default issuer is the double.
        """
        trusted = [Federation(**{"issuer": self.workloads, **one}) for one in federations]
        principal = Principal(
            client_id, object_id or str(uuid.uuid4()), secret, list(certificates), trusted
        )
        self.state.principals[client_id.lower()] = principal
        return principal

    def add_host(self, spec: Mapping[str, Any]) -> Host:
        """Add a machine with managed identities.

        `system` (default True): whether it has a system-assigned identity, with `roles`; `user`:
        a list of user-assigned identities, each with its `roles`.
        """
        host = Host(uuid.uuid4().hex[:12], str(uuid.uuid4()))
        owned = {"system": spec.get("roles", [])} if spec.get("system", True) else {}
        for name, roles in (
            *owned.items(),
            *(("", user["roles"]) for user in spec.get("user", ())),
        ):
            identity = Identity(str(uuid.uuid4()), str(uuid.uuid4()), self.state.tenant)
            for role in roles:
                self.assign(role["role"], role["scope"], identity.principal_id)
            if name:
                host.system_identity = identity
            else:
                host.user_identities.append(identity)
        self.state.hosts[host.name] = host
        return host

    @property
    def workloads(self) -> str:
        """The issuer of workload tokens (jobs of a build service, pods of a cluster)."""
        return f"{self.management}/workloads"

    def assign(self, role: str, scope: str, principal_id: str) -> RoleAssignment:
        """Assign a role by its name, such as `Contributor`."""
        assignment = RoleAssignment(str(uuid.uuid4()), scope, role, principal_id)
        self.state.role_assignments.append(assignment)
        return assignment

    def push(self, registry: str, repository: str, layout: Path, tag: str | None) -> str:
        """Put an image of an OCI layout into a registry, named by name or login server."""
        login = self.state.registry(registry).login_server
        return layouts.push(self.store, login, repository, layout, tag)

    def _identity(self, wanted: Any) -> Identity | None:
        if not wanted:
            return None
        principal = wanted if isinstance(wanted, str) else str(uuid.uuid4())
        return Identity(principal, str(uuid.uuid4()), self.state.tenant)

    def _keep(self, site: Site) -> None:
        key = site.group.lower(), site.name.lower()
        if site.slot is None:
            self.state.sites[key] = site
        else:
            self.state.sites[key].slots[site.slot.lower()] = site


def _label_hash(registry: Registry) -> str:
    """16 letters and digits that depend on more than the registry's name."""
    digest = hashlib.sha256(f"{registry.group}/{registry.name}".encode()).digest()
    return base64.b32encode(digest[:10]).decode()
