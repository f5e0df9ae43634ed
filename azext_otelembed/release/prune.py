"""`prune`: embedded images that nothing needs any more."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

from azext_otelembed.azure import acr
from azext_otelembed.azure.arm import Arm, explained
from azext_otelembed.image.reference import Reference
from azext_otelembed.quiet import quiet
from azext_otelembed.registry.auth import AcrExchange
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.referrers import list_referrers
from azext_otelembed.release import record
from azext_otelembed.release.record import Release

if TYPE_CHECKING:
    from azext_otelembed.azure.acr import Registry
    from azext_otelembed.azure.session import Session
    from azext_otelembed.console import Console

SITES_VERSION = "2024-11-01"
EMBEDDED = re.compile(r"-otelembed-[0-9a-f]{12}$")
YOUNG = timedelta(hours=1)
"""An image younger than this may belong to a deploy that is under way."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A manifest in the registry, with all of its tags."""

    repository: str
    digest: str
    tags: tuple[str, ...]
    created: datetime
    size: int


@dataclass(frozen=True, slots=True)
class Judged:
    """A stored embedded image, and why it is kept; empty when nothing needs it."""

    stored: Stored
    kept_because: str

    def as_result(self) -> dict[str, Any]:
        """As it stands in the result."""
        return {
            "repository": self.stored.repository,
            "tags": list(self.stored.tags),
            "digest": self.stored.digest,
            "created": self.stored.created.isoformat(),
            "keptBecause": self.kept_because or None,
            "deleted": False,
        }


def judge(
    stored: Iterable[Stored],
    host: str,
    running: dict[str, str],
    releases: Iterable[Sequence[Release]],
    keep: int,
    now: datetime,
) -> list[Judged]:
    """Which embedded images nothing needs. Pure.

    `running` maps images (host/repository:tag) to the site that runs them; `releases` holds each
    site's releases, newest first. Kept are images that run, those of a site's newest `keep`
    releases (and what ran before them), young ones, and those with a tag that isn't ours.
    """
    wanted: dict[str, str] = {}
    ours: set[str] = set()
    for of_site in releases:
        ours.update(_key(release.image) for release in of_site)
        for release in of_site[:keep]:
            site = release.site.rpartition("/")[2]
            wanted[_key(release.image)] = f"among the newest releases of '{site}'"
        for release in of_site[:keep]:
            site = release.site.rpartition("/")[2]
            wanted.setdefault(_key(release.previous_image), f"what '{site}' goes back to")
    judged: list[Judged] = []
    for one in stored:
        names = [f"{host.lower()}/{one.repository}:{tag}" for tag in one.tags]
        embedded = [name for name in names if EMBEDDED.search(name) or name in ours]
        if not embedded:
            continue
        reason = next((f"'{running[name]}' runs it" for name in names if name in running), "")
        reason = reason or next((wanted[name] for name in names if name in wanted), "")
        if not reason and len(embedded) < len(names):
            reason = "it has a tag that isn't ours"
        if not reason and now - one.created < YOUNG:
            reason = "it is younger than an hour"
        judged.append(Judged(one, reason))
    return judged


