"""Recordings of ACR Tasks' quick runs: their source, the runs themselves and their logs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import httpx

from tests.contract.docker import docker
from tests.contract.recordings import Sample
from tests.contract.stage import REGISTRY, Case, Stage, plain
from tests.waiting import eventually

VERSION = "2019-06-01-preview"


def upload(stage: Stage, _: Sample) -> httpx.Response:
    return _put(stage, _place(stage)["uploadUrl"])


def schedule_uploaded(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.replay(sample, body=lambda body: {**body, "sourceLocation": _uploaded(stage)})


def queued(stage: Stage, sample: Sample) -> httpx.Response:
    for _ in range(5):  # on a loaded machine a run may have begun before it is asked for
        answer = stage.replay(sample, runs=_scheduled(stage))
        if answer.json()["properties"]["status"] == "Queued":
            break
    return answer


def succeeded(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.replay(sample, runs=_ended(stage))


def succeeded_without_a_push(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.replay(sample, runs=_ended(stage, push=False))


def listed(stage: Stage, sample: Sample) -> httpx.Response:
    address, _, _ = sample.url.partition("?")
    wanted = f"RunId eq '{_ended(stage)}'"
    url = f"{address}?api-version={VERSION}&$filter={wanted}&$top=15"
    return stage.replay(replace(sample, url=url))


def log_address(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.replay(sample, runs=_scheduled(stage))


def log_unfinished(stage: Stage, _: Sample) -> httpx.Response:
    with building(stage) as (_run, link):
        eventually(lambda: b"Step 1/1" in stage.http.get(link).content)
        return stage.http.head(link)


def log_finished(stage: Stage, _: Sample) -> httpx.Response:
    return stage.http.head(_link(stage, _ended(stage)))


def log_part(stage: Stage, _: Sample) -> httpx.Response:
    address = _link(stage, _ended(stage))
    size = int(stage.http.head(address).headers["content-length"])
    return stage.http.get(address, headers={"x-ms-range": f"bytes=0-{size - 1}"})


@contextmanager
def building(stage: Stage, *, push: bool = True) -> Iterator[tuple[str, str]]:
    """A run that builds, and is let go at the end: its id, and the address of its log."""
    with docker() as engine:
        stage.azure.engine(engine.socket)
        try:
            run = _scheduled(stage, push=push)
            yield run, _link(stage, run)
            engine.leave.set()
            eventually(lambda: _run(stage, run)["status"] not in ("Queued", "Running"))
        finally:
            stage.azure.engine(None)


def _ended(stage: Stage, *, push: bool = True) -> str:
    with building(stage, push=push) as (run, _):
        pass
    found = _run(stage, run)
    assert found["status"] == "Succeeded", found
    return run


def _call(stage: Stage, method: str, path: str, body: Any = None) -> dict[str, Any]:
    registry = f"{stage.group}/providers/Microsoft.ContainerRegistry/registries/{REGISTRY}"
    answer = stage.arm(method, f"{registry}/{path}", body, VERSION)
    found: dict[str, Any] = answer.raise_for_status().json()
    return found


def _place(stage: Stage) -> dict[str, Any]:
    return _call(stage, "POST", "listBuildSourceUploadUrl")


def _put(stage: Stage, address: str) -> httpx.Response:
    headers = {
        "accept": "application/xml",
        "content-type": "application/octet-stream",
        "x-ms-blob-type": "BlockBlob",
        "x-ms-version": "2022-11-02",
    }
    return stage.http.put(address, content=b"source", headers=headers)


def _uploaded(stage: Stage) -> str:
    place = _place(stage)
    _put(stage, place["uploadUrl"]).raise_for_status()
    return str(place["relativePath"])


def _scheduled(stage: Stage, *, push: bool = True) -> str:
    request = {
        "type": "DockerBuildRequest",
        "imageNames": ["built:1"],
        "isPushEnabled": push,
        "dockerFilePath": "Dockerfile",
        "platform": {"os": "Linux", "architecture": "amd64"},
        "sourceLocation": _uploaded(stage),
    }
    return str(_call(stage, "POST", "scheduleRun", request)["properties"]["runId"])


def _run(stage: Stage, run: str) -> dict[str, Any]:
    return dict(_call(stage, "GET", f"runs/{run}")["properties"])


def _link(stage: Stage, run: str) -> str:
    return str(_call(stage, "POST", f"runs/{run}/listLogSasUrl")["logLink"])


def agents(log: str) -> list[str]:
    """The lines of a log before Docker's own, with their ends, without time and names."""
    lines = log.partition("Sending build context")[0].partition("Step 1/")[0]
    words = re.sub(r"^\S+ \S+ |acb_vol_\S+|\S+\.azurecr\.io|localhost:\d+", "…", lines, flags=re.M)
    return words.splitlines(keepends=True)


QUICK = "A run of a task was recorded; the double's are quick runs, which name none."

CASES = (
    Case("acr-listbuildsourceuploadurl", plain),
    Case("acr-build-source-put-blob", upload),
    Case("acr-schedulerun-dockerbuild-2019", schedule_uploaded),
    Case("acr-schedulerun-dockerbuild-2025", plain),
    Case("acr-run-get-queued", queued, ("properties.task",), QUICK),
    Case("acr-run-get-queued-2025", queued),
    Case("acr-run-get-succeeded", succeeded_without_a_push, ("properties.task",), QUICK),
    Case("acr-run-get-succeeded-2025", succeeded),
    Case("acr-runs-list", listed, ("value[[]].properties.task",), QUICK),
    Case("acr-listlogsasurl", log_address),
    Case("acr-build-log-head-incomplete", log_unfinished),
    Case("acr-build-log-head-complete", log_finished),
    Case("acr-build-log-get-206", log_part),
)
