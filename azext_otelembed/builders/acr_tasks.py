"""The `acr` builder: a quick run of ACR Tasks builds the Dockerfile; nothing runs locally."""

from __future__ import annotations

import os
import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from azext_otelembed.azure import registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.blob_storage import BLOCK, Blob
from azext_otelembed.azure.registries import Registry
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.tasks import Run, SourceUpload, Tasks
from azext_otelembed.builders.build_context import BuildContext, PackStatistics, pack, read_context
from azext_otelembed.builders.build_output import KEPT_LINES, NEEDS_BUILDKIT, last_lines, quote
from azext_otelembed.builders.source import OnLine, Source
from azext_otelembed.builders.task_log import follow
from azext_otelembed.deadline import CLOSING, Deadline
from azext_otelembed.errors import (
    UNCHANGED,
    AzureFailed,
    BuildFailed,
    Interrupted,
    NotFound,
    OtelembedError,
    Unauthorized,
)
from azext_otelembed.image.reference import Reference
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.transfer import check_push

_TOOL = "ACR Tasks"
_ELSE_UNCHANGED = "nothing else was changed"
_REPORT_INTERVAL = 10.0
_DENIED = re.compile(r"denied|unauthorized|authentication required|forbidden", re.IGNORECASE)


class AcrBuilder:
    """Builds with ACR Tasks, in the registry of the image.

    `report_state` receives the state that an interrupt reports.
    """

    name = "acr"

    def __init__(self, session: Callable[[], Session], report_state: Callable[[str], None]) -> None:
        self._open = session
        self._report_state = report_state

    def prepare(self, _deadline: Deadline) -> str:
        """See `Builder`."""
        return _TOOL

    def build(
        self, source: Source, image: Reference, client: RegistryClient, on_line: OnLine
    ) -> dict[str, Any]:
        """See `Builder`. An interrupt or an error cancels the run."""
        session = self._open()
        session.secrets.add_arguments(source.build_values(os.environ))
        context = read_context(source)
        registry = registries.find(Arm(session), session.subscription, image.registry)
        check_push(client, image.repository)
        name = f"{image.repository}:{image.tag}"
        ended = run_build(session, registry, context, self._report_state, on_line, name)
        if ended.run.status != "Succeeded":
            raise ended.error()
        digests = ended.run.digests
        result = {"engine": _TOOL, "run": ended.run.id}
        return result | ({"digest": digests[name]} if name in digests else {})


@dataclass(frozen=True, slots=True)
class EndedRun:
    """A run that has ended, with the last lines of its log; `show_log` prints the whole log."""

    run: Run
    registry: Registry
    source: Source
    lines: Sequence[str]
    show_log: str

    def error(self) -> BuildFailed:
        """The error of a run that didn't succeed."""
        advice = f"the whole log: `{self.show_log}`."
        return _failed(self.run, self.registry, self.source, self.lines, advice)


def run_build(
    session: Session,
    registry: Registry,
    context: BuildContext,
    report_state: Callable[[str], None],
    on_line: OnLine,
    name: str | None = None,
) -> EndedRun:
    """Run a build to its end, whatever that is; `name` (repository:tag) is pushed.

    An interrupt or an error cancels the run. Raises `Unauthorized`, `AzureFailed`.
    """
    caller = session.caller
    tasks = Tasks(Arm(session), registry)
    report_state(UNCHANGED)
    upload = tasks.create_upload()
    _upload(session, upload, context, on_line)
    list_runs = registry.command(caller, "task list-runs", "-o", "table", option="-r")
    of_name = f" of {name}" if name else ""
    report_state(f"a build{of_name} may have been started (`{list_runs}`); {_ELSE_UNCHANGED}")
    run = tasks.schedule(_request(context, upload, name, registry))
    on_line(f"Run {run.id} of registry '{registry.name}' is queued.")
    report_state(f"run {run.id} may still {_effect(name)}; {_ELSE_UNCHANGED}")
    lines: deque[str] = deque(maxlen=KEPT_LINES)
    try:
        run = _follow_run(session, tasks, run, lines, on_line)
    except (Interrupted, OtelembedError):
        session.deadline.extend(CLOSING)
        cancel = registry.command(caller, "task cancel-run", "--run-id", run.id, option="-r")
        report_state(_cancel(tasks, run, cancel, name, on_line))
        raise
    report_state(UNCHANGED)
    logs = registry.command(caller, "task logs", "--run-id", run.id, option="-r")
    return EndedRun(run, registry, context.source, lines, logs)


def _cancel(tasks: Tasks, run: Run, command: str, name: str | None, on_line: OnLine) -> str:
    """Cancels a run; `command` does the same by hand. Returns the state that follows."""
    try:
        tasks.cancel(run.id)
    except OtelembedError as error:
        on_line(error.message)
        return f"run {run.id} could not be cancelled and may still {_effect(name)} (`{command}`)"
    on_line(f"Run {run.id} was cancelled.")
    return f"run {run.id} was cancelled; {_ELSE_UNCHANGED}"


