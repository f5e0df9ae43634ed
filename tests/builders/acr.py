"""The `acr` builder by itself, without az around it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from azext_otelembed.builders.acr_tasks import AcrBuilder
from azext_otelembed.builders.source import find_source
from azext_otelembed.deadline import Deadline
from azext_otelembed.errors import OtelembedError
from azext_otelembed.image.reference import Reference
from azext_otelembed.registry.auth import AcrExchange
from azext_otelembed.registry.client import RegistryClient
from tests.builders.support import Builds
from tests.e2e.support import REGISTRY
from tests.release.support import session_of


@dataclass(slots=True)
class Attempt:
    """One build: what it said, how it said that things stand, and the requests it made."""

    repository: str
    said: list[str] = field(default_factory=list)
    standing: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list, repr=False)
    result: dict[str, Any] = field(default_factory=dict)
    error: OtelembedError | None = None

    @property
    def log(self) -> str:
        """What it said, as one text."""
        return "\n".join(self.said)

    @property
    def run(self) -> str:
        """The run's id, once there is one."""
        queued = [line for line in self.said if line.endswith("is queued.")]
        return queued[0].split()[1] if queued else ""

    def failed(self) -> OtelembedError:
        """The error that it ended with."""
        assert self.error is not None, self.log
        return self.error

    def asked(self, end: str) -> int:
        """How many requests there were to paths with this end."""
        return sum(record["path"].endswith(end) for record in self.requests)


def attempt(
    tasks: Builds,
    *,
    token: str | None = None,
    registry: str = REGISTRY,
    made: Attempt | None = None,
    deadline: Deadline | None = None,
) -> Attempt:
    """Build the source folder as the owner, or as the one with `token`; `made` is filled in."""
    local = tasks.cloud.local
    made = made or Attempt(tasks.repository())
    session = replace(session_of(local, token), deadline=deadline or Deadline())
    host = local.registries[registry]
    source = find_source(str(tasks.source), None, (), None)
    builder = AcrBuilder(lambda: session, made.standing.append)
    image = Reference.parse(f"{host}/{made.repository}:1")
    mark = local.mark()
    credential = AcrExchange(session.arm_token, local.tenant)
    transport = {"connection_verify": local.ca}
    with RegistryClient(host, credential, transport=transport, deadline=session.deadline) as client:
        try:
            made.result = builder.build(source, image, client, made.said.append)
        except OtelembedError as error:
            made.error = error
    made.requests = local.requests(since=mark)
    return made
