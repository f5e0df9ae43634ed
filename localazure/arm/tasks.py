"""ACR Tasks: quick runs of a registry (DockerBuildRequest), no stored tasks."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Any

from starlette.responses import Response

from localazure.acr.builds import Archive, Run
from localazure.arm import errors
from localazure.arm.call import Call
from localazure.arm.registries import ONE, find
from localazure.arm.registry_json import TYPE
from localazure.arm.responses import arm, empty
from localazure.arm.routing import Route

UPLOAD_LIFETIME = 60 * 60
LOG_LIFETIME = 70 * 60
"""Seconds, as in the recordings."""
_FILTER = re.compile(r"(\w+) eq '([^']*)'")
_MOST = 100


async def list_upload_url(call: Call) -> Response:
    """POST listBuildSourceUploadUrl: the address for the upload of a source archive."""
    registry, builds = find(call), call.double.builds
    archive: Archive = builds.new_archive(registry)
    path = f"{builds.container(registry)}/{archive.path}"
    url = _signed(call, path, "cw", UPLOAD_LIFETIME)
    return arm(200, {"uploadUrl": url, "relativePath": archive.path})


async def schedule(call: Call) -> Response:
    """POST scheduleRun: 200 and the run, queued."""
    registry, request = find(call), call.object()
    kind = request.get("type")
    if kind != "DockerBuildRequest":
        text = f"The double runs DockerBuildRequest only, not '{kind}'."
        raise errors.registry(400, "InvalidRunRequest", text)
    for name in ("platform", "dockerFilePath", "sourceLocation"):
        if not request.get(name):
            raise errors.registry(400, "InvalidRunRequest", f"'{name}' is missing.")
    builds, by = call.double.builds, call.client_id
    run = builds.schedule(call.state, registry, request, call.object_id, by)
    document = _document(call, run)
    kept = ("runId", "status", "lastUpdatedTime", "provisioningState", "isArchiveEnabled")
    properties = {name: document["properties"][name] for name in kept}
    return arm(200, {**document, "properties": properties})


async def list_runs(call: Call) -> Response:
    """GET runs: the newest first; `$filter` by RunId and Status, `$top`."""
    query = call.request.query_params
    wanted = {name.lower(): value for name, value in _FILTER.findall(query.get("$filter", ""))}
    if "taskname" in wanted:  # no run here belongs to a stored task
        return arm(200, {"value": []})
    runs = [
        run
        for run in call.double.builds.runs(find(call))
        if wanted.get("runid", run.id) == run.id and wanted.get("status", run.status) == run.status
    ]
    top = int(query.get("$top", str(_MOST)))
    return arm(200, {"value": [_document(call, run) for run in runs[:top]]})


async def get_run(call: Call) -> Response:
    """GET of a run."""
    return arm(200, _document(call, _run(call)))


async def cancel(call: Call) -> Response:
    """POST cancel: 200, also for a run that has ended."""
    run = _run(call)
    if run.task is not None:
        run.task.cancel()
    return empty(200)


async def list_log_url(call: Call) -> Response:
    """POST listLogSasUrl: the address of the log."""
    path = call.double.builds.log_path(_run(call))
    return arm(200, {"logLink": _signed(call, path, "r", LOG_LIFETIME)})


def _run(call: Call) -> Run:
    run = call.double.builds.find(find(call), call.names["run"])
    if run is None:
        text = f"The resource {call.names['run']} could not be found."
        raise errors.registry(404, "ResourceNotFound", text)
    return run


def _signed(call: Call, path: str, permissions: str, seconds: float) -> str:
    return f"{call.double.blobs}{path}?{call.double.signer.grant(path, permissions, seconds)}"


def _document(call: Call, run: Run) -> dict[str, Any]:
    changed = run.finished or run.started or run.created
    properties: dict[str, Any] = {
        "runId": run.id,
        "status": run.status,
        "lastUpdatedTime": f"{changed:%Y-%m-%dT%H:%M:%S}+00:00",
        "runType": "QuickRun",
        "createTime": _precise(run.created),
    }
    if run.started:
        properties["startTime"] = _precise(run.started)
    if run.finished:
        properties["finishTime"] = _precise(run.finished)
    if run.images:
        properties["outputImages"] = run.images
    platform = run.request.get("platform") or {}
    properties |= {
        "platform": {
            "os": str(platform.get("os", "linux")).lower(),
            "architecture": platform.get("architecture", "amd64"),
        },
        "agentConfiguration": {"cpu": 2},
        "provisioningState": "Failed" if run.status == "Failed" else "Succeeded",
        "isArchiveEnabled": bool(run.request.get("isArchiveEnabled")),
    }
    if run.error:
        properties["runErrorMessage"] = run.error
    return {
        "type": f"{TYPE}/runs",
        "properties": properties,
        "id": f"{call.state.registry_id(run.registry)}/runs/{run.id}",
        "name": run.id,
        "systemData": {
            "lastModifiedBy": run.by,
            "lastModifiedByType": "Application",
            "lastModifiedAt": _precise(run.created),
        },
    }


def _precise(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}0+00:00"


ROUTES = (
    Route("POST", ONE + "/listBuildSourceUploadUrl", list_upload_url),
    Route("POST", ONE + "/scheduleRun", schedule),
    Route("GET", ONE + "/runs", list_runs),
    Route("GET", ONE + "/runs/{run}", get_run),
    Route("POST", ONE + "/runs/{run}/cancel", cancel),
    Route("POST", ONE + "/runs/{run}/listLogSasUrl", list_log_url),
)