def _effect(name: str | None) -> str:
    return f"push {name}" if name else "be running"


def _upload(session: Session, upload: SourceUpload, context: BuildContext, on_line: OnLine) -> None:
    """Pack the context and upload it at the same time."""
    statistics = PackStatistics()
    blob = Blob(session, "The upload of the source", upload.url)

    def pieces() -> Iterator[bytes]:
        reported = time.monotonic()
        for piece in pack(context, BLOCK, statistics):
            yield piece
            if time.monotonic() - reported >= _REPORT_INTERVAL:
                reported = time.monotonic()
                on_line(f"Uploaded {_amount(statistics)} so far.")

    try:
        blob.write(pieces())
    finally:
        blob.close()
    for name in statistics.skipped:
        on_line(f"Skipped {name}: it isn't a file, a folder or a link.")
    on_line(f"Uploaded {context.source.directory}: {_amount(statistics)}.")


def _amount(statistics: PackStatistics) -> str:
    packed, total = statistics.packed / 1e6, statistics.bytes / 1e6
    return f"{statistics.files} files, {total:.1f} MB ({packed:.1f} MB packed)"


def _request(
    context: BuildContext, upload: SourceUpload, name: str | None, registry: Registry
) -> dict[str, Any]:
    """The body of `scheduleRun`, as az sends it."""
    request: dict[str, Any] = {
        "type": "DockerBuildRequest",
        "imageNames": [name] if name else [],
        "isPushEnabled": name is not None,
        "sourceLocation": upload.path,
        "platform": {"os": "linux", "architecture": "amd64"},
        "dockerFilePath": context.dockerfile,
        "arguments": _arguments(context.source),
        "credentials": {},
    }
    if context.source.target is not None:
        request["target"] = context.source.target
    if registry.abac:
        # In this mode runs have no rights by default: they get the caller's.
        request["credentials"] = {"sourceRegistry": {"identity": "[caller]"}}
    return request


def _arguments(source: Source) -> list[dict[str, Any]]:
    """Build arguments for ACR Tasks, without a NAME whose variable isn't set."""
    return [
        {"name": name, "value": value, "isSecret": False}
        for name, value in source.build_values(os.environ).items()
    ]


def _follow_run(
    session: Session, tasks: Tasks, run: Run, lines: deque[str], on_line: OnLine
) -> Run:
    """Pass on the log while the run is active, also to `lines`; returns the ended run.

    A log that can't be read (a firewall may block blob storage) is not an error.
    """
    try:
        for line in map(session.secrets.mask, follow(session, tasks, run.id)):
            lines.append(line)
            on_line(line)
    except (AzureFailed, Unauthorized, NotFound) as error:
        on_line(f"The build continues, but its log can't be read: {error.message}")
    pause = 1.0
    while not (run := tasks.get(run.id)).ended:
        session.deadline.sleep(pause, f"run {run.id} had ended")
        pause = min(pause * 1.5, 10.0)
    return run


def _failed(
    run: Run, registry: Registry, source: Source, lines: Sequence[str], show_log: str
) -> BuildFailed:
    outcome = {
        "Canceled": "was cancelled",
        "Timeout": "took too long and was stopped",
        "Error": "failed with an error of ACR Tasks",
    }.get(run.status, "failed")
    cause = f" {run.error.rstrip('.')}." if run.error else ""
    return BuildFailed(
        f"Run {run.id} of registry '{registry.name}' {outcome} ({run.status}).{cause} Its last "
        f"lines:\n{quote(lines)}",
        _advice(run, registry, source, lines, show_log),
    )


def _advice(
    run: Run, registry: Registry, source: Source, lines: Sequence[str], show_log: str
) -> str:
    if run.status == "Canceled":
        return f"Run the same command again if the run was cancelled by mistake; {show_log}"
    if run.status in ("Error", "Timeout"):
        return f"Run the same command again; {show_log}"
    if NEEDS_BUILDKIT.search("\n".join(lines)):
        return (
            "ACR Tasks builds without BuildKit: remove the flag that needs it from "
            f"{source.dockerfile}, or build with `--builder docker`."
        )
    if not _DENIED.search("\n".join(last_lines(lines))):
        return f"Fix {source.dockerfile}; {show_log}"
    if registry.abac:
        return (
            f"Registry '{registry.name}' checks rights by repository, and the run has yours: "
            "ask for the role Container Registry Repository Writer."
        )
    return (
        "If an image of its FROM lines is private, import it first (see `az acr import --help`) "
        f"and name it in this registry; {show_log}"
    )
