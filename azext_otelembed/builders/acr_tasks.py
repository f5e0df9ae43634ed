"""The `acr` builder: the team's own Dockerfile, built by an ACR Tasks quick run, nothing local."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from azext_otelembed.azure import registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.blob_storage import BLOCK, Blob
from azext_otelembed.azure.tasks import Place, Run, Tasks
from azext_otelembed.builders.build_context import Context, Tally, pack, read_context
from azext_otelembed.builders.source import Source, Tell
from azext_otelembed.builders.task_log import follow
from azext_otelembed.errors import (
    UNCHANGED,
    AzureFailed,
    BuildFailed,
    Interrupted,
    NotFound,
    OtelembedError,
    Unauthorized,
)
from azext_otelembed.registry.transfer import check_push

if TYPE_CHECKING:
    from azext_otelembed.azure.registries import Registry
    from azext_otelembed.azure.session import Session
    from azext_otelembed.image.reference import Reference
    from azext_otelembed.registry.client import RegistryClient

ABAC = "AbacRepositoryPermissions"
"""Registries in this mode give runs no rights of their own: they act as the caller."""
_KEPT = 200
_SHOWN = 15
_TELL_EVERY = 10.0
_NO_BUILDKIT = re.compile(r"requires BuildKit|Unknown flag: (mount|chmod|link)", re.IGNORECASE)
_DENIED = re.compile(r"denied|unauthorized|authentication required|forbidden", re.IGNORECASE)

Stands = Callable[[str], None]
"""Is told what state things are in, for whoever interrupts."""


class AcrBuilder:
    """Builds with ACR Tasks, in the registry that the image is for."""

    name = "acr"

    def __init__(self, session: Callable[[], Session], stands: Stands) -> None:
        self._open = session
        self._stands = stands

    def prepare(self) -> str:
        """See `Builder`."""
        return "ACR Tasks"

    def build(
        self, source: Source, image: Reference, client: RegistryClient, tell: Tell
    ) -> dict[str, Any]:
        """See `Builder`. An interrupt, or whatever else ends this early, cancels the run."""
        session = self._open()
        context = read_context(source)
        registry = registries.find(Arm(session), session.subscription, image.registry)
        check_push(client, image.repository)
        tasks = Tasks(Arm(session), registry)
        name = f"{image.repository}:{image.tag}"
        self._stands(UNCHANGED)
        place = tasks.place()
        _upload(session, place, context, tell)
        self._stands(
            f"a build of {name} may have been started (`az acr task list-runs -r {registry.name} "
            "-o table`); nothing else was changed"
        )
        run = tasks.schedule(_request(source, context, place, name, registry))
        tell(f"Run {run.id} of registry '{registry.name}' is queued.")
        self._stands(f"run {run.id} may still push {name}; nothing else was changed")
        lines: deque[str] = deque(maxlen=_KEPT)

        def said(line: str) -> None:
            lines.append(line)
            tell(line)

        try:
            run = _followed(session, tasks, run, said, tell)
        except (Interrupted, OtelembedError):
            self._cancel(tasks, run, registry, name, tell)
            raise
        self._stands(UNCHANGED)
        if run.status != "Succeeded":
            raise _failed(run, registry, source, lines)
        result = {"engine": self.prepare(), "run": run.id}
        return result | ({"digest": run.digests[name]} if name in run.digests else {})

    def _cancel(self, tasks: Tasks, run: Run, registry: Registry, name: str, tell: Tell) -> None:
        try:
            tasks.cancel(run.id)
        except OtelembedError as error:
            left = f"run {run.id} could not be cancelled and may still push {name}"
            self._stands(f"{left} (`az acr task cancel-run -r {registry.name} --run-id {run.id}`)")
            tell(error.message)
        else:
            self._stands(f"run {run.id} was cancelled; nothing else was changed")
            tell(f"Run {run.id} was cancelled.")


def _upload(session: Session, place: Place, context: Context, tell: Tell) -> None:
    """Pack the context and store it, both at once."""
    tally = Tally()
    blob = Blob(session, "The upload of the source", place.url)

    def pieces() -> Iterator[bytes]:
        said = time.monotonic()
        for piece in pack(context, BLOCK, tally):
            yield piece
            if time.monotonic() - said >= _TELL_EVERY:
                said = time.monotonic()
                tell(f"Uploaded {_amount(tally)} so far.")

    try:
        blob.write(pieces())
    finally:
        blob.close()
    for name in tally.skipped:
        tell(f"Left out {name}: it is neither a file nor a folder nor a link.")
    tell(f"Uploaded {context.source.directory}: {_amount(tally)}.")


def _amount(tally: Tally) -> str:
    packed, whole = tally.packed / 1e6, tally.bytes / 1e6
    return f"{tally.files} files, {whole:.1f} MB ({packed:.1f} MB packed)"


def _request(
    source: Source, context: Context, place: Place, name: str, registry: Registry
) -> dict[str, Any]:
    """The body of `scheduleRun`, as az sends it."""
    request: dict[str, Any] = {
        "type": "DockerBuildRequest",
        "imageNames": [name],
        "isPushEnabled": True,
        "sourceLocation": place.path,
        "platform": {"os": "linux", "architecture": "amd64"},
        "dockerFilePath": context.dockerfile,
        "arguments": _arguments(source.build_args),
        "credentials": {},
    }
    if source.target is not None:
        request["target"] = source.target
    if registry.role_assignment_mode == ABAC:
        request["credentials"] = {"sourceRegistry": {"identity": "[caller]"}}
    return request


def _arguments(build_args: Sequence[str]) -> list[dict[str, Any]]:
    """Build arguments as ACR Tasks takes them. NAME alone is left out where it has no value."""
    found = []
    for argument in build_args:
        name, given, value = argument.partition("=")
        if not given:
            if name not in os.environ:
                continue
            value = os.environ[name]
        found.append({"name": name, "value": value, "isSecret": False})
    return found


def _followed(session: Session, tasks: Tasks, run: Run, said: Tell, tell: Tell) -> Run:
    """Pass the log on while the run goes on; the run as it ended.

    A log that can't be read (a network may close blob storage to its users) is no reason to fail.
    """
    try:
        for line in follow(session, tasks, run.id):
            said(line)
    except (AzureFailed, Unauthorized, NotFound) as error:
        tell(f"The build goes on, but its log can't be read here: {error.message}")
    pause = 1.0
    while True:
        run = tasks.get(run.id)
        if run.ended:
            return run
        time.sleep(pause)
        pause = min(pause * 1.5, 10.0)


def _failed(run: Run, registry: Registry, source: Source, lines: Sequence[str]) -> BuildFailed:
    text = "\n".join(lines)
    shown = [line for line in lines if line.strip()][-_SHOWN:]
    quoted = "\n".join(f"  | {line}" for line in shown) or "  | (it said nothing)"
    how = {
        "Canceled": "was cancelled",
        "Timeout": "took too long and was stopped",
        "Error": "met an error of ACR Tasks itself",
    }.get(run.status, "failed")
    why = f" {run.error.rstrip('.')}." if run.error else ""
    whole = f"`az acr task logs -r {registry.name} --run-id {run.id}`"
    advice = f"Mend {source.dockerfile}; the whole log: {whole}."
    if run.status == "Canceled":
        advice = f"Somebody cancelled it; its log: {whole}. Run the same command again."
    elif run.status in ("Error", "Timeout"):
        advice = f"Run the same command again; the whole log: {whole}."
    elif _NO_BUILDKIT.search(text):
        advice = (
            "ACR Tasks builds without BuildKit: take the flag that asks for it out of "
            f"{source.dockerfile}, or build with `--builder docker`."
        )
    elif _DENIED.search("\n".join(shown)):
        advice = (
            "If an image of its FROM lines is private, import it first (`az acr import`) and name "
            f"it in this registry; the whole log: {whole}."
        )
        if registry.role_assignment_mode == ABAC:
            advice = (
                f"Registry '{registry.name}' checks rights by repository, and the run acts as you: "
                "ask for the role Container Registry Repository Writer."
            )
    return BuildFailed(
        f"Run {run.id} of registry '{registry.name}' {how} ({run.status}).{why} Its last lines:\n"
        f"{quoted}",
        advice,
    )
