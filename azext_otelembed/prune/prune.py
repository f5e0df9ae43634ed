"""`az otelembed prune`: finds and deletes embedded images that are not needed any more."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timezone
from functools import cached_property, partial
from itertools import chain
from typing import TYPE_CHECKING

from azext_otelembed.azure.arm import make_transport
from azext_otelembed.azure.arm_errors import sdk_errors
from azext_otelembed.azure.registries import Registry
from azext_otelembed.azure.session import Session
from azext_otelembed.console import Console
from azext_otelembed.errors import NotFound
from azext_otelembed.log_redaction import no_http_logs
from azext_otelembed.parallel import map_concurrently
from azext_otelembed.prune.deployed_images import find_deployed_images
from azext_otelembed.prune.retention import Decision, StoredImage, decide
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.referrers import list_referrers

if TYPE_CHECKING:
    from azure.containerregistry import ContainerRegistryClient

_API_VERSION = "2021-07-01"
"""Of the registry's own API (`/acr/v1`), set explicitly as for every request to Azure."""


class Pruner:
    """Reads one registry, and deletes from it through the azure-containerregistry SDK.

    `repository` limits that to one of its repositories; `keep` is the number of releases of each
    site whose images are kept.
    """

    def __init__(
        self, session: Session, registry: Registry, repository: str | None, keep: int
    ) -> None:
        self._session = session
        self._registry = registry
        self._repository = repository
        self._keep = keep
        self._client = RegistryClient(
            registry.login_server,
            session.registry_credential(),
            transport=session.transport,
            acr_command=partial(registry.command, session.caller),
            secrets=session.secrets,
            deadline=session.deadline,
        )

    @cached_property
    def _sdk(self) -> ContainerRegistryClient:
        """The SDK's client, with the audience of the token that the registry has exchanged."""
        from azure.containerregistry import ContainerRegistryClient

        session, fell_back = self._session, self._client.http.tokens.fell_back
        scope = session.arm_scope if fell_back else session.acr_scope
        return ContainerRegistryClient(
            f"https://{self._registry.login_server}",
            session.bounded_credential,
            api_version=_API_VERSION,
            audience=scope.removesuffix("/.default"),
            transport=make_transport(session),
        )

    def find(self, console: Console) -> list[Decision]:
        """All embedded images of the registry, or of one repository, with a decision for each."""
        with console.step("look") as step:
            # The registry first: an image that is deployed meanwhile is then found as deployed.
            step.say("reading the registry")
            self._client.http.tokens.login()  # decides on the audience: the SDK has no fallback
            repositories = [self._repository] if self._repository else self._repositories()
            stored = chain.from_iterable(map_concurrently(repositories, self._stored))
            step.say("reading the images of all sites")
            deployed = find_deployed_images(self._session)
            step.say("reading the releases on record")
            releases = all_releases(self._client)
            host, now = self._registry.login_server, datetime.now(timezone.utc)
            decisions = decide(stored, host, deployed, releases, self._keep, now)
            count = len(deletable(decisions))
            step.say(f"{len(decisions)} embedded images, {count} of them not needed")
        for name, reason in deployed.unreadable:
            console.note(f"{name} can't be read, so all images are kept: {reason}")
        return decisions

    def find_again(self, chosen: Collection[Decision], console: Console) -> list[Decision]:
        """Those of `chosen` that still may be deleted.

        A deploy doesn't build an image that is there: it may have deployed one of them since.
        """
        before = {one.image.digest_name for one in chosen}
        return [one for one in deletable(self.find(console)) if one.image.digest_name in before]

    def delete(self, chosen: Sequence[Decision], console: Console) -> None:
        """Deletes images; one that is gone already is no error."""
        registry = self._registry.name
        with console.step("delete") as step:
            for count, one in enumerate(chosen):
                image = one.image
                step.say(f"{image.repository}@{image.digest[:19]}")
                console.stands(
                    f"{count} of {len(chosen)} images are deleted from '{registry}'; run the same "
                    "command again to go on"
                )
                with sdk_errors(image.digest_name, self._session.secrets), no_http_logs():
                    self._sdk.delete_manifest(image.repository, image.digest)
            step.say(f"{len(chosen)} images")

    def _repositories(self) -> list[str]:
        what = f"Repositories of registry '{self._registry.name}'"
        with sdk_errors(what, self._session.secrets), no_http_logs():
            names = self._sdk.list_repository_names()
            return [name for name in names if not name.startswith("otelembed/")]

    def _stored(self, repository: str) -> list[StoredImage]:
        what = f"Images of repository '{repository}' in registry '{self._registry.name}'"
        with sdk_errors(what, self._session.secrets), no_http_logs():
            return [
                StoredImage(
                    repository=repository,
                    digest=str(one.digest),
                    tags=tuple(one.tags or ()),
                    created=one.created_on,
                    pushed=max(one.created_on, one.last_updated_on or one.created_on),
                )
                for one in self._sdk.list_manifest_properties(repository)
            ]


def deletable(decisions: Sequence[Decision]) -> list[Decision]:
    """The images that there is no reason to keep."""
    return [one for one in decisions if not one.kept_because]


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
        return record.from_referrers(
            list_referrers(client, record.REPOSITORY, stored.digest, record.ARTIFACT_TYPE)
        )

    return map_concurrently([tag for tag in tags if tag.startswith("site-")], of_site)
