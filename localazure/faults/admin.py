"""The double's own controls, as JSON over plain HTTP: the request log, faults, new resources."""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from localazure.connection_info import describe
from localazure.double import Double
from localazure.seed import resolve


def make(double: Double) -> ASGIApp:
    """The app of the admin listener."""
    controls = _Controls(double)
    return Starlette(
        routes=[
            _route("GET", "/", controls.info),
            _route("GET", "/requests", controls.requests),
            _route("DELETE", "/requests", controls.clear_requests),
            _route("GET", "/faults", controls.faults),
            _route("POST", "/faults", controls.add_fault),
            _route("DELETE", "/faults", controls.clear_faults),
            _route("GET", "/held", controls.until_held),
            _route("POST", "/release", controls.release),
            _route("POST", "/sites", controls.add_site),
            _route("PATCH", "/sites", controls.change_site),
            _route("POST", "/registries", controls.add_registry),
            _route("PATCH", "/registries/{name}", controls.change_registry),
            _route("POST", "/components", controls.add_component),
            _route("PATCH", "/components/{name}", controls.change_component),
            _route("POST", "/stores", controls.add_store),
            _route("POST", "/vaults", controls.add_vault),
            _route("POST", "/images", controls.add_image),
            _route("PATCH", "/images", controls.backdate),
            _route("POST", "/subscriptions", controls.add_subscription),
            _route("POST", "/principals", controls.add_principal),
            _route("POST", "/hosts", controls.add_host),
            _route("POST", "/workloads", controls.add_workload_token),
            _route("PATCH", "/engine", controls.change_engine),
            _route("PATCH", "/tokens", controls.change_tokens),
            _route("PUT", "/unknown-resources", controls.set_unknown_resources),
            _route("PATCH", "/runtime", controls.change_runtime),
            _route("PUT", "/arm-page-size", controls.set_arm_page_size),
            _route("POST", "/manifests", controls.add_manifests),
            _route("GET", "/telemetry", controls.telemetry),
            _route("DELETE", "/telemetry", controls.clear_telemetry),
            _route("PATCH", "/telemetry", controls.change_telemetry),
        ],
        exception_handlers={ValueError: _bad, TypeError: _bad, KeyError: _bad, re.error: _bad},
    )


def _route(method: str, path: str, control: Callable[[Request], Awaitable[Any]]) -> Route:
    """A control that returns its JSON; None: 204 without a body."""

    async def answer(request: Request) -> Response:
        body = await control(request)
        if body is None:
            return Response(status_code=204)
        return JSONResponse(body, 201 if method == "POST" else 200)

    return Route(path, answer, methods=[method])


async def _bad(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)


