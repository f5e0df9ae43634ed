"""The image that a site shall run: found if it is in the registry already, built if not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from azext_otelembed.azure.registry_access import open_registry
from azext_otelembed.collector import config as collector_config
from azext_otelembed.embedding.base_images import load_base, resolve
from azext_otelembed.embedding.push import check_base_shell, push_embedded
from azext_otelembed.errors import InvalidInput, NotFound, Refused
from azext_otelembed.image.dockerfile_template import DockerfileCollector, dockerfile_collector
from azext_otelembed.image.embed import Base, Embedded, check_base, embed, make_recipe, original
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.prepared_collector import REPOSITORY, PreparedCollector
from azext_otelembed.image.provenance import read_provenance
from azext_otelembed.image.recipe import is_recipe_tag, recipe_tag
from azext_otelembed.image.reference import Digest, Reference, same_image
from azext_otelembed.parallel import together
from azext_otelembed.records.record import REPOSITORY as RELEASES
from azext_otelembed.records.record_store import RecordStore
from azext_otelembed.registry.auth import Basic
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.registry.scope import pull, push
from azext_otelembed.target.app_image import image_for_site, parsed
from azext_otelembed.target.image_report import collector_named
from azext_otelembed.target.prepared_images import PreparedImages
from azext_otelembed.webapp.observe import Observed

if TYPE_CHECKING:
    from azext_otelembed.azure.session import Session
    from azext_otelembed.console import Step

UNKNOWN = "(named once the collector is in the registry)"


@dataclass(frozen=True, slots=True)
class Target:
    """The wanted image. `built` tells that the registry holds it; `embedded` is how to make it.

    `image` is spelt for linuxFxVersion. While the collector isn't in the registry the image has no
    name yet: `embedded` is None and `image` says so. `app_build` tells how the app image was built
    from source.
    """

    image: str
    digest: str | None
    base: str
    base_digest: str
    collector: str
    collector_result: dict[str, Any]
    built: bool
    recipe: str = ""
    source: Base | None = None
    embedded: Embedded | None = None
    app_build: dict[str, Any] | None = None


class TargetFinder:
    """Finds and builds images for one command: one `collector`, one `config`, one `launcher`."""

    def __init__(
        self,
        session: Session,
        collector_image: str,
        config: bytes | None,
        tag: str | None,
        *,
        unwrap: bool = False,
        collector_login: Basic | None = None,
        launcher: Launcher | None = None,
        shell_image: str | None = None,
        moves_tags: bool = False,
    ) -> None:
        self._session = session
        self._unwrap = unwrap
        self.collector = parsed(collector_image, "--collector-image").or_latest()
        shell = None if shell_image is None else parsed(shell_image, "--shell-image").or_latest()
        self._prepared_images = PreparedImages(session, self.collector, collector_login, shell)
        self.config = collector_config.default() if config is None else config
        self.launcher = launcher or Launcher()
        self.warnings: tuple[str, ...] = ()
        if config is not None:
            checked = collector_config.inspect(config)
            self.launcher = replace(self.launcher, memory_mib=checked.memory_mib)
            self.warnings = checked.warnings
        self._tag = tag
        self._moves_tags = moves_tags
        self._client: RegistryClient | None = None

    def target(
        self, observed: Observed, image: str | None, registry: str | None, step: Step
    ) -> Target:
        """What `observed` shall run, asking the registry as little as it takes."""
        reference = image_for_site(self._session, observed, image, registry)
        likely = image is not None and not same_image(observed.image, str(reference))
        return self.target_for(reference, likely_base=likely)

    def target_for(self, reference: Reference, *, likely_base: bool = True) -> Target:
        """The embedded image for an app image in the registry, which may be embedded itself.

        `likely_base` tells that it probably isn't: then the recipe's tag is tried first.
        """
        try:
            return self._found(reference, likely_base)
        except NotFound as missing:
            name, repository = reference.registry.partition(".")[0], reference.repository
            raise NotFound(
                missing.message,
                f"List the tags there are with `az acr repository show-tags -n {name} "
                f"--repository {repository} -o table`.",
            ) from None

    def _found(self, reference: Reference, likely_base: bool) -> Target:
        client = self.open(reference)
        if likely_base and self._may_be_a_base(reference):
            digest, collector = together(
                partial(resolve, client, reference), partial(self._prepared_images.find, client)
            )
            found = self._already(client, reference, digest, collector) if collector else None
            return found or self._target(client, load_base(client, reference), collector)
        base, collector = together(
            partial(load_base, client, reference), partial(self._prepared_images.find, client)
        )
        return self._target(client, base, collector)

    def store(self, observed: Observed) -> RecordStore:
        """The records of the site's releases, in the registry that was opened for its image."""
        client = self._client or self.open(image_for_site(self._session, observed, None, None))
        return RecordStore(client, observed.id.resource_id)

    def store_left(self, observed: Observed) -> RecordStore | None:
        """The site's records in the registry that it is about to leave for another one."""
        runs = parsed(observed.image, f"The image of {observed.id}")
        if self._client is None or self._client.host.lower() == runs.registry.lower():
            return None
        if not self._session.is_acr(runs.registry):
            return None
        client = open_registry(self._session, runs.registry)
        client.expect(pull(RELEASES))
        return RecordStore(client, observed.id.resource_id)

    def stored(self, reference: Reference) -> Digest | None:
        """The digest of an image in whichever registry; None where that doesn't hold it."""
        client = self._client
        if client is None or client.host.lower() != reference.registry.lower():
            client = open_registry(self._session, reference.registry)
        found = client.head_manifest(reference.repository, reference.selector)
        return None if found is None else found.digest

    def build(self, target: Target, step: Step, standing: Callable[[str], None]) -> Target:
        """Brings the collector in if need be, embeds, and puts the image into the registry."""
        if target.built or target.source is None:
            return target
        client = self.open(target.source.reference)
        embedded = target.embedded
        if embedded is None:
            if not self._prepared_images.brings_shell:
                # Before the collector comes in: nothing is written for an image that can't be used.
                check_base_shell(client, target.source, step.report)
            standing("the collector may have been copied to the registry; the site is unchanged")
            collector = self._prepared_images.bring_in(client, step)
            made = self._target(client, target.source, collector)
            target = replace(made, app_build=target.app_build)
            embedded = target.embedded
        if embedded is not None and not target.built:
            standing("the registry may hold parts of the new image; the site is unchanged")
            step.say(f"embedding the collector in {target.base}")
            push_embedded(client, embedded, step.report)
        return replace(target, built=True)

    def _may_be_a_base(self, reference: Reference) -> bool:
        """Whether asking for the image that the recipe names is likely to spare reading the base.

        Not for what is embedded itself, by its tag.
        """
        if self._tag is not None:
            return False
        return not is_recipe_tag(reference.tag or "")

    def _already(
        self,
        client: RegistryClient,
        reference: Reference,
        digest: Digest,
        collector: PreparedCollector,
    ) -> Target | None:
        """The target, when the registry already holds what the recipe for `reference` names.

        One request instead of reading the base's configuration too: the tag is the recipe's.
        """
        recipe = make_recipe(
            digest, collector, self.config, self.launcher, self._prepared_images.shell
        )
        name = reference.with_tag(recipe_tag(reference.tag, recipe))
        stored = client.head_manifest(name.repository, name.selector)
        if stored is None:
            return None
        return Target(
            image=str(name),
            digest=str(stored.digest),
            base=str(replace(reference, digest=None)),
            base_digest=str(digest),
            collector=str(collector.upstream),
            collector_result=_collector_result(collector),
            built=True,
            recipe=str(recipe.digest),
        )

    def _target(
        self, client: RegistryClient, base: Base, collector: PreparedCollector | None
    ) -> Target:
        if own := dockerfile_collector(base.config):
            return self._as_built(base, own)
        source = original(base)
        # An image that was unwrapped once was meant to be.
        unwrap = self._unwrap or source.digest != base.digest
        check_base(source, unwrap=unwrap)
        source = replace(source, reference=_host_of(source.reference, client.host))
        shown = replace(source.reference, digest=None)
        if collector is None:
            return Target(
                image=UNKNOWN,
                digest=None,
                base=str(shown),
                base_digest=str(source.digest),
                collector=str(self.collector),
                collector_result={"name": str(self.collector), "version": None, "digest": None},
                built=False,
                source=source,
            )
        embedded = embed(
            source,
            collector,
            self.config,
            self.launcher,
            self._tag,
            shell=self._prepared_images.shell,
            unwrap=unwrap,
        )
        name = replace(embedded.reference, digest=None)
        same_tag = self._tag is None or base.reference.tag == self._tag
        if base.digest == embedded.digest and same_tag:
            name, built = base.reference, True
        else:
            stored = client.head_manifest(name.repository, name.selector)
            built = stored is not None and stored.digest == embedded.digest
            if self._tag is not None and stored is not None and not built:
                self._check_tag(client, name)
        return Target(
            image=str(replace(name, digest=None) if name.tag else name),
            digest=str(embedded.digest),
            base=str(shown),
            base_digest=str(source.digest),
            collector=str(collector.upstream),
            collector_result=_collector_result(collector),
            built=built,
            recipe=str(embedded.recipe.digest),
            source=source,
            embedded=embedded,
        )

    def _check_tag(self, client: RegistryClient, name: Reference) -> None:
        """Raises `Refused` for a --tag that names another image already.

        App Service pulls by tag: a site that runs it, or goes back to it, would get this image
        instead. Where no site is at stake, an embedded image may give its tag to another one.
        """
        if self._moves_tags and read_provenance(load_base(client, name).config) is not None:
            return
        raise Refused(
            f"--tag '{self._tag}': {name} is another image already.",
            "Choose a tag that isn't taken, or leave --tag out: then the recipe names the image.",
        )

    def unbuilt(self, app: Reference) -> Target:
        """The target for an app image that has yet to be built from source."""
        unknown = {"name": str(self.collector), "version": None, "digest": None}
        return Target(UNKNOWN, None, str(app), "", str(self.collector), unknown, built=False)

    def _as_built(self, base: Base, own: DockerfileCollector) -> Target:
        """The image as it is: its own Dockerfile put a collector in."""
        if self._tag is not None:
            raise InvalidInput(
                f"{base.reference} starts a collector of its own Dockerfile's: nothing is "
                "embedded, so there is nothing to call --tag.",
                "Leave --tag out.",
            )
        name = str(replace(base.reference, digest=None) if base.reference.tag else base.reference)
        collector = collector_named(own.collector)
        digest = str(base.digest)
        return Target(name, digest, name, digest, own.collector, collector, built=True)

    def open(self, reference: Reference) -> RegistryClient:
        """The client of the app image's registry; the first call decides which one that is."""
        if self._client is None:
            client = open_registry(self._session, reference.registry)
            client.expect(push(reference.repository), pull(REPOSITORY), push(RELEASES))
            self._client = client
        return self._client


def _host_of(reference: Reference, host: str) -> Reference:
    """The reference in the registry at hand: image and base may have been moved together."""
    return replace(reference, registry=host)


def _collector_result(collector: PreparedCollector) -> dict[str, Any]:
    return {
        "name": str(replace(collector.upstream, digest=None)),
        "version": collector.version,
        "digest": str(collector.digest),
    }
