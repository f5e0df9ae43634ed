"""Which app answers on which listener."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from starlette.types import ASGIApp, Receive, Scope, Send

from localazure.aad import app as aad
from localazure.aad import identity
from localazure.acr import app as acr
from localazure.acr import blobs
from localazure.arm import app as arm
from localazure.arm import scm
from localazure.faults import admin
from localazure.insights import app as insights
from localazure.insights import query
from localazure.runtime import frontend
from localazure.server import Bound
from localazure.state import Registry, Site

if TYPE_CHECKING:
    from localazure.world import World

_AAD = re.compile(r"/(metadata/|common/|v1\.0/|[^/]+/(oauth2|v2\.0|discovery|\.well-known)/)")
_QUERY = re.compile(r"(?i)/subscriptions/.+/microsoft\.insights/components/[^/]+(/api)?/query")


async def open_services(world: World) -> None:
    """Open management, Application Insights, blobs, managed identities and the admin listener."""
    listen = world.listeners.listen
    ports = [world.listeners.bind() for _ in range(5)]
    world.management, world.insights, world.blobs = (f"https://{port.host}" for port in ports[:3])
    world.admin, world.identity = (f"http://{port.host}" for port in ports[3:])
    await listen(_management(world), service=_service, bound=ports[0])
    await listen(insights.make(world), service="insights", bound=ports[1])
    await listen(blobs.make(world), service="blob", bound=ports[2])
    await listen(admin.make(world), service="admin", bound=ports[3], tls=False, recorded=False)
    await listen(identity.make(world), service="identity", bound=ports[4], tls=False)


async def open_registry(world: World, registry: Registry, bound: Bound) -> None:
    """Open a registry's data plane: service `acr`, or `registry` for one that isn't Azure's."""
    service = "acr" if registry.acr else "registry"
    await world.listeners.listen(acr.make(world, registry), service=service, bound=bound)


async def open_site(world: World, site: Site, front: Bound, kudu: Bound) -> None:
    """Open a site's front end and its Kudu."""
    await world.listeners.listen(frontend.make(world, site), service="site", bound=front)
    await world.listeners.listen(scm.make(world, site), service="scm", bound=kudu)


def _management(world: World) -> ASGIApp:
    entra = aad.make(world)
    rooms = {"aad": entra, "graph": entra, "arm": arm.make(world), "insights": query.make(world)}

    async def management(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("//"):
            # az joins `https://host/` and `/metadata/endpoints`
            scope["path"] = "/" + scope["path"].lstrip("/")
        await rooms[_service(scope["path"])](scope, receive, send)

    return management


def _service(path: str) -> str:
    path = "/" + path.lstrip("/")
    if path.startswith("/v1.0/"):
        return "graph"
    if _AAD.match(path) and not path.lower().startswith(("/subscriptions", "/providers")):
        return "aad"
    return "insights" if _QUERY.fullmatch(path) else "arm"
