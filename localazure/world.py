"""The double as a whole: its state, its listeners and the rooms behind them."""

from __future__ import annotations

import copy
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from localazure import composition
from localazure.aad.tokens import Tokens
from localazure.acr import layouts
from localazure.acr.builds import Builds
from localazure.acr.sas import Signer
from localazure.acr.store import Store
from localazure.arm.config import DEFAULTS
from localazure.authority import Authority, load_or_make
from localazure.faults.middleware import Recording
from localazure.faults.recorder import Recorder
from localazure.insights.telemetry import Telemetry
from localazure.runtime.supervisor import Supervisor
from localazure.server import Listeners
from localazure.state import (
    Component,
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
)

TENANT = "11111111-7e57-4a2e-8c0d-0f0e0d0c0b0a"
SUBSCRIPTION = "22222222-5ab5-4c12-9e1f-1a1b1c1d1e1f"


class World:
    """Everything that the rooms share. Made by `build`; ended by `close`."""

    runtime: Runtime

    def __init__(self, directory: Path, authority: Authority, state: State) -> None:
        self.directory = directory
        self.authority = authority
        self.state = state
        self.recorder = Recorder()
        self.listeners = Listeners(authority.server_context(), Recording(self.recorder))
        self.tokens = Tokens(authority.signing_key, state.tenant)
        self.store = Store(directory / "registry")
        self.signer = Signer()
        self.builds = Builds(directory / "builds")
        self.telemetry = Telemetry()
        self.management = ""
        """`https://localhost:PORT` of ARM, Entra ID and Graph."""
        self.insights = ""
        """The same for Application Insights."""
        self.blobs = ""
        """The same for blob storage."""
        self.admin = ""
        """`http://localhost:PORT` of the double's own controls."""
        self.identity = ""
        """The same for the managed-identity endpoints of `Host`s."""

    async def open(self) -> None:
        """Open the listeners that every world has."""
        await composition.open_services(self)
        self.runtime = Supervisor(self)

    async def close(self) -> None:
        """End containers, then listeners."""
        await self.runtime.close()
        await self.builds.close()
        await self.listeners.close()

    async def add_registry(self, spec: Mapping[str, Any]) -> Registry:
        """Open a registry. `spec` holds fields of `Registry`, without `login_server`."""
        bound = self.listeners.bind()
        registry = Registry(login_server=bound.host, **{"group": "", **spec})
        if not registry.acr:
            # The cloud's domain of registries is `localhost`: others must lie outside of it.
            registry.login_server = bound.host.replace("localhost", "127.0.0.1")
        self.state.registries[registry.login_server] = registry
        await composition.open_registry(self, registry, bound)
        return registry

    def add_subscription(self, name: str, groups: Sequence[str]) -> str:
        """Add a subscription with resource groups; returns its id. Nobody has a role in it yet."""
        identifier = str(uuid.uuid4())
        self.state.other_subscriptions[identifier] = name
        for group in groups:
            self.state.groups[group.lower()] = Group(group, "westeurope", subscription=identifier)
        return identifier

    async def add_component(self, spec: Mapping[str, Any]) -> Component:
        """Add an Application Insights component: `group`, `name`, (`location`, `tags`)."""
        key, app_id = str(uuid.uuid4()), str(uuid.uuid4())
        component = Component(
            app_id=spec.get("app_id", app_id),
            instrumentation_key=spec.get("instrumentation_key", key),
            connection_string="",
            group=spec["group"],
            name=spec["name"],
            location=spec.get("location", "westeurope"),
            tags=dict(spec.get("tags", {})),
        )
        component.connection_string = (
            f"InstrumentationKey={component.instrumentation_key};"
            f"IngestionEndpoint={self.insights}/;LiveEndpoint={self.insights}/;"
            f"ApplicationId={component.app_id}"
        )
        self.state.components[component.group.lower(), component.name.lower()] = component
        return component

    async def add_site(self, spec: Mapping[str, Any]) -> Site:
        """Add a web app, or a slot where `spec` has `slot`, and start its container.

        `spec` holds fields of `Site`, and besides: `image` (a reference, for linuxFxVersion),
        `config` (what differs from a new site's), `system_identity` (True or a principal id),
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
        await composition.open_site(self, site, front, scm)
        if site.state == "Running":
            self.runtime.start(site)
        return site

    def add_principal(
        self,
        client_id: str,
        secret: str,
        object_id: str = "",
        certificates: Sequence[str] = (),
        federations: Sequence[Mapping[str, str]] = (),
    ) -> Principal:
        """Let a service principal log in, also with certificates (PEM) and federated tokens.

        `federations` hold fields of `Federation`; an issuer left out is the double's own.
        """
        trusted = [Federation(**{"issuer": self.workloads, **one}) for one in federations]
        principal = Principal(
            client_id, object_id or str(uuid.uuid4()), secret, list(certificates), trusted
        )
        self.state.principals[client_id.lower()] = principal
        return principal

    def add_host(self, spec: Mapping[str, Any]) -> Host:
        """Add a machine whose managed identities may be used.

        `system` (default True) tells whether it has one of its own, with `roles`; `user` lists
        user-assigned ones, each with its `roles`.
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
        """The issuer of the tokens that a build service or a cluster gives its jobs."""
        return f"{self.management}/workloads"

    def assign(self, role: str, scope: str, principal_id: str) -> RoleAssignment:
        """Assign a role, named as in `Contributor`."""
        assignment = RoleAssignment(str(uuid.uuid4()), scope, role, principal_id)
        self.state.role_assignments.append(assignment)
        return assignment

    def push(self, registry: str, repository: str, layout: Path, tag: str | None) -> str:
        """Put an image of an OCI layout into a registry, named by name or login server."""
        login = self.registry(registry).login_server
        return layouts.push(self.store, login, repository, layout, tag)

    def registry(self, name: str) -> Registry:
        """The registry with this name, login server or alias. Raises KeyError."""
        wanted = name.lower()
        for registry in self.state.registries.values():
            if wanted in (registry.name.lower(), registry.login_server, *registry.aliases):
                return registry
        raise KeyError(name)

    def registry_id(self, registry: Registry) -> str:
        """The ARM id of a registry."""
        return (
            f"/subscriptions/{self.state.subscription_of(registry.group)}/resourceGroups/{registry.group}"
            f"/providers/Microsoft.ContainerRegistry/registries/{registry.name}"
        )

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


async def build(directory: Path, ca: Path | None = None) -> World:
    """A world with nothing in it, its services listening. `seed.plant` fills it."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = load_or_make(ca or directory.parent / "ca")
    world = World(directory, authority, State(TENANT, SUBSCRIPTION))
    await world.open()
    return world
