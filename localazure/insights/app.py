"""The insights listener: ingestion, and queries by AppId."""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from localazure.double import Double
from localazure.insights import ingestion, query

AUDIENCE = "https://api.applicationinsights.io"


def make(double: Double) -> ASGIApp:
    """The app of the insights listener."""

    async def track(request: Request) -> Response:
        return await ingestion.track(double, request, request.path_params.get("at"))

    async def by_app(request: Request) -> Response:
        wanted = request.path_params["app"].lower()
        known = double.state.components.values()
        component = next((c for c in known if c.app_id.lower() == wanted), None)
        return await query.answer(double, request, component, (double.insights, AUDIENCE))

    return Starlette(
        routes=[
            Route("/v2.1/track", track, methods=["POST"]),
            Route("/v2/track", track, methods=["POST"]),
            Route("/at/{at}/v2.1/track", track, methods=["POST"]),
            Route("/v1/apps/{app}/query", by_app, methods=["GET", "POST"]),
        ]
    )
