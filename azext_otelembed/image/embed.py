"""The embed itself: manifest arithmetic on a base, a prepared collector and a configuration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import existing_collector
from azext_otelembed.image import labels as names
from azext_otelembed.image import recipe as recipes
from azext_otelembed.image.descriptor import Descriptor
from azext_otelembed.image.dockerfile_template import by_dockerfile
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.json_document import Document
from azext_otelembed.image.launcher import SHELL, Launcher
from azext_otelembed.image.launcher import unwrap as unwrapped
from azext_otelembed.image.layer import Glue, make_glue
from azext_otelembed.image.manifest import Family, Manifest
from azext_otelembed.image.prepared_collector import PreparedCollector
from azext_otelembed.image.prepared_shell import OWN_SHELL, PreparedShell
from azext_otelembed.image.provenance import Undo, put_on, read_provenance, seal, strip
from azext_otelembed.image.recipe import FORMAT, Recipe
from azext_otelembed.image.reference import Digest, Reference

MAX_LAYERS = 125
"""Layers that an image may have. Docker refuses one more at the pull, with "max depth exceeded".

moby's layer/layer_store.go has it as maxLayerDepth, the same from 1.10 to 28: the 127 that older
texts name, aufs' limit, less the two that make a container. A test holds it to a real engine.
"""
_EPOCH = "1970-01-01T00:00:00Z"


@dataclass(frozen=True, slots=True)
class Base:
    """An image to embed in. `digest` is that of its linux/amd64 manifest (never of an index)."""

    reference: Reference
    digest: Digest
    manifest: Manifest
    config: ImageConfig


@dataclass(frozen=True, slots=True)
class Upload:
    """A blob that the embedded image needs and that no registry has yet."""

    digest: Digest
    data: bytes


@dataclass(frozen=True, slots=True)
class Embedded:
    """All that has to reach the base's repository: blobs to mount and to upload, then the manifest.

    `reference` has both the tag to put and the digest it will have. `mounts` are found in
    `otelembed/collector` of the same registry.
    """

    reference: Reference
    digest: Digest
    media_type: str
    manifest: bytes
    config: ImageConfig
    uploads: tuple[Upload, ...]
    mounts: tuple[Digest, ...]
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class _Added:
    """A layer put on top: how the manifest and the configuration tell of it."""

    descriptor: Descriptor
    diff_id: Digest
    made_by: str


def check_base(base: Base, *, unwrap: bool = False) -> existing_collector.Start:
    """What `base` starts; with `unwrap` without a collector that its own command starts.

    Raises InvalidImage unless a collector can be embedded in `base`.
    """
    name = base.reference
    config = base.config
    if not base.manifest.is_image:
        raise InvalidImage(
            f"{name} is not an image: its config is {base.manifest.config.media_type}."
        )
    if config.os == "windows":
        raise InvalidImage(
            f"{name} is a Windows image. otelembed works on Linux images.",
        )
    if (config.os, config.architecture) != ("linux", "amd64"):
        platform = f"{config.os or 'unknown'}/{config.architecture or 'unknown'}"
        raise InvalidImage(
            f"{name} is built for {platform}. App Service runs linux/amd64 only.",
            "Build it with `--platform linux/amd64`.",
        )
    if not config.entrypoint and not config.cmd:
        raise InvalidImage(
            f"{name} has neither an ENTRYPOINT nor a CMD, so there is nothing to start.",
            "Add a CMD to its Dockerfile.",
        )
    if not base.manifest.layers:
        raise InvalidImage(f"{name} has no layers, so there is nothing to start.")
    if len(config.diff_ids) != len(base.manifest.layers):
        raise InvalidImage(
            f"{name} is inconsistent: its manifest lists {len(base.manifest.layers)} layers, "
            f"its configuration {len(config.diff_ids)}.",
            "Push the image again.",
        )
    return _start(base, unwrap=unwrap)


def make_recipe(
    base: Digest,
    collector: PreparedCollector,
    config: bytes,
    launcher: Launcher,
    shell: PreparedShell | None = None,
) -> Recipe:
    """The recipe for embedding in the base with the manifest digest `base`."""
    brought = shell.manifest.digest if shell else None
    return Recipe(base, collector.manifest.digest, Digest.of(config), launcher.identity, brought)


def original(base: Base) -> Base:
    """`base` itself, or what is below when it is an embedded image: never a second wrap.

    Raises InvalidImage when it is an embedded image that can't be taken apart, or one whose own
    Dockerfile put a collector in.
    """
    if by_dockerfile(base.config):
        raise InvalidImage(
            f"{base.reference} starts a collector already: its own Dockerfile put it in.",
            "Deploy it as it is, or build it without the collector.",
        )
    found = read_provenance(base.config)
    if found is None:
        return base
    manifest, config = strip(base.manifest, base.config)
    return Base(found.base, found.base_digest, manifest, config)


def embed(
    base: Base,
    collector: PreparedCollector,
    config: bytes,
    launcher: Launcher,
    tag: str | None = None,
    shell: PreparedShell | None = None,
    unwrap: bool = False,
) -> Embedded:
    """Embed a collector in an image.

    `config` is the collector's configuration (YAML); `tag` replaces the tag that follows from the
    recipe; `shell` starts the collector where the base's own doesn't; `unwrap` leaves out a
    collector that the base's own command starts. Every field of the base that isn't ours survives.
    Raises InvalidImage when the base can't be embedded in, or can't hold the collector's layers.
    """
    base = original(base)
    start = check_base(base, unwrap=unwrap)
    family = base.manifest.family
    recipe = make_recipe(base.digest, collector, config, launcher, shell)
    glue = make_glue(config, collector.binary_path)
    added = _layers(collector, shell, glue, family)
    if len(base.manifest.layers) + len(added) > MAX_LAYERS:
        raise InvalidImage(
            f"{base.reference} has {len(base.manifest.layers)} layers; with the "
            f"{len(added)} of the collector that is more than the {MAX_LAYERS} Docker runs.",
            "Join some RUN steps of its Dockerfile, or build it with `--squash`.",
        )
    provenance = _provenance(base, collector, shell, recipe)
    annotated, note = _annotate(base.manifest, provenance)
    entrypoint = launcher.wrap(
        start.entrypoint,
        stop_signal=str(base.config.settings.get("StopSignal") or ""),
        shell_path=OWN_SHELL if shell else SHELL,
    )
    start = existing_collector.Start(tuple(entrypoint), start.cmd)
    new_config = _configure(base.config, start, added, provenance, note)
    manifest = _assemble(annotated, family, new_config, added)
    reference = base.reference.with_tag(tag or recipes.tag(base.reference.tag, recipe))
    return Embedded(
        reference=reference.with_digest(manifest.digest),
        digest=manifest.digest,
        media_type=manifest.media_type,
        manifest=manifest.data,
        config=new_config,
        uploads=(Upload(glue.digest, glue.data), Upload(new_config.digest, new_config.data)),
        mounts=tuple(layer.descriptor.digest for layer in added[:-1]),
        recipe=recipe,
    )


def _start(base: Base, *, unwrap: bool) -> existing_collector.Start:
    """What the image starts, without a collector that its own command starts.

    Raises InvalidImage where there is one and it may not, or can't, be left out.
    """
    start = existing_collector.Start(base.config.entrypoint, base.config.cmd)
    found = existing_collector.find(start)
    if found is None:
        return start
    told = f"{base.reference} starts a collector already, by its own command: `{found.collector}`."
    if found.app is None:
        raise InvalidImage(
            told,
            "Embed in an image that starts the app alone: name it with --image. This one's "
            "command can't be told apart from its collector.",
        )
    if not unwrap:
        app = " ".join([*found.app.entrypoint, *found.app.cmd])
        raise InvalidImage(
            told,
            f"Add --unwrap to leave that out and start `{app}` with the embedded collector beside "
            "it, or name an image without a collector with --image.",
        )
    return found.app


def _layers(
    collector: PreparedCollector, shell: PreparedShell | None, glue: Glue, family: Family
) -> list[_Added]:
    """The layers on top, the glue last: that alone is uploaded, the others are mounted."""
    mounted = [
        _Added(
            _bare(layer.descriptor, family),
            layer.diff_id,
            f"otelembed: {layer.role} of {collector.upstream}",
        )
        for layer in collector.layers
    ]
    if shell:
        made_by = f"otelembed: shell of {shell.upstream}"
        mounted.append(_Added(_bare(shell.layer, family), shell.diff_id, made_by))
    made_by = "otelembed: configuration and launcher"
    return [*mounted, _Added(glue.descriptor(family), glue.diff_id, made_by)]


def _bare(layer: Descriptor, family: Family) -> Descriptor:
    """Retyped to the base's family; a prepared document's notes on a layer mean nothing here."""
    return Descriptor(layer.retype(family).media_type, layer.size, layer.digest)


def _provenance(
    base: Base, collector: PreparedCollector, shell: PreparedShell | None, recipe: Recipe
) -> dict[str, str]:
    reference = base.reference
    name = f"{reference.name}:{reference.tag}" if reference.tag else reference.name
    return {
        names.BASE_NAME: name,
        names.BASE_DIGEST: str(base.digest),
        names.VERSION: FORMAT,
        names.RECIPE: str(recipe.digest),
        names.COLLECTOR: str(collector.upstream),
        names.CONFIG: str(recipe.config),
        names.LAUNCHER: recipe.launcher,
        **({names.SHELL: str(shell.upstream)} if shell else {}),
    }


def _annotate(manifest: Manifest, provenance: dict[str, str]) -> tuple[Document, Document]:
    """The manifest's document with annotations, where its family has them, and Undo's note."""
    if manifest.family is Family.DOCKER:
        return manifest.document, {}
    return put_on(manifest.document, "annotations", provenance)


def _configure(
    base: ImageConfig,
    start: existing_collector.Start,
    added: Sequence[_Added],
    provenance: dict[str, str],
    annotations_note: Document,
) -> ImageConfig:
    history = _history(base, added)
    settings, labels_note = put_on(base.settings, "Labels", {**provenance, names.UNDO: ""})
    settings["Entrypoint"] = list(start.entrypoint)
    notes = {"annotations": annotations_note, "Labels": labels_note}
    before = base.settings.get("Entrypoint")
    if "Entrypoint" in base.settings and (not before or isinstance(before, str)):
        notes["Entrypoint"] = {"was": before}
    if unwrapped(start.entrypoint) != list(base.entrypoint):
        notes["Entrypoint"] = {"was": before}
    if start.cmd != base.cmd:
        notes["Cmd"] = {"was": base.settings["Cmd"]}
        settings["Cmd"] = list(start.cmd)
    undo = Undo(
        layers=len(added),
        history=len(history),
        top=added[-1].diff_id,
        seal=seal(settings),
        notes={key: note for key, note in notes.items() if note},
    )
    settings["Labels"] = {**settings["Labels"], names.UNDO: undo.to_text()}
    document = dict(base.document)
    document["config"] = settings
    rootfs = document["rootfs"]
    diff_ids = [*rootfs["diff_ids"], *(str(layer.diff_id) for layer in added)]
    document["rootfs"] = {**rootfs, "diff_ids": diff_ids}
    if history:
        document["history"] = [*base.history, *history]
    return ImageConfig.of(document)


def _history(base: ImageConfig, added: Sequence[_Added]) -> list[Document]:
    """An entry for each added layer; none where the base's history doesn't match its layers.

    Docker refuses an image whose history tells of more layers than there are, and shows a shorter
    one against the wrong layers: a base's odd history is left as it is.
    """
    told = [entry for entry in base.history if not entry.get("empty_layer")]
    if not told or len(told) != len(base.diff_ids):
        return []
    # The time is the base's, not today's: the same recipe gives the same bytes.
    created = base.created or _EPOCH
    return [{"created": created, "created_by": layer.made_by} for layer in added]


def _assemble(
    document: Document, family: Family, config: ImageConfig, added: Sequence[_Added]
) -> Manifest:
    # `data` and `urls` are other ways to the base's config, which this no longer is.
    kept = {key: value for key, value in document["config"].items() if key not in ("data", "urls")}
    return Manifest.of(
        family,
        {
            **document,
            "config": {**kept, "size": len(config.data), "digest": str(config.digest)},
            "layers": [
                *document["layers"],
                *(layer.descriptor.to_document() for layer in added),
            ],
        },
    )
