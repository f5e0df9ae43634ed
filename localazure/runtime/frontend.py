"""A site's front end: it serves the site's host name, with pages of its own without an app."""

from __future__ import annotations

import asyncio

from starlette.responses import HTMLResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

from localazure.double import Double
from localazure.runtime import front_door, proxy
from localazure.runtime.container import Container
from localazure.runtime.supervisor import Supervisor
from localazure.server import TRANSPORT
from localazure.state import Site

_NOTICE = 1.0
"""Seconds to wait for the end of a container that can't be reached."""

_PAGE = (
    "<!DOCTYPE html><html><head><title>{}</title></head><body><h1>{}</h1><p>{}</p></body></html>"
)
_UNAVAILABLE = (
    "The web app you have attempted to reach is currently stopped and does not accept any requests."
)
_DIAGNOSTICS = (
    "If you are the application administrator, you can access the "
    '<a href="https://{}/detectors">diagnostic resources</a>.'
)


def _page(status: int, title: str, heading: str, text: str) -> Response:
    return HTMLResponse(_PAGE.format(title, heading, text), status)


_NOT_FOUND = _page(
    404, "404 Web Site not found", "404 Web Site not found", "There is no such site."
)
_STOPPED = _page(403, "Web App - Unavailable", "Error 403 - This web app is stopped.", _UNAVAILABLE)
_NO_CONTAINER = _page(
    200, "Web App", "Your web app is running and waiting for your content", "localazure"
)
_BAD_GATEWAY = _page(502, "Bad Gateway", "502 - Bad Gateway", "The app gave no valid answer.")
_GATEWAY_TIMEOUT = _page(
    504, "Gateway Timeout", "504 - Gateway Timeout", "The app did not answer in time."
)


def make(double: Double, site: Site) -> ASGIApp:
    """The app on the site's listener.

    Requests wait while the site starts. The response is 403 for a stopped site, 503 if its
    container failed to start, 502 if the container closes the connection, 504 if it is too slow.
    """

    async def frontend(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        supervisor = double.runtime
        known = any(each.resource_id == site.resource_id for each in double.state.all_sites())
        if not known or not isinstance(supervisor, Supervisor):
            await _NOT_FOUND(scope, receive, send)
        elif (refusal := front_door.network_refusal(site, scope)) is not None:
            await refusal(scope, receive, send)
        elif site.state != "Running":
            await _STOPPED(scope, receive, send)
        elif not supervisor.is_container(site):
            await _NO_CONTAINER(scope, receive, send)
        else:
            await _serve(supervisor, site, scope, receive, send)

    return frontend


async def _serve(
    supervisor: Supervisor, site: Site, scope: Scope, receive: Receive, send: Send
) -> None:
    try:
        serving = await supervisor.choose(site)
        if serving is not None and (answer := front_door.login_answer(site, scope)) is not None:
            await answer(scope, receive, send)
            return
        while serving is not None:
            try:
                await proxy.forward(serving, scope, receive, send)
            except proxy.UnreachableError:
                if not await _ends(serving.container):
                    raise
                serving = await supervisor.choose(site)
            else:
                return
        diagnostics = _DIAGNOSTICS.format(site.scm_host)
        failed = _page(503, "Application Error", ":( Application Error", diagnostics)
        await failed(scope, receive, send)
    except (asyncio.TimeoutError, proxy.TooSlowError):
        await _GATEWAY_TIMEOUT(scope, receive, send)
    except (proxy.NoAnswerError, proxy.UnreachableError):
        await _BAD_GATEWAY(scope, receive, send)
    except proxy.AnswerCutError:
        scope[TRANSPORT].abort()


async def _ends(container: Container) -> bool:
    """Whether a container that can't be reached ends within `_NOTICE` seconds."""
    try:
        await asyncio.wait_for(container.wait(), _NOTICE)
    except asyncio.TimeoutError:
        return False
    return True
