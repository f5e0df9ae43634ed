"""The `docker` builder: the team's own Dockerfile, built and pushed by the engine at hand."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from azext_otelembed.builders.credential_lender import CredentialLender
from azext_otelembed.builders.engine import Engine, daemon_trouble, find_engine
from azext_otelembed.builders.source import Source, Tell
from azext_otelembed.builders.subprocess_log import Ran, run
from azext_otelembed.errors import BuildFailed, OtelembedError, Unauthorized
from azext_otelembed.registry.transfer import check_push

if TYPE_CHECKING:
    from azext_otelembed.image.reference import Reference
    from azext_otelembed.registry.client import RegistryClient

_SHOWN = 15
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
_NO_BUILDKIT = re.compile(r"requires BuildKit|Unknown flag: (mount|chmod|link)", re.IGNORECASE)
_PUSHING = re.compile(r"pushing|failed to push|push access", re.IGNORECASE)


class DockerBuilder:
    """Builds with docker, buildx or podman, whichever is there."""

    name = "docker"

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        self._environment = dict(os.environ if environment is None else environment)
        self._engine: Engine | None = None

    def prepare(self) -> str:
        """See `Builder`."""
        return str(self._found())

    def build(
        self, source: Source, image: Reference, client: RegistryClient, tell: Tell
    ) -> dict[str, Any]:
        """See `Builder`. The right to push is checked before the build, which may take long."""
        engine = self._found()
        check_push(client, image.repository)
        # Docker finds credentials by the very host of the name; hosts are alike in any case.
        name = replace(image, registry=image.registry.lower(), digest=None)
        with CredentialLender({name.registry: client.wire.tokens.login}) as lender:
            lend = lender.podman if engine.kind == "podman" else lender.docker
            environment = lend(self._environment)
            ran = _run(engine.build(source, str(name)), environment, tell)
            if ran.status:
                raise _build_failed(engine, source, name, ran, lender.failure)
            push = engine.push(str(name))
            if push is not None:
                ran = _run(push, environment, tell)
                if ran.status:
                    raise _push_failed(engine, name, ran, lender.failure)
        return {"engine": str(engine)}

    def _found(self) -> Engine:
        if self._engine is None:
            if sys.platform == "win32":
                raise BuildFailed(
                    "--source needs Linux, macOS or WSL: credentials are lent to the engine "
                    "through a Unix socket.",
                    "Build and push the image, then name it with --image.",
                )
            self._engine = find_engine(self._environment)
        return self._engine


def _run(command: list[str], environment: Mapping[str, str], tell: Tell) -> Ran:
    try:
        return run(command, environment, tell)
    except OSError as error:
        raise BuildFailed(f"{command[0]} can't be started: {error.strerror or error}.") from None


def _build_failed(
    engine: Engine, source: Source, image: Reference, ran: Ran, failure: OtelembedError | None
) -> OtelembedError:
    if engine.kind == "buildx" and _PUSHING.search(ran.text) and _DENIED.search(ran.text):
        return _push_failed(engine, image, ran, failure)
    if _NO_DAEMON.search(ran.text):
        return daemon_trouble(ran.text)
    if re.search("cannot connect to podman", ran.text, re.IGNORECASE):
        return BuildFailed("podman's machine doesn't run.", "Start it: `podman machine start`.")
    advice = f"Mend {source.dockerfile}, or try it by itself: `{_by_hand(engine, source)}`."
    if _NO_BUILDKIT.search(ran.text):
        advice = "Install docker's buildx component, or set DOCKER_BUILDKIT=1."
    elif re.search(r"pull access denied|\bFROM\b.*(denied|unauthorized)", ran.text, re.IGNORECASE):
        advice = "If an image of its FROM lines is private, log the engine in to its registry."
    return BuildFailed(
        f"{engine} could not build {source.dockerfile} (status {ran.status}). Its last lines:\n"
        f"{_quoted(ran)}",
        advice,
    )


def _push_failed(
    engine: Engine, image: Reference, ran: Ran, failure: OtelembedError | None
) -> OtelembedError:
    if failure is not None:
        return failure
    if _DENIED.search(ran.text):
        return Unauthorized(
            f"Registry '{image.registry}' doesn't let {engine} push {image}. Its last lines:\n"
            f"{_quoted(ran)}",
            f"Ask for the role AcrPush on the registry; if the tag is locked, see `az acr "
            f"repository show -n {image.registry.partition('.')[0]} "
            f"--image {image.repository}:{image.tag}`, or give another with --tag.",
        )
    if _NO_DAEMON.search(ran.text):
        return daemon_trouble(ran.text)
    return BuildFailed(
        f"{engine} could not push {image} (status {ran.status}). Its last lines:\n{_quoted(ran)}",
        "Run the same command again: what was built and pushed already is kept.",
    )


def _by_hand(engine: Engine, source: Source) -> str:
    program = {"podman": "podman build", "buildx": "docker buildx build"}.get(engine.kind)
    return f"{program or 'docker build'} -f {source.dockerfile} {source.directory}"


def _quoted(ran: Ran) -> str:
    """The last lines, one below the other."""
    shown = [line for line in ran.lines if line.strip()][-_SHOWN:] or ["(it said nothing)"]
    return "".join(f"  | {line}\n" for line in shown)