class _Controls:
    def __init__(self, double: Double) -> None:
        self._double = double

    async def info(self, _request: Request) -> Any:
        return describe(self._double)

    async def requests(self, request: Request) -> Any:
        recorder = self._double.recorder
        if "last" in request.query_params:
            last = recorder.records[-1].n if recorder.records else 0
            return recorder.since(last - 1)
        return recorder.since(int(request.query_params.get("since", "0")))

    async def clear_requests(self, _request: Request) -> None:
        self._double.recorder.records.clear()

    async def faults(self, _request: Request) -> Any:
        return [fault.view() for fault in self._double.recorder.faults]

    async def add_fault(self, request: Request) -> Any:
        return {"id": self._double.recorder.add(await request.json()).id}

    async def clear_faults(self, request: Request) -> None:
        self._double.recorder.clear_faults(_id(request.query_params.get("id")))

    async def until_held(self, request: Request) -> Any:
        asked = request.query_params
        return await self._double.recorder.until_held(int(asked["id"]), float(asked["seconds"]))

    async def release(self, request: Request) -> None:
        self._double.recorder.release(_id(request.query_params.get("id")))

    async def add_site(self, request: Request) -> Any:
        site = await self._double.add_site(resolve(self._double, await request.json()))
        identity = site.system_identity
        return {
            "id": site.resource_id,
            "url": f"https://{site.host}",
            "scm": f"https://{site.scm_host}",
            "principal_id": identity.principal_id if identity else None,
        }

    async def change_site(self, request: Request) -> None:
        wanted = await request.json()
        sites = {site.resource_id.lower(): site for site in self._double.state.all_sites()}
        site = sites[wanted.pop("id").lower()]
        for name, seconds in wanted.items():
            if name not in ("start_delay", "swap_delay"):
                raise ValueError(f"{name} of a site can't be changed.")
            setattr(site, name, float(seconds))

    async def add_registry(self, request: Request) -> Any:
        registry = await self._double.add_registry(await request.json())
        identifier = self._double.state.registry_id(registry)
        return {"id": identifier, "login_server": registry.login_server}

    async def change_registry(self, request: Request) -> None:
        registry = self._double.state.registry(request.path_params["name"])
        for name, value in (await request.json()).items():
            if name in ("name", "login_server") or not hasattr(registry, name):
                raise ValueError(f"{name} of a registry can't be changed.")
            setattr(registry, name, value)

    async def add_component(self, request: Request) -> Any:
        component = await self._double.add_component(await request.json())
        return {
            "app_id": component.app_id,
            "instrumentation_key": component.instrumentation_key,
            "connection_string": component.connection_string,
        }

    async def change_component(self, request: Request) -> None:
        name = request.path_params["name"].lower()
        known = self._double.state.components.values()
        component = next(one for one in known if one.name.lower() == name)
        for field, value in (await request.json()).items():
            if not hasattr(component, field):
                raise ValueError(f"{field} of a component can't be changed.")
            setattr(component, field, value)

    async def add_store(self, request: Request) -> Any:
        store = self._double.add_store(await request.json())
        return {"id": self._double.state.store_id(store)}

    async def add_vault(self, request: Request) -> Any:
        vault = self._double.add_vault(await request.json())
        return {"id": self._double.state.vault_id(vault)}

    async def add_image(self, request: Request) -> Any:
        wanted = await request.json()
        layout = Path(wanted["layout"])
        name, repository = wanted["registry"], wanted["repository"]
        digest = self._double.push(name, repository, layout, wanted.get("tag"))
        return {"digest": digest}

    async def backdate(self, request: Request) -> None:
        wanted = await request.json()
        login = self._double.state.registry(wanted["registry"]).login_server
        repository = self._double.store.repository(login, wanted["repository"])
        manifest = repository.find(wanted["reference"]) if repository else None
        if manifest is None:
            raise KeyError(wanted["reference"])
        manifest.created = manifest.updated = wanted["created"]

    async def set_arm_page_size(self, request: Request) -> None:
        self._double.state.arm_page_size = int(await request.json())

    async def add_manifests(self, request: Request) -> Any:
        wanted = await request.json()
        login = self._double.state.registry(wanted["registry"]).login_server
        store, repository = self._double.store, wanted["repository"]
        store.link_blob(login, repository, store.put_blob(b"{}"))
        for one in wanted["manifests"]:
            document = json.loads(one["data"])
            parts = one["data"].encode(), document["mediaType"], document, one.get("tag")
            digest = store.put_manifest(login, repository, *parts)
            if "created" in one:
                stored = store.repository(login, repository)
                assert stored is not None  # noqa: S101  # it was put just now
                found = stored.manifests[digest]
                found.created = found.updated = one["created"]
        return {"count": len(wanted["manifests"])}

    async def add_subscription(self, request: Request) -> Any:
        identifier = self._double.add_subscription(**await request.json())
        return {"id": identifier}

    async def add_principal(self, request: Request) -> Any:
        wanted = await request.json()
        roles = wanted.pop("roles", [])
        principal = self._double.add_principal(**wanted)
        for role in roles:
            self._double.assign(role["role"], role["scope"], principal.object_id)
        return {"object_id": principal.object_id}

    async def add_host(self, request: Request) -> Any:
        host = self._double.add_host(await request.json())
        at = f"{self._double.identity}/{host.name}"
        return {
            "endpoint": f"{at}/msi/token",
            "header": host.secret,
            "imds": at,
            "user_client_ids": [identity.client_id for identity in host.user_identities],
        }

    async def add_workload_token(self, request: Request) -> Any:
        token = self._double.tokens.workload(self._double.workloads, **await request.json())
        return {"token": token}

    async def change_engine(self, request: Request) -> None:
        self._double.builds.engine = (await request.json())["socket"]

    async def change_tokens(self, request: Request) -> None:
        self._double.tokens.lifetime = (await request.json())["lifetime"]

    async def set_unknown_resources(self, request: Request) -> None:
        self._double.state.unknown_resources = [one.rstrip("/") for one in await request.json()]

    async def change_runtime(self, request: Request) -> Any:
        return self._double.change_runtime(await request.json())

    async def telemetry(self, _request: Request) -> Any:
        return self._double.telemetry.all()

    async def clear_telemetry(self, _request: Request) -> None:
        self._double.telemetry.clear()

    async def change_telemetry(self, request: Request) -> Any:
        telemetry = self._double.telemetry
        former, telemetry.latency = telemetry.latency, float((await request.json())["latency"])
        return {"latency": former}


def _id(text: str | None) -> int | None:
    return int(text) if text else None
