"""Finds the embedded image that follows from an app image, asking the registry for little."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from azext_otelembed.embedding.base_images import load_base, resolve
from azext_otelembed.errors import InvalidInput, NotFound, Refused
from azext_otelembed.image.dockerfile_template import DockerfileCollector, dockerfile_collector
from azext_otelembed.image.embed import Base, check_base, embed, make_recipe, original
from azext_otelembed.image.provenance import read_provenance
from azext_otelembed.image.recipe import is_recipe_tag, recipe_tag
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.target.embed_target import (
    CollectorName,
    EmbedOptions,
    Existing,
    Found,
    ToBuild,
    ToEmbed,
    ToPrepare,
    by_tag,
)
from azext_otelembed.target.prepared_images import PreparedImages, find_prepared_images


class TargetFinder:
    """Finds targets in one registry, for one set of options.

    `moves_tags`: the tag of the options may be taken from another embedded image.
    """

    def __init__(
        self, client: RegistryClient, options: EmbedOptions, *, moves_tags: bool = False
    ) -> None:
        self.client = client
        self.options = options
        self._moves_tags = moves_tags

    def find(self, reference: Reference, *, likely_base: bool = True) -> Found:
        """The target for an app image in the registry, which may be embedded itself.

        `likely_base`: it probably isn't, so the tag that follows from the recipe is tried first.
        Raises `NotFound` for an image that isn't there, InvalidImage or `Refused` for one that
        can't be embedded in.
        """
        try:
            return self._find(reference, likely_base)
        except NotFound as missing:
            words = ("repository show-tags", "--repository", reference.repository, "-o", "table")
            raise NotFound(
                missing.message,
                f"List the tags there are with `{self.client.acr_command(*words)}`.",
            ) from None

    def unbuilt(self, app: Reference) -> ToBuild:
        """The target for an app image that has yet to be built from source."""
        return ToBuild(app, CollectorName(str(self.options.collector)))

    def target_of(self, base: Base, prepared: PreparedImages | None) -> Found:
        """The target for an app image that has been read; `prepared` where the registry has it."""
        if own := dockerfile_collector(base.config):
            return self._as_built(base, own)
        source = original(base)
        # An image that was unwrapped once is unwrapped again.
        unwrap = self.options.unwrap or source.digest != base.digest
        check_base(source, self.options.launcher, unwrap=unwrap)
        # Image and base may have been moved to this registry together.
        source = replace(source, reference=replace(source.reference, registry=self.client.host))
        if prepared is None:
            return ToPrepare(source, CollectorName(str(self.options.collector)), unwrap)
        return self.embedded_in(source, prepared, unwrap=unwrap, present=base)

    def embedded_in(
        self, source: Base, prepared: PreparedImages, *, unwrap: bool, present: Base | None = None
    ) -> Existing | ToEmbed:
        """The target for a base without a collector. `present` is the image that `source` is from.

        Raises `Refused` for a --tag that another image has.
        """
        options = self.options
        embedded = embed(
            source,
            prepared.collector,
            options.config,
            options.launcher,
            options.tag,
            shell=prepared.shell,
            unwrap=unwrap,
        )
        target = ToEmbed(source, CollectorName.of(prepared.collector), embedded)
        same_tag = present is not None and options.tag in (None, present.reference.tag)
        if present is not None and same_tag and present.digest == embedded.digest:
            return replace(target.existing, image=by_tag(present.reference))
        stored = self.client.head_manifest(target.image.repository, target.image.selector)
        if stored is not None and stored.digest == embedded.digest:
            return target.existing
        if options.tag is not None and stored is not None:
            self._check_tag(target.image)
        return target

    def _find(self, reference: Reference, likely_base: bool) -> Found:
        client = self.client
        find_images = partial(find_prepared_images, client, self.options)
        if likely_base and self.options.tag is None and not is_recipe_tag(reference.tag or ""):
            # One request instead of reading the base's configuration too: the tag is the recipe's.
            digest, prepared = run_concurrently(partial(resolve, client, reference), find_images)
            found = self._by_recipe(reference, digest, prepared) if prepared else None
            return found or self.target_of(load_base(client, reference), prepared)
        base, prepared = run_concurrently(partial(load_base, client, reference), find_images)
        return self.target_of(base, prepared)

    def _by_recipe(
        self, reference: Reference, digest: Digest, prepared: PreparedImages
    ) -> Existing | None:
        """The target, if the registry holds the image that the recipe for `reference` names."""
        options = self.options
        recipe = make_recipe(
            digest, prepared.collector, options.config, options.launcher, prepared.shell
        )
        image = reference.with_tag(recipe_tag(reference.tag, recipe))
        stored = self.client.head_manifest(image.repository, image.selector)
        if stored is None:
            return None
        base = replace(reference, digest=None)
        collector = CollectorName.of(prepared.collector)
        return Existing(image, stored.digest, base, digest, collector, str(recipe.digest))

    def _check_tag(self, name: Reference) -> None:
        """Raises `Refused` for a --tag that names another image already.

        App Service pulls by tag: a site that runs that image, or goes back to it, would get this
        one instead. With `moves_tags` an embedded image may lose its tag.
        """
        if self._moves_tags and read_provenance(load_base(self.client, name).config) is not None:
            return
        raise Refused(
            f"--tag '{self.options.tag}': {name} exists already and is another image.",
            "Choose another tag, or omit --tag: then the tag follows from the recipe.",
        )

    def _as_built(self, base: Base, own: DockerfileCollector) -> Existing:
        if self.options.tag is not None:
            raise InvalidInput(
                f"{base.reference} starts a collector that its own Dockerfile put in, so nothing "
                "is embedded and --tag has no image to name.",
                "Omit --tag.",
            )
        name = by_tag(base.reference)
        collector = CollectorName.of_label(own.collector)
        return Existing(name, base.digest, name, base.digest, collector)
