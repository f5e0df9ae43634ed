"""What the image that a site runs says of itself, and what a deploy would change about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from azext_otelembed.embedding.base_images import load_base, resolve
from azext_otelembed.embedding.prepare_collector import find_prepared
from azext_otelembed.embedding.prepare_shell import find_shell
from azext_otelembed.errors import InvalidImage, NotFound
from azext_otelembed.image.dockerfile_template import DockerfileCollector, dockerfile_collector
from azext_otelembed.image.embed import Base, make_recipe
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.provenance import Provenance, read_provenance
from azext_otelembed.image.reference import Reference
from azext_otelembed.parallel import together
from azext_otelembed.target.app_image import parsed

if TYPE_CHECKING:
    from azext_otelembed.image.prepared_collector import PreparedCollector
    from azext_otelembed.registry.client import RegistryClient
    from azext_otelembed.target.finder import TargetFinder


@dataclass(frozen=True, slots=True)
class ImageReport:
    """What the image that runs says of itself; `embedded` is None when it can't be read.

    `by` is "otelembed", or "dockerfile" where its own Dockerfile put the collector in.
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


def report_image(finder: TargetFinder, reference: Reference) -> ImageReport:
    """What `reference` says of itself, held against what `finder` would make."""
    client = finder.open(reference)
    base, collector = together(
        partial(load_base, client, reference), partial(find_prepared, client, finder.collector)
    )
    if own := dockerfile_collector(base.config):
        return _as_built(base, own, finder.collector)
    found = read_provenance(base.config)
    if found is None:
        return ImageReport(digest=str(base.digest), embedded=False)
    return ImageReport(
        digest=str(base.digest),
        embedded=True,
        by="otelembed",
        base={"name": str(replace(found.base, digest=None)), "digest": str(found.base_digest)},
        collector=collector_named(found.collector),
        config=str(found.config),
        launcher=found.launcher,
        recipe=str(found.recipe),
        updates=tuple(_updates(finder, client, found, collector)),
    )


def _updates(
    finder: TargetFinder,
    client: RegistryClient,
    found: Provenance,
    collector: PreparedCollector | None,
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
    if collector is None:
        yield f"collector {finder.collector} is not in the registry yet"
    elif not _is_made_of(finder, client, found, collector):
        yield (
            f"the recipe differs: a deploy would embed collector {collector.version} with "
            "this version's configuration and launcher"
        )


def _is_made_of(
    finder: TargetFinder, client: RegistryClient, found: Provenance, collector: PreparedCollector
) -> bool:
    """Whether a deploy with the same launcher and shell image would make the same image."""
    try:
        launcher = Launcher.parse(found.launcher)
    except InvalidImage:  # of another version
        return False
    launcher = replace(launcher, memory_mib=finder.launcher.memory_mib)
    shell = find_shell(client, Reference.parse(found.shell)) if found.shell else None
    recipe = make_recipe(found.base_digest, collector, finder.config, launcher, shell)
    return recipe.digest == found.recipe


def _as_built(base: Base, own: DockerfileCollector, newest: Reference) -> ImageReport:
    collector = collector_named(own.collector)
    differs = collector["version"] not in (None, newest.tag)
    return ImageReport(
        digest=str(base.digest),
        embedded=True,
        by="dockerfile",
        collector=collector,
        config=own.config or None,
        launcher=own.launcher or None,
        updates=(f"`az otelembed dockerfile` would print collector {newest.tag}",) * differs,
        notes=("the collector was put in by the image's own Dockerfile",),
    )


def collector_named(label: str) -> dict[str, Any]:
    """The collector that a label names, as results show it."""
    if not label:
        return {"name": None, "version": None, "digest": None}
    name = parsed(label, "The label of the collector")
    return {
        "name": str(replace(name, digest=None)),
        "version": name.tag,
        "digest": str(name.digest) if name.digest else None,
    }
