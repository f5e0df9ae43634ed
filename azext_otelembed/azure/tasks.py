"""Quick runs of ACR Tasks: builds in Azure, through Azure Resource Manager.

An archive of the source is uploaded to blob storage with a signed address, `scheduleRun` refers to
it, and the run's log is a blob too (https://learn.microsoft.com/rest/api/container-registry-tasks/).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_json import Json, objects_at, required_object_at, text_at
from azext_otelembed.azure.registries import Registry
from azext_otelembed.errors import AzureFailed, Unauthorized

API_VERSION = "2025-03-01-preview"
"""The first whose requests can name an identity for the source registry; az sends it too."""


@dataclass(frozen=True, slots=True)
class SourceUpload:
    """The target of an archive. `url` holds a signature; `path` is its name for `scheduleRun`."""

    url: str = field(repr=False)
    path: str


@dataclass(frozen=True, slots=True)
class Run:
    """The state of a run. `digests` are those of the pushed images, by `repository:tag`."""

    id: str
    status: str
    digests: dict[str, str]
    error: str = ""

    @property
    def ended(self) -> bool:
        """Whether the run has ended."""
        return self.status in ("Succeeded", "Failed", "Canceled", "Error", "Timeout")


class Tasks:
    """The runs of one registry."""

    def __init__(self, arm: Arm, registry: Registry) -> None:
        self._arm = arm
        self._registry = registry

    def create_upload(self) -> SourceUpload:
        """A target for one archive, valid for an hour."""
        what = f"Upload of the source to registry '{self._registry.name}'"
        response = self._post(what, "listBuildSourceUploadUrl")
        url, path = response.get("uploadUrl"), response.get("relativePath")
        if not url or not path:
            raise AzureFailed(f"{what}: Azure answered without an address.")
        self._arm.secrets.add_address(str(url))
        return SourceUpload(str(url), str(path))

    def schedule(self, request: Json) -> Run:
        """Queue a run. Not repeated when the response is lost: there could be two runs."""
        what = f"Build at registry '{self._registry.name}'"
        run = self._run(what, self._post(what, "scheduleRun", request, idempotent=False))
        if not run.id:
            raise AzureFailed(f"{what}: Azure answered without the id of a run.")
        return run

    def get(self, run: str) -> Run:
        """The state of a run."""
        with _role_advice(self._registry):
            path = f"{self._registry.id}/runs/{run}"
            return self._run(self._what(run), self._arm.get(self._what(run), path, API_VERSION))

    def cancel(self, run: str) -> None:
        """Cancel a run; no effect on one that has ended."""
        self._post(self._what(run), f"runs/{run}/cancel")

    def log(self, run: str) -> str:
        """The signed address of a run's log, valid for about an hour."""
        response = self._post(f"Log of {self._what(run)}", f"runs/{run}/listLogSasUrl")
        address = str(response.get("logLink") or "")
        self._arm.secrets.add_address(address)
        return address

    def _what(self, run: str) -> str:
        return f"Run '{run}' of registry '{self._registry.name}'"

    def _run(self, what: str, item: Json) -> Run:
        run = _run(what, item)
        return replace(run, error=self._arm.secrets.brief(run.error))

    def _post(
        self, what: str, path: str, body: Json | None = None, *, idempotent: bool = True
    ) -> Json:
        with _role_advice(self._registry):
            return self._arm.post(
                what, f"{self._registry.id}/{path}", API_VERSION, body, idempotent=idempotent
            )


@contextmanager
def _role_advice(registry: Registry) -> Iterator[None]:
    try:
        yield
    except Unauthorized as error:
        raise Unauthorized(
            error.message,
            f"Ask for the role Container Registry Tasks Contributor on registry '{registry.name}', "
            "or build with `--builder docker`.",
        ) from None


def _run(what: str, item: Json) -> Run:
    properties = required_object_at(what, item, "properties")
    pushed = objects_at(what, properties, "outputImages")
    return Run(
        id=str(properties.get("runId") or item.get("name") or ""),
        status=text_at(what, properties, "status"),
        digests={
            f"{one.get('repository')}:{one.get('tag')}": str(one["digest"])
            for one in pushed
            if one.get("digest")
        },
        error=str(properties.get("runErrorMessage") or ""),
    )
