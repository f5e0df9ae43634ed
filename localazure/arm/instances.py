"""A site's instances, and the logs of its containers."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from localazure.arm import errors, site_json
from localazure.arm.call import Call
from localazure.arm.responses import empty, web
from localazure.arm.sites import both
from localazure.runtime.site_log import machine_name
from localazure.state import InstanceView, Site


async def list_instances(call: Call) -> Response:
    """GET instances."""
    site = call.site()
    found = call.double.runtime.instances(site)
    entries = [_resource(site, each, containers=None) for each in found]
    return web(site_json.listing(entries), etag=site.etag)


async def get_instance(call: Call) -> Response:
    """GET instances/{id}."""
    site, name = call.site(), call.names["instance"]
    for each in call.double.runtime.instances(site):
        if each.name == name.lower():
            return web(_resource(site, each, containers={}))
    raise errors.web(404, "NotFound", f"Cannot find instance {name} of the site.")


def _resource(site: Site, instance: InstanceView, *, containers: Any) -> dict[str, Any]:
    scm, name = f"https://{site.scm_host}", instance.name
    properties = {
        "state": instance.state,
        "name": name,
        "siteInstanceName": name,
        "statusUrl": f"{scm}/AppServiceTunnel/Tunnel.ashx?GetStatus&GetStatusAPIVer=2"
        f"&instance={name}",
        "detectorUrl": f"{scm}/detectors",
        "consoleUrl": f"{scm}/webssh/host?instance={name}",
        "healthCheckUrl": None,
        "machineName": machine_name(name),
        "containers": containers,
    }
    return site_json.sub_resource(site, f"instances/{name}", "instances", properties)


async def container_log(call: Call) -> Response:
    """POST containerlogs: the log as text, 204 without a log."""
    text = call.double.runtime.container_log(call.site())
    if not text:
        return empty(204)
    return Response(text.encode(), media_type="application/octet-stream")


async def container_logs_zip(call: Call) -> Response:
    """POST containerlogs/zip/download: the log files as a zip, 204 without log files."""
    files = call.double.runtime.log_files(call.site())
    if not files:
        return empty(204)
    return Response(zipped(files), media_type="application/zip")


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of `files`."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return buffer.getvalue()


ROUTES = (
    *both("GET", "/instances", list_instances),
    *both("GET", "/instances/{instance}", get_instance),
    *both("POST", "/containerlogs", container_log),
    *both("POST", "/containerlogs/zip/download", container_logs_zip),
)
