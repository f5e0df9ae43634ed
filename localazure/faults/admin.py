"""The double's own controls, as JSON over plain HTTP: the request log, faults, new resources."""

from __future__ import annotations

import re
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
            Route("/", controls.info, methods=["GET"]),
            Route("/requests", controls.requests, methods=["GET"]),
            Route("/requests", controls.clear_requests, methods=["DELETE"]),
            Route("/faults", controls.faults, methods=["GET"]),
            Route("/faults", controls.add_fault, methods=["POST"]),
            Route("/faults", controls.clear_faults, methods=["DELETE"]),
            Route("/release", controls.release, methods=["POST"]),
            Route("/sites", controls.add_site, methods=["POST"]),
            Route("/registries", controls.add_registry, methods=["POST"]),
            Route("/registries/{name}", controls.change_registry, methods=["PATCH"]),
            Route("/components", controls.add_component, methods=["POST"]),
            Route("/images", controls.add_image, methods=["POST"]),
            Route("/images", controls.backdate, methods=["PATCH"]),
            Route("/subscriptions", controls.add_subscription, methods=["POST"]),
            Route("/principals", controls.add_principal, methods=["POST"]),
            Route("/hosts", controls.add_host, methods=["POST"]),
            Route("/workloads", controls.add_workload_token, methods=["POST"]),
            Route("/engine", controls.change_engine, methods=["PATCH"]),
            Route("/tokens", controls.change_tokens, methods=["PATCH"]),
            Route("/telemetry", controls.telemetry, methods=["GET"]),
            Route("/telemetry", controls.clear_telemetry, methods=["DELETE"]),
        ],
        exception_handlers={ValueError: _bad, TypeError: _bad, KeyError: _bad, re.error: _bad},
    )


async def _bad(_request: Request, error: Exception) -> Response:
    return JSONResponse({"error": f"{type(error).__name__}: {error}"}, 400)


_DONE = 204


class _Controls:
    def __init__(self, double: Double) -> None:
        self._double = double

    async def info(self, _request: Request) -> Response:
        return JSONResponse(describe(self._double))

    async def requests(self, request: Request) -> Response:
        recorder = self._double.recorder
        if "last" in request.query_params:
            last = recorder.records[-1].n if recorder.records else 0
            return JSONResponse(recorder.since(last - 1))
        return JSONResponse(recorder.since(int(request.query_params.get("since", "0"))))

    async def clear_requests(self, _request: Request) -> Response:
        self._double.recorder.records.clear()
        return Response(status_code=_DONE)

    async def faults(self, _request: Request) -> Response:
        return JSONResponse([fault.view() for fault in self._double.recorder.faults])

    async def add_fault(self, request: Request) -> Response:
        return JSONResponse({"id": self._double.recorder.add(await request.json()).id}, 201)

    async def clear_faults(self, request: Request) -> Response:
        self._double.recorder.clear_faults(_id(request.query_params.get("id")))
        return Response(status_code=_DONE)

    async def release(self, request: Request) -> Response:
        self._double.recorder.release(_id(request.query_params.get("id")))
        return Response(status_code=_DONE)

    async def add_site(self, request: Request) -> Response:
        site = await self._double.add_site(resolve(self._double, await request.json()))
        identity = site.system_identity
        return JSONResponse(
            {
                "id": site.resource_id,
                "url": f"https://{site.host}",
                "scm": f"https://{site.scm_host}",
                "principal_id": identity.principal_id if identity else None,
            },
            201,
        )

    async def add_registry(self, request: Request) -> Response:
        registry = await self._double.add_registry(await request.json())
        answer = {
            "id": self._double.state.registry_id(registry),
            "login_server": registry.login_server,
        }
        return JSONResponse(answer, 201)

    async def change_registry(self, request: Request) -> Response:
        registry = self._double.state.registry(request.path_params["name"])
        for name, value in (await request.json()).items():
            if name in ("name", "login_server") or not hasattr(registry, name):
                raise ValueError(f"{name} of a registry can't be changed.")
            setattr(registry, name, value)
        return Response(status_code=_DONE)

    async def add_component(self, request: Request) -> Response:
        component = await self._double.add_component(await request.json())
        answer: dict[str, Any] = {
            "app_id": component.app_id,
            "instrumentation_key": component.instrumentation_key,
            "connection_string": component.connection_string,
        }
        return JSONResponse(answer, 201)

    async def add_image(self, request: Request) -> Response:
        wanted = await request.json()
        layout = Path(wanted["layout"])
        name, repository = wanted["registry"], wanted["repository"]
        digest = self._double.push(name, repository, layout, wanted.get("tag"))
        return JSONResponse({"digest": digest}, 201)

    async def backdate(self, request: Request) -> Response:
        wanted = await request.json()
        login = self._double.state.registry(wanted["registry"]).login_server
        repository = self._double.store.repository(login, wanted["repository"])
        manifest = repository.find(wanted["reference"]) if repository else None
        if manifest is None:
            raise KeyError(wanted["reference"])
        manifest.created = manifest.updated = wanted["created"]
        return Response(status_code=_DONE)

    async def add_subscription(self, request: Request) -> Response:
        identifier = self._double.add_subscription(**await request.json())
        return JSONResponse({"id": identifier}, 201)

    async def add_principal(self, request: Request) -> Response:
        wanted = await request.json()
        roles = wanted.pop("roles", [])
        principal = self._double.add_principal(**wanted)
        for role in roles:
            self._double.assign(role["role"], role["scope"], principal.object_id)
        return JSONResponse({"object_id": principal.object_id}, 201)

    async def add_host(self, request: Request) -> Response:
        host = self._double.add_host(await request.json())
        at = f"{self._double.identity}/{host.name}"
        answer = {
            "endpoint": f"{at}/msi/token",
            "header": host.secret,
            "imds": at,
            "user_client_ids": [identity.client_id for identity in host.user_identities],
        }
        return JSONResponse(answer, 201)

    async def add_workload_token(self, request: Request) -> Response:
        token = self._double.tokens.workload(self._double.workloads, **await request.json())
        return JSONResponse({"token": token}, 201)

    async def change_engine(self, request: Request) -> Response:
        self._double.builds.engine = (await request.json())["socket"]
        return Response(status_code=_DONE)

    async def change_tokens(self, request: Request) -> Response:
        self._double.tokens.lifetime = (await request.json())["lifetime"]
        return Response(status_code=_DONE)

    async def telemetry(self, _request: Request) -> Response:
        return JSONResponse(self._double.telemetry.all())

    async def clear_telemetry(self, _request: Request) -> Response:
        self._double.telemetry.clear()
        return Response(status_code=_DONE)


def _id(text: str | None) -> int | None:
    return int(text) if text else None
