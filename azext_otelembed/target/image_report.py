"""What an image's labels say of it, and what a deploy would change about it: for status."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from azext_otelembed.embedding.base_images import load_base, resolve
from azext_otelembed.embedding.prepare_collector import find_prepared
from azext_otelembed.embedding.prepare_shell import find_shell
from azext_otelembed.errors import InvalidImage, NotFound
from azext_otelembed.image.dockerfile_template import DockerfileCollector, dockerfile_collector
from azext_otelembed.image.embed import Base, make_recipe
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.prepared_collector import PreparedCollector
from azext_otelembed.image.provenance import Provenance, read_provenance
from azext_otelembed.image.reference import Reference
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.target.embed_target import CollectorName, EmbedOptions


@dataclass(frozen=True, slots=True)
class ImageReport:
    """An image as `status` shows it; `embedded` is None where the image can't be read.

    `by` is "otelembed", or "dockerfile" where the image's own Dockerfile put the collector in.
    `settings` is the image's configuration, where it was read.
    """

    digest: str | None = None
    embedded: bool | None = None
    by: str | None = None
    base: dict[str, Any] | None = None
    collector: dict[str, Any] | None = None
    config: str | None = None
    launcher: str | None = None
    recipe: str | None = None
    updates: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    settings: ImageConfig | None = None


def report_image(
    client: RegistryClient, reference: Reference, options: EmbedOptions
) -> ImageReport:
    """Reads the image and compares it with the one that a deploy with `options` would embed."""
    base, prepared = run_concurrently(
        partial(load_base, client, reference), partial(find_prepared, client, options.collector)
    )
    if own := dockerfile_collector(base.config):
        return replace(_as_built(base, own, options.collector), settings=base.config)
    found = read_provenance(base.config)
    if found is None:
        return ImageReport(digest=str(base.digest), embedded=False, settings=base.config)
    return ImageReport(
        digest=str(base.digest),
        embedded=True,
        by="otelembed",
        base={"name": str(replace(found.base, digest=None)), "digest": str(found.base_digest)},
        collector=CollectorName.of_label(found.collector).as_result(),
        config=str(found.config),
        launcher=found.launcher,
        recipe=str(found.recipe),
        updates=tuple(_updates(client, found, prepared, options)),
        settings=base.config,
    )


def _updates(
    client: RegistryClient,
    found: Provenance,
    prepared: PreparedCollector | None,
    options: EmbedOptions,
) -> Iterator[str]:
    # Image and base may have been moved to this registry together.
    base = replace(found.base, registry=client.host)
    if base.tag is not None:
        try:
            newest = resolve(client, replace(base, digest=None))
        except NotFound:
            yield f"base {base.repository}:{base.tag} is not in the registry any more"
        else:
            if newest != found.base_digest:
                yield f"base {base.repository}:{base.tag} has a newer image ({newest.short})"
    if prepared is None:
        yield f"collector {options.collector} is not in the registry yet"
    elif not _has_same_recipe(client, found, prepared, options):
        yield (
            f"the recipe differs: a deploy would embed collector {prepared.version} with "
            "this version's configuration and launcher"
        )


def _has_same_recipe(
    client: RegistryClient, found: Provenance, prepared: PreparedCollector, options: EmbedOptions
) -> bool:
    """Whether a deploy with the same launcher and shell image would make the same image."""
    try:
        launcher = Launcher.parse(found.launcher)
    except InvalidImage:  # another version's launcher
        return False
    launcher = replace(launcher, memory_mib=options.launcher.memory_mib)
    shell = find_shell(client, Reference.parse(found.shell)) if found.shell else None
    recipe = make_recipe(found.base_digest, prepared, options.config, launcher, shell)
    return recipe.digest == found.recipe


def _as_built(base: Base, own: DockerfileCollector, newest: Reference) -> ImageReport:
    collector = CollectorName.of_label(own.collector)
    differs = collector.version not in (None, newest.tag)
    return ImageReport(
        digest=str(base.digest),
        embedded=True,
        by="dockerfile",
        collector=collector.as_result(),
        config=own.config or None,
        launcher=own.launcher or None,
        updates=(
            f"a Dockerfile made now gets collector {newest.tag}: see `az otelembed dockerfile "
            "--help`",
        )
        * differs,
        notes=("the image's own Dockerfile put the collector in",),
    )
