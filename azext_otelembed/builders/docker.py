"""The `docker` builder: builds and pushes with a local container engine."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from azext_otelembed.builders.build_output import NEEDS_BUILDKIT, NO_BASE, quote
from azext_otelembed.builders.child_environment import engine_environment
from azext_otelembed.builders.credential_server import CredentialServer
from azext_otelembed.builders.engine import Engine, daemon_error, find_engine
from azext_otelembed.builders.source import OnLine, Source
from azext_otelembed.builders.subprocess_log import ProcessResult, run
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import BuildFailed, OtelembedError, Unauthorized
from azext_otelembed.image.reference import Reference
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.transfer import check_push

_DENIED = re.compile(
    r"denied|unauthorized|authentication required|insufficient_scope|forbidden"
    r"|\b40[13]\b|no basic auth credentials",
    re.IGNORECASE,
)
_NO_DAEMON = re.compile(
    r"is the docker daemon running|cannot connect to the docker daemon"
    r"|permission denied while trying to connect",
    re.IGNORECASE,
)
_PUSHING = re.compile(r"pushing|failed to push|push access", re.IGNORECASE)


class DockerBuilder:
    """Builds with docker, buildx or podman."""

    name = "docker"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        self._engine: Engine | None = None

    def prepare(self, deadline: Deadline) -> str:
        """See `Builder`."""
        return str(self._find_engine(deadline))

    def build(
        self, source: Source, image: Reference, client: RegistryClient, on_line: OnLine
    ) -> dict[str, Any]:
        """See `Builder`. The right to push is checked before the build, which may take minutes."""
        deadline = client.deadline
        engine = self._find_engine(deadline)
        check_push(client, image.repository)
        # Docker looks up credentials by the exact host: it is set in lower case in both places.
        name = replace(image, registry=image.registry.lower(), digest=None)
        with CredentialServer({name.registry: client.http.tokens.login}) as server:
            podman = engine.kind == "podman"
            configure = server.podman_environment if podman else server.docker_environment
            own = engine_environment(self._environment, source.build_args)
            client.secrets.add_arguments(source.build_values(own))
            environment = configure(own)
            run_engine = partial(_run, environment, client, on_line)
            result = run_engine(engine.build(source, str(name)))
            if result.status:
                raise _build_failed(engine, source, name, client, result, server.failure)
            push = engine.push(str(name))
            if push is not None:
                result = run_engine(push)
                if result.status:
                    raise _push_failed(engine, name, client, result, server.failure)
        return {"engine": str(engine)}

    def _find_engine(self, deadline: Deadline) -> Engine:
        if self._engine is None:
            if sys.platform == "win32":
                raise BuildFailed(
                    "--source needs Linux, macOS or WSL: the engine gets its credentials through a "
                    "Unix socket.",
                    "Build and push the image, then name it with --image.",
                )
            self._engine = find_engine(engine_environment(self._environment), deadline)
        return self._engine


def _run(
    environment: Mapping[str, str], client: RegistryClient, on_line: OnLine, command: list[str]
) -> ProcessResult:
    try:
        return run(command, environment, client.secrets, on_line, client.deadline)
    except OSError as error:
        raise BuildFailed(f"{command[0]} can't be started: {error.strerror or error}.") from None


def _build_failed(
    engine: Engine,
    source: Source,
    image: Reference,
    client: RegistryClient,
    result: ProcessResult,
    failure: OtelembedError | None,
) -> OtelembedError:
    if engine.kind == "buildx" and _PUSHING.search(result.text) and _DENIED.search(result.text):
        return _push_failed(engine, image, client, result, failure)
    if _NO_DAEMON.search(result.text):
        return daemon_error(result.text)
    if re.search("cannot connect to podman", result.text, re.IGNORECASE):
        return BuildFailed("podman's machine doesn't run.", "Start it: `podman machine start`.")
    program = {"podman": "podman build", "buildx": "docker buildx build"}.get(engine.kind)
    command = f"{program or 'docker build'} -f {source.dockerfile} {source.directory}"
    advice = f"Fix {source.dockerfile}, or run the build alone: `{command}`."
    if NEEDS_BUILDKIT.search(result.text):
        advice = "Install docker's buildx component, or set DOCKER_BUILDKIT=1."
    elif NO_BASE.search(result.text):
        advice = "If an image of its FROM lines is private, log the engine in to its registry."
    return BuildFailed(
        f"{engine} could not build {source.dockerfile} (status {result.status}). Its last lines:\n"
        f"{quote(result.lines)}\n",
        advice,
    )


def _push_failed(
    engine: Engine,
    image: Reference,
    client: RegistryClient,
    result: ProcessResult,
    failure: OtelembedError | None,
) -> OtelembedError:
    if failure is not None:
        return failure
    if _DENIED.search(result.text):
        tag = f"{image.repository}:{image.tag}"
        return Unauthorized(
            f"Registry '{image.registry}' doesn't let {engine} push {image}. Its last lines:\n"
            f"{quote(result.lines)}\n",
            "Ask for the role AcrPush on the registry; if the tag is locked, see "
            f"`{client.acr_command('repository show', '--image', tag)}`, or give another with "
            "--tag.",
        )
    if _NO_DAEMON.search(result.text):
        return daemon_error(result.text)
    return BuildFailed(
        f"{engine} could not push {image} (status {result.status}). Its last lines:\n"
        f"{quote(result.lines)}\n",
        "Run the same command again: what was built and pushed already is kept.",
    )
