"""ACR Tasks' quick runs: archives of source that were uploaded, runs, and their logs."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import uuid
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from localazure.acr import access
from localazure.acr.engine import Engine, EngineError
from localazure.state import Registry, State

ENGINE = "LOCALAZURE_ENGINE"
"""Environment variable: the socket of a Docker engine that runs may use."""
QUEUED = 0.3
"""Seconds that a run waits for an agent. Azure's takes a few seconds, and up to minutes."""
ABAC = "AbacRepositoryPermissions"
_WORDS = {"Succeeded": "successful", "Failed": "failed", "Canceled": "canceled"}


@dataclass(slots=True)
class Archive:
    """A blob that is being written: its committed bytes in `file`, blocks beside it."""

    path: str
    file: Path
    blocks: dict[str, Path] = field(default_factory=dict)
    committed: bool = False


@dataclass(slots=True)
class Log:
    """A run's log: an append blob that says `complete` at its end."""

    file: Path
    complete: str = ""

    def write(self, text: str, end: str = "\r\n") -> None:
        """Append a program's output, with `end` at the end of each line."""
        with self.file.open("ab") as file:
            file.write(text.replace("\n", end).encode())

    def line(self, text: str, end: str = "\n") -> None:
        """Append a line of the task itself, with the time. Recordings have both line ends."""
        self.write(f"{datetime.now(timezone.utc):%Y/%m/%d %H:%M:%S} {text}\n", end)


@dataclass(slots=True)
class Run:
    """One run. `request` is the body of scheduleRun; times are UTC."""

    id: str
    registry: Registry
    request: dict[str, Any]
    caller: str
    """Object id of the principal that scheduled it; `by` is its client id."""
    by: str
    log: Log
    created: datetime = field(default_factory=lambda: datetime.now(timezone.utc))
    status: str = "Queued"
    started: datetime | None = None
    finished: datetime | None = None
    error: str = ""
    images: list[dict[str, str]] = field(default_factory=list)
    task: asyncio.Task[None] | None = None


