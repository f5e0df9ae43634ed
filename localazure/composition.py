"""Builds the double: its services, its runtime, and the app of each listener."""

from __future__ import annotations

import re
from pathlib import Path

from starlette.types import ASGIApp, Receive, Scope, Send

from localazure.aad import app as aad
from localazure.aad import managed_identity
from localazure.acr import app as acr
from localazure.acr import blobs
from localazure.arm import app as arm
from localazure.arm import scm
from localazure.authority import load_or_make
from localazure.double import Apps, Double
from localazure.faults import admin
from localazure.insights import app as insights
from localazure.insights import query
from localazure.runtime import frontend
from localazure.runtime.supervisor import Supervisor
from localazure.state import State

TENANT = "11111111-7e57-4a2e-8c0d-0f0e0d0c0b0a"
SUBSCRIPTION = "22222222-5ab5-4c12-9e1f-1a1b1c1d1e1f"

_AAD = re.compile(r"/(metadata/|common/|v1\.0/|[^/]+/(oauth2|v2\.0|discovery|\.well-known)/)")
_QUERY = re.compile(r"(?i)/subscriptions/.+/microsoft\.insights/components/[^/]+(/api)?/query")


async def build(directory: Path, ca: Path | None = None) -> Double:
    """A double without resources whose services listen. `seed.apply` adds the resources."""
    directory.mkdir(parents=True, exist_ok=True)
    authority = load_or_make(ca or directory.parent / "ca")
    apps = Apps(acr.make, frontend.make, scm.make)
    double = Double(directory, authority, State(TENANT, SUBSCRIPTION), apps)
    double.runtime = Supervisor(double)
    await _open_services(double)
    return double


async def _open_services(double: Double) -> None:
    """Open management, Application Insights, blobs, managed identities and the admin listener."""
    listen = double.listeners.listen
    ports = [double.listeners.bind() for _ in range(5)]
    double.management, double.insights, double.blobs = (f"https://{p.host}" for p in ports[:3])
    double.admin, double.identity = (f"http://{port.host}" for port in ports[3:])
    double.proxy = f"http://localhost:{await double.loopback.open(double.listeners.bind())}"
    await listen(_management(double), service=_service, bound=ports[0])
    await listen(insights.make(double), service="insights", bound=ports[1])
    await listen(blobs.make(double), service="blob", bound=ports[2])
    await listen(admin.make(double), service="admin", bound=ports[3], tls=False, recorded=False)
    await listen(managed_identity.make(double), service="identity", bound=ports[4], tls=False)


def _management(double: Double) -> ASGIApp:
    entra = aad.make(double)
    apps = {"aad": entra, "graph": entra, "arm": arm.make(double), "insights": query.make(double)}

    async def management(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].startswith("//"):
            # az joins `https://host/` and `/metadata/endpoints`
            scope["path"] = "/" + scope["path"].lstrip("/")
        await apps[_service(scope["path"])](scope, receive, send)

    return management


def _service(path: str) -> str:
    path = "/" + path.lstrip("/")
    if path.startswith("/v1.0/"):
        return "graph"
    if _AAD.match(path) and not path.lower().startswith(("/subscriptions", "/providers")):
        return "aad"
    return "insights" if _QUERY.fullmatch(path) else "arm"