class Pruner:
    """Looks at one registry, and deletes from it through the azure-containerregistry SDK."""

    def __init__(self, session: Session, registry: Registry) -> None:
        from azure.containerregistry import ContainerRegistryClient

        self._session = session
        self._registry = registry
        self._sdk = ContainerRegistryClient(
            f"https://{registry.login_server}",
            session.credential,
            audience=session.arm_scope.removesuffix("/.default"),
            **session.transport,
        )

    def look(
        self, repository: str | None, keep: int, console: Console, now: datetime | None = None
    ) -> list[Judged]:
        """All embedded images of the registry, or of one repository, with a verdict each.

        `now` is the time that ages are counted to, this moment by default.
        """
        with console.step("look") as step:
            step.say("asking what runs")
            running = self._running()
            step.say("reading the releases on record")
            releases = self._releases()
            repositories = [repository] if repository else self._repositories()
            stored: list[Stored] = []
            for name in repositories:
                step.say(f"reading {name}")
                stored += self._stored(name)
            host, at = self._registry.login_server, now or datetime.now(timezone.utc)
            judged = judge(stored, host, running, releases, keep, at)
            unneeded = sum(1 for one in judged if not one.kept_because)
            step.say(f"{len(judged)} embedded images, {unneeded} of them needed by nothing")
        return judged

    def delete(self, judged: Sequence[Judged], console: Console) -> None:
        """Deletes the images that nothing needs; one that is gone already is no error."""
        with console.step("delete") as step:
            for one in judged:
                step.say(f"{one.stored.repository}@{one.stored.digest[:19]}")
                with explained(f"{one.stored.repository}@{one.stored.digest}"), quiet():
                    self._sdk.delete_manifest(one.stored.repository, one.stored.digest)
            step.say(f"{len(judged)} images")

    def _running(self) -> dict[str, str]:
        """Images by what runs them: sites and slots of the subscription that the caller can see."""
        arm = Arm(self._session)
        found: dict[str, str] = {}
        base = f"/subscriptions/{self._session.subscription}/providers/Microsoft.Web/sites"
        for site in arm.get_all("Web Apps of the subscription", base, SITES_VERSION):
            slots = arm.get_all(
                f"Slots of Web App '{site.get('name')}'", f"{site['id']}/slots", SITES_VERSION
            )
            for one in (site, *slots):
                name = str(one.get("name"))
                for image in self._images(arm, one):
                    found[_key(image)] = name
        return found

    def _images(self, arm: Arm, site: dict[str, Any]) -> list[str]:
        configuration = (site.get("properties") or {}).get("siteConfig") or {}
        kind, _, image = str(configuration.get("linuxFxVersion") or "").partition("|")
        if kind.upper() == "DOCKER" and image:
            return [image.lstrip("/")]
        if kind.upper() != "SITECONTAINERS":
            return []
        what = f"Site containers of '{site.get('name')}'"
        containers = arm.get_all(what, f"{site['id']}/sitecontainers", SITES_VERSION)
        return [str((one.get("properties") or {}).get("image") or "") for one in containers]

    def _releases(self) -> list[list[Release]]:
        session = self._session
        credential = AcrExchange(session.arm_token, session.tenant)
        host = self._registry.login_server
        with RegistryClient(host, credential, transport=session.transport) as client:
            return [list(of_site) for of_site in all_releases(client)]

    def _repositories(self) -> list[str]:
        with explained(f"Repositories of registry '{self._registry.name}'"), quiet():
            names = list(self._sdk.list_repository_names())
        return [name for name in names if not name.startswith("otelembed/")]

    def _stored(self, repository: str) -> list[Stored]:
        what = f"Images of repository '{repository}' in registry '{self._registry.name}'"
        with explained(what), quiet():
            return [
                Stored(
                    repository=repository,
                    digest=str(one.digest),
                    tags=tuple(one.tags or ()),
                    created=one.created_on,
                    size=int(one.size_in_bytes or 0),
                )
                for one in self._sdk.list_manifest_properties(repository)
                if one.tags
            ]


def all_releases(client: RegistryClient) -> Iterable[list[Release]]:
    """The releases of every site that has records in a registry, newest first."""
    from azext_otelembed.errors import NotFound

    try:
        tags = client.tags(record.REPOSITORY)
    except NotFound:
        return
    for tag in tags:
        if tag.startswith("site-"):
            stored = client.head_manifest(record.REPOSITORY, tag)
            if stored is None:
                continue
            found = list_referrers(client, record.REPOSITORY, stored.digest, record.ARTIFACT_TYPE)
            records = (record.from_annotations(one.get("annotations") or {}) for one in found)
            yield record.folded(one for one in records if one is not None)


def find_registry(session: Session, name: str) -> Registry:
    """The registry of `--registry`. Raises `NotFound`."""
    return acr.find(Arm(session), session.subscription, name)


def _key(image: str) -> str:
    """An image's name for comparing: host in lower case, and a tag."""
    reference = Reference.parse(image).or_latest()
    return f"{reference.registry.lower()}/{reference.repository}:{reference.tag}"