class Builds:
    """The archives, runs and logs of all registries, and the Docker engine for the builds."""

    def __init__(self, directory: Path) -> None:
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self._directory = directory
        self.engine = os.environ.get(ENGINE, "")
        """Path of a Docker engine's socket; without one, runs fail (their logs say why)."""
        self._containers: dict[str, str] = {}
        self._archives: dict[str, Archive] = {}
        self._runs: dict[str, dict[str, Run]] = {}

    def container(self, registry: Registry) -> str:
        """The path of a registry's container: `/account/container`."""
        made = f"/wemanaged1/{uuid.uuid4().hex}-{secrets.token_hex(5)}"
        return self._containers.setdefault(registry.login_server, made)

    def new_archive(self, registry: Registry) -> Archive:
        """A new archive without content; its `path` is within the container."""
        name = uuid.uuid4()
        path = f"source/{datetime.now(timezone.utc):%Y%m%d%H}00/{name}.tar.gz"
        archive = Archive(path, self._directory / f"{name}.tar.gz")
        self._archives[f"{self.container(registry)}/{path}"] = archive
        return archive

    def archive(self, path: str) -> Archive | None:
        """The archive at a blob's path."""
        return self._archives.get(path)

    def log_path(self, run: Run) -> str:
        """The path of a run's log."""
        return f"{self.container(run.registry)}/logs/{run.id}/rawtext.log"

    def log(self, path: str) -> Log | None:
        """The log at a blob's path."""
        runs = (run for runs in self._runs.values() for run in runs.values())
        return next((run.log for run in runs if self.log_path(run) == path), None)

    def runs(self, registry: Registry) -> list[Run]:
        """The runs of a registry, newest first."""
        return list(reversed(self._runs.get(registry.login_server, {}).values()))

    def find(self, registry: Registry, run: str) -> Run | None:
        """A run by its id."""
        return self._runs.get(registry.login_server, {}).get(run.lower())

    def schedule(
        self, state: State, registry: Registry, request: dict[str, Any], caller: str, by: str
    ) -> Run:
        """Queue a run."""
        known = self._runs.setdefault(registry.login_server, {})
        name = f"ca{len(known) + 1}"
        log = Log(self._directory / f"{registry.name}-{name}.log")
        run = Run(name, registry, request, caller, by, log)
        known[name] = run
        run.task = asyncio.create_task(self._work(state, run), name=f"run {name}")
        return run

    async def close(self) -> None:
        """Cancel all runs."""
        tasks = [run.task for runs in self._runs.values() for run in runs.values() if run.task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _work(self, state: State, run: Run) -> None:
        try:
            await asyncio.sleep(QUEUED)
            run.status, run.started = "Running", datetime.now(timezone.utc)
            await self._build(state, run)
        except EngineError as error:
            run.log.write(f"{error}\n")
            _end(run, "Failed", "failed during run, err: exit status 1")
        except asyncio.CancelledError:
            _end(run, "Canceled", "")
            raise
        else:
            _end(run, "Succeeded", "")

    async def _build(self, state: State, run: Run) -> None:
        line = run.log.line
        line("Downloading source code...", "\r\n")
        location = str(run.request.get("sourceLocation") or "")
        archive = self._archives.get(f"{self.container(run.registry)}/{location}")
        if archive is None or not archive.committed:
            raise EngineError(f"failed to download context: '{location}' was never uploaded here")
        line("Finished downloading source code", "\r\n")
        if not self.engine:
            raise EngineError(
                "This double has no container engine to build with: start it with "
                f"{ENGINE}=/path/to/docker.sock, or send it PATCH /engine."
            )
        line(f"Using acb_vol_{uuid.uuid4()} as the home volume")
        line("Setting up Docker configuration...")
        line("Successfully set up Docker configuration")
        login = run.registry.login_server
        line(f"Logging in to registry: {login}")
        user, password = f"tasks-{run.id}", secrets.token_hex(16)
        if _trusted(state, run):
            run.registry.users[user] = password
            line(f"Successfully logged into {login}")
        try:
            engine = Engine(Path(self.engine), {login: (user, password)}, run.log.write)
            names = [f"{login}/{name}" for name in run.request.get("imageNames") or ()]
            line(
                "Executing step ID: build. Timeout(sec): 28800, Working directory: '', Network: ''"
            )
            line("Scanning for dependencies...")
            line("Successfully scanned dependencies")
            line("Launching container with name: build")
            await engine.build(archive.file, names, run.request)
            for name in names if run.request.get("isPushEnabled") else ():
                line(f"Pushing image: {name}, attempt 1")
                digest = await engine.push(name)
                repository, _, tag = name.removeprefix(f"{login}/").rpartition(":")
                told = {"registry": login, "repository": repository, "tag": tag, "digest": digest}
                run.images.append(told)
            await engine.forget(names)
        finally:
            run.registry.users.pop(user, None)


def _trusted(state: State, run: Run) -> bool:
    """Whether the run may use its registry: always, or in ABAC mode with its caller's rights."""
    if run.registry.role_assignment_mode != ABAC:
        return True
    source = (run.request.get("credentials") or {}).get("sourceRegistry") or {}
    rights = access.rights(state, run.registry, run.caller)
    return source.get("identity") == "[caller]" and {"pull", "push"} <= rights


def _end(run: Run, status: str, error: str) -> None:
    run.status, run.error, run.finished = status, error, datetime.now(timezone.utc)
    seconds = (run.finished - run.created).seconds
    if status == "Succeeded":
        run.log.write(f"\nRun ID: {run.id} was successful after {seconds}s\n")
    else:
        detail = f" Error: {error}" if error else ""
        run.log.write(f"\nRun ID: {run.id} {_WORDS[status]} after {seconds}s.{detail}\n")
    run.log.complete = _WORDS[status]
