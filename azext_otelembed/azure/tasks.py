"""ACR Tasks: quick runs, Azure's own builders, as Azure Resource Manager offers them.

https://learn.microsoft.com/rest/api/container-registry-tasks/: an archive of the source goes to
blob storage through a signed address, `scheduleRun` names it, and the run's log is a blob too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from azext_otelembed.azure.arm_json import part, parts
from azext_otelembed.errors import AzureFailed, Unauthorized

if TYPE_CHECKING:
    from azext_otelembed.azure.arm import Arm
    from azext_otelembed.azure.arm_json import Json
    from azext_otelembed.azure.registries import Registry

API_VERSION = "2025-03-01-preview"
"""The first whose requests can name an identity for the source registry; az sends it too."""
ENDED = frozenset({"Succeeded", "Failed", "Canceled", "Error", "Timeout"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where an archive goes. `url` holds a signature; `path` is what `scheduleRun` calls it."""

    url: str = field(repr=False)
    path: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run as Azure last told it. `digests` are those it pushed, by `repository:tag`."""

    id: str
    status: str
    digests: dict[str, str]
    error: str = ""

    @property
    def ended(self) -> bool:
        """Whether it goes on no more."""
        return self.status in ENDED


class Tasks:
    """The runs of one registry."""

    def __init__(self, arm: Arm, registry: Registry) -> None:
        self._arm = arm
        self._registry = registry

    def place(self) -> Place:
        """A place for one archive, open for an hour."""
        what = f"A place for the source at registry '{self._registry.name}'"
        answer = self._post(what, "listBuildSourceUploadUrl")
        url, path = answer.get("uploadUrl"), answer.get("relativePath")
        if not url or not path:
            raise AzureFailed(f"{what}: Azure answered without an address.")
        return Place(str(url), str(path))

    def schedule(self, request: Json) -> Run:
        """Queue a run. Not sent again when its answer is lost: there would be two."""
        what = f"Build at registry '{self._registry.name}'"
        run = _run(what, self._post(what, "scheduleRun", request, repeatable=False))
        if not run.id:
            raise AzureFailed(f"{what}: Azure answered without the id of a run.")
        return run

    def get(self, run: str) -> Run:
        """How a run is doing."""
        with _explained(self._registry):
            path = f"{self._registry.id}/runs/{run}"
            return _run(self._what(run), self._arm.get(self._what(run), path, API_VERSION))

    def cancel(self, run: str) -> None:
        """Stop a run; one that has ended stays as it is."""
        self._post(self._what(run), f"runs/{run}/cancel")

    def log(self, run: str) -> str:
        """The signed address of a run's log, good for about an hour."""
        answer = self._post(f"Log of {self._what(run)}", f"runs/{run}/listLogSasUrl")
        return str(answer.get("logLink") or "")

    def _what(self, run: str) -> str:
        return f"Run '{run}' of registry '{self._registry.name}'"

    def _post(
        self, what: str, path: str, body: Json | None = None, *, repeatable: bool = True
    ) -> Json:
        with _explained(self._registry):
            return self._arm.post(
                what, f"{self._registry.id}/{path}", API_VERSION, body, repeatable=repeatable
            )


@contextmanager
def _explained(registry: Registry) -> Iterator[None]:
    try:
        yield
    except Unauthorized as refusal:
        raise Unauthorized(
            refusal.message,
            f"Ask for the role Container Registry Tasks Contributor on registry '{registry.name}', "
            "or build with `--builder docker`.",
        ) from None


def _run(what: str, item: Json) -> Run:
    properties = part(what, item, "properties")
    pushed = parts(what, properties, "outputImages")
    return Run(
        id=str(properties.get("runId") or item.get("name") or ""),
        status=str(properties.get("status") or ""),
        digests={
            f"{one.get('repository')}:{one.get('tag')}": str(one["digest"])
            for one in pushed
            if one.get("digest")
        },
        error=str(properties.get("runErrorMessage") or ""),
    )
