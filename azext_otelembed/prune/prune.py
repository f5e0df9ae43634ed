"""`prune`: embedded images that nothing needs any more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from azext_otelembed.azure import registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.arm_errors import azure_errors
from azext_otelembed.azure.arm_json import modelled
from azext_otelembed.errors import NotFound
from azext_otelembed.log_redaction import no_http_logs
from azext_otelembed.parallel import for_each
from azext_otelembed.prune.deployed_images import find_running
from azext_otelembed.prune.retention import Judged, Stored, judge
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.registry.auth import AcrExchange
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.referrers import list_referrers

if TYPE_CHECKING:
    from azext_otelembed.azure.registries import Registry
    from azext_otelembed.azure.session import Session
    from azext_otelembed.console import Console


class Pruner:
    """Looks at one registry, and deletes from it through the azure-containerregistry SDK.

    `repository` narrows that down to one of its repositories; `keep` is how many releases of each
    site count.
    """

    def __init__(
        self, session: Session, registry: Registry, repository: str | None, keep: int
    ) -> None:
        from azure.containerregistry import ContainerRegistryClient

        self._session = session
        self._registry = registry
        self._repository = repository
        self._keep = keep
        self._sdk = ContainerRegistryClient(
            f"https://{registry.login_server}",
            session.credential,
            audience=session.arm_scope.removesuffix("/.default"),
            **session.transport,
        )

    def look(self, console: Console) -> list[Judged]:
        """All embedded images of the registry, or of one repository, with a verdict each."""
        with console.step("look") as step:
            # What is there first: what comes to be needed meanwhile is then seen as needed.
            step.say("reading the registry")
            repositories = [self._repository] if self._repository else self._repositories()
            stored = [one for found in for_each(repositories, self._stored) for one in found]
            step.say("asking what runs")
            running = find_running(self._session)
            step.say("reading the releases on record")
            releases = self._releases()
            host, now = self._registry.login_server, datetime.now(timezone.utc)
            judged = judge(stored, host, running, releases, self._keep, now)
            step.say(f"{len(judged)} embedded images, {len(unneeded(judged))} needed by nothing")
        for name, reason in running.unread:
            console.note(f"{name} can't be read, so everything is kept: {reason}")
        return judged

    def look_again(self, asked: Collection[Judged], console: Console) -> list[Judged]:
        """Those of `asked` that nothing needs now either.

        A deploy doesn't build what is there: it may have taken one up since the first look.
        """
        before = {one.stored.by_digest for one in asked}
        return [one for one in unneeded(self.look(console)) if one.stored.by_digest in before]

    def delete(self, judged: Sequence[Judged], console: Console) -> None:
        """Deletes the images that nothing needs; one that is gone already is no error."""
        registry = self._registry.name
        with console.step("delete") as step:
            for count, one in enumerate(judged):
                step.say(f"{one.stored.repository}@{one.stored.digest[:19]}")
                console.stands(f"{count} of {len(judged)} images are gone from '{registry}'")
                with azure_errors(one.stored.by_digest), no_http_logs():
                    self._sdk.delete_manifest(one.stored.repository, one.stored.digest)
            step.say(f"{len(judged)} images")

    def _releases(self) -> list[list[Release]]:
        session = self._session
        credential = AcrExchange(session.arm_token, session.tenant)
        host = self._registry.login_server
        with RegistryClient(host, credential, transport=session.transport) as client:
            return all_releases(client)

    def _repositories(self) -> list[str]:
        what = f"Repositories of registry '{self._registry.name}'"
        with modelled(what), azure_errors(what), no_http_logs():
            names = self._sdk.list_repository_names()
            return [name for name in names if not name.startswith("otelembed/")]

    def _stored(self, repository: str) -> list[Stored]:
        what = f"Images of repository '{repository}' in registry '{self._registry.name}'"
        with modelled(what), azure_errors(what), no_http_logs():
            return [
                Stored(
                    repository=repository,
                    digest=str(one.digest),
                    tags=tuple(one.tags or ()),
                    created=one.created_on,
                    pushed=max(one.created_on, one.last_updated_on or one.created_on),
                )
                for one in self._sdk.list_manifest_properties(repository)
            ]


def unneeded(judged: Sequence[Judged]) -> list[Judged]:
    """Those that nothing needs."""
    return [one for one in judged if not one.kept_because]


def all_releases(client: RegistryClient) -> list[list[Release]]:
    """The releases of every site that has records in a registry, newest first."""
    try:
        tags = client.tags(record.REPOSITORY)
    except NotFound:
        return []

    def of_site(tag: str) -> list[Release]:
        stored = client.head_manifest(record.REPOSITORY, tag)
        if stored is None:
            return []
        return record.read(
            list_referrers(client, record.REPOSITORY, stored.digest, record.ARTIFACT_TYPE)
        )

    return for_each([tag for tag in tags if tag.startswith("site-")], of_site)


def find_registry(session: Session, name: str) -> Registry:
    """The registry of `--registry`. Raises `NotFound`."""
    return registries.find(Arm(session), session.subscription, name)
