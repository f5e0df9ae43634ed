"""A site's front end: it serves the site's host name."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send

from localazure.double import Double
from localazure.runtime import error_pages, proxy
from localazure.runtime.container import Container
from localazure.runtime.supervisor import Supervisor
from localazure.server import TRANSPORT
from localazure.state import Site

_NOTICE = 1.0
"""Seconds to wait for the end of a container that can't be reached."""


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
            await error_pages.not_found()(scope, receive, send)
        elif site.state != "Running":
            await error_pages.stopped()(scope, receive, send)
        elif not supervisor.is_container(site):
            await error_pages.no_container()(scope, receive, send)
        else:
            await _serve(supervisor, site, scope, receive, send)

    return frontend


async def _serve(
    supervisor: Supervisor, site: Site, scope: Scope, receive: Receive, send: Send
) -> None:
    try:
        serving = await supervisor.choose(site)
        while serving is not None:
            try:
                await proxy.forward(serving, scope, receive, send)
            except proxy.UnreachableError:
                if not await _ends(serving.container):
                    raise
                serving = await supervisor.choose(site)
            else:
                return
        await error_pages.application_error(site.scm_host)(scope, receive, send)
    except (asyncio.TimeoutError, proxy.TooSlowError):
        await error_pages.gateway_timeout()(scope, receive, send)
    except (proxy.NoAnswerError, proxy.UnreachableError):
        await error_pages.bad_gateway()(scope, receive, send)
    except proxy.AnswerCutError:
        scope[TRANSPORT].abort()


async def _ends(container: Container) -> bool:
    """Whether a container that can't be reached ends within `_NOTICE` seconds."""
    try:
        await asyncio.wait_for(container.wait(), _NOTICE)
    except asyncio.TimeoutError:
        return False
    return True
