"""`az otelembed prune`: finds and deletes embedded images that are not needed any more."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property, partial
from typing import TYPE_CHECKING

from azext_otelembed.azure.arm_errors import sdk_errors
from azext_otelembed.azure.registries import Registry
from azext_otelembed.azure.session import Session
from azext_otelembed.console import Console, Step
from azext_otelembed.log_redaction import no_http_logs
from azext_otelembed.parallel import map_concurrently
from azext_otelembed.prune.deployed_images import find_deployed_images
from azext_otelembed.prune.registry_transport import RegistryTransport
from azext_otelembed.prune.retention import Decision, StoredImage, decide, needs_record
from azext_otelembed.prune.site_records import SiteFolding, SiteRecords, delete_records, read_all
from azext_otelembed.records.record_folding import RELEASES_KEPT
from azext_otelembed.registry import acr_lists

if TYPE_CHECKING:
    from azure.containerregistry import ContainerRegistryClient

_API_VERSION = "2021-07-01"
"""Of the registry's own API (`/acr/v1`), set explicitly as for every request to Azure."""


@dataclass(frozen=True, slots=True)
class Findings:
    """A decision for each embedded image, and the release records that may be deleted."""

    decisions: Sequence[Decision]
    foldings: Sequence[SiteFolding]

    @property
    def images(self) -> list[Decision]:
        """The images that there is no reason to keep."""
        return deletable(self.decisions)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to delete."""
        return not self.images and not self.foldings

    @property
    def to_delete(self) -> str:
        """What may be deleted, in words."""
        releases = sum(one.folding.releases for one in self.foldings)
        words = f"the records of {releases} old releases"
        if not self.foldings:
            return f"{len(self.images)} embedded images"
        return f"{len(self.images)} embedded images and {words}" if self.images else words


class Pruner:
    """Reads one registry, and deletes from it: images through the azure-containerregistry SDK.

    `repository` limits that to the images of one of its repositories; `keep` is the number of
    releases of each site whose images are kept. A deploy doesn't build an image that is there, so
    what may be deleted is decided again every `look_again` seconds.
    """

    def __init__(
        self,
        session: Session,
        registry: Registry,
        repository: str | None,
        keep: int,
        look_again: float = 20,
    ) -> None:
        self._session = session
        self._registry = registry
        self._repository = repository
        self._keep = keep
        self._look_again = look_again
        self._looked = time.monotonic()
        self._client = session.open_registry(registry.login_server)
        self._client.acr_command = partial(registry.command, session.caller)

    @cached_property
    def _sdk(self) -> ContainerRegistryClient:
        """The SDK's client, with the audience of the token that the registry has exchanged."""
        from azure.containerregistry import ContainerRegistryClient

        session, fell_back = self._session, self._client.http.tokens.fell_back
        scope = session.arm_scope if fell_back else session.acr_scope
        address = f"https://{self._registry.login_server}"
        return ContainerRegistryClient(
            address,
            session.bounded_credential,
            api_version=_API_VERSION,
            audience=scope.removesuffix("/.default"),
            transport=RegistryTransport(session, address),
        )

    def find(self, console: Console) -> Findings:
        """All embedded images of the registry, or of one repository, with a decision for each, and
        the records of old releases. Changes nothing.
        """
        with console.step("look") as step:
            # The registry first: an image that is deployed meanwhile is then found as deployed.
            step.say("reading the registry")
            self._client.http.tokens.login()  # decides on the audience: the SDK has no fallback
            repositories = [self._repository] if self._repository else self._repositories()
            stored = [
                image for images in map_concurrently(repositories, self._stored) for image in images
            ]
            step.say("reading the images of all sites")
            deployed = find_deployed_images(self._session)
            step.say("reading the releases on record")
            records = read_all(self._client)
            releases = [one.releases for one in records]
            host, now = self._registry.login_server, datetime.now(timezone.utc)
            decisions = decide(stored, host, deployed, releases, self._keep, now)
            findings = Findings(decisions, self._foldings(records, stored, decisions))
            count = len(findings.images)
            step.say(f"{len(decisions)} embedded images, {count} of them not needed")
        self._looked = time.monotonic()
        for name, reason in deployed.unreadable:
            console.note(f"{name} can't be read, so all images are kept: {reason}")
        return findings

    def _foldings(
        self,
        records: Sequence[SiteRecords],
        stored: Sequence[StoredImage],
        decisions: Sequence[Decision],
    ) -> list[SiteFolding]:
        is_needed = needs_record(stored, decisions, self._registry.login_server, self._repository)
        found = (one.fold(self._keep, is_needed) for one in records)
        return [one for one in found if one is not None]

    def find_again(self, before: Findings, console: Console) -> Findings:
        """Those of `before` that still may be deleted.

        A deploy doesn't build an image that is there: it may have deployed one of them since.
        """
        names = {one.image.digest_name for one in before.images}
        again = self.find(console)
        images = [one for one in again.images if one.image.digest_name in names]
        asked = {digest for one in before.foldings for digest in one.folding.digests}
        foldings = [replace(one, folding=one.folding.among(asked)) for one in again.foldings]
        return Findings(images, [one for one in foldings if one.folding.digests])

    def delete(self, findings: Findings, console: Console) -> list[Decision]:
        """Deletes images, then records; returns the images. One that is gone already is no error.

        While that goes on, the registry is read again every `look_again` seconds.
        """
        wanted, deleted = len(findings.images), list[Decision]()
        while images := findings.images:
            before = len(deleted)
            with console.step("delete") as step:
                for one in images:
                    self._delete_image(one.image, f"{len(deleted)} of {wanted}", console, step)
                    deleted.append(one)
                    if time.monotonic() - self._looked > self._look_again:
                        break
                step.say(f"{len(deleted)} embedded images")
            findings = replace(findings, decisions=images[len(deleted) - before :])
            if findings.images:
                findings = self.find_again(findings, console)
        if findings.foldings:
            self._delete_records(findings, len(deleted), console)
        return deleted

    def _delete_image(self, image: StoredImage, count: str, console: Console, step: Step) -> None:
        step.say(f"{image.repository}@{image.digest[:19]}")
        console.stands(
            f"{count} images are deleted from '{self._registry.name}'; run the same command again "
            "to continue"
        )
        with sdk_errors(image.digest_name, self._session.secrets), no_http_logs():
            self._sdk.delete_manifest(image.repository, image.digest)

    def _delete_records(self, findings: Findings, images: int, console: Console) -> None:
        console.stands(
            f"{images} images are deleted from '{self._registry.name}', and release records in "
            "part: run the same command again to continue"
        )
        with console.step("delete") as step:
            delete_records(self._client, findings.foldings, step.say)
            step.say(findings.to_delete)

    def _repositories(self) -> list[str]:
        names = acr_lists.repositories(self._client)
        return [name for name in names if not name.startswith("otelembed/")]

    def _stored(self, repository: str) -> list[StoredImage]:
        return [
            StoredImage(
                repository=repository,
                digest=str(one.digest),
                tags=one.tags,
                created=one.created,
                pushed=max(one.created, one.updated),
            )
            for one in acr_lists.manifests(self._client, repository)
        ]


def note_of(findings: Findings) -> str | None:
    """A note on the release records that --delete would delete; None without any."""
    if not findings.foldings:
        return None
    releases = sum(one.folding.releases for one in findings.foldings)
    count = sum(len(one.folding.digests) for one in findings.foldings)
    return (
        f"--delete also deletes {count} release records, those of {releases} old releases among "
        f"them: {len(findings.foldings)} sites have more than {RELEASES_KEPT} releases on record."
    )


def deletable(decisions: Sequence[Decision]) -> list[Decision]:
    """The images that there is no reason to keep."""
    return [one for one in decisions if not one.kept_because]
