"""Embeds a collector in an image: computes the new manifest and configuration from the base's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from azext_otelembed.errors import InvalidImage, about
from azext_otelembed.image import labels as names
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.dockerfile_template import dockerfile_collector
from azext_otelembed.image.existing_collector import StartCommand, find_collector
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.init_program import check_init
from azext_otelembed.image.json_document import Document
from azext_otelembed.image.launcher import SHELL, Launcher, unwrap_entrypoint
from azext_otelembed.image.layer import BuiltLayer, make_config_layer
from azext_otelembed.image.manifest import Manifest
from azext_otelembed.image.prepared_collector import PreparedCollector
from azext_otelembed.image.prepared_shell import EMBEDDED_SHELL, PreparedShell
from azext_otelembed.image.provenance import (
    RestoreData,
    merge_map,
    read_provenance,
    restore_base,
    settings_digest,
    with_config,
    without_base_only,
)
from azext_otelembed.image.recipe import FORMAT, Recipe, recipe_tag
from azext_otelembed.image.reference import Digest, Reference

MAX_LAYERS = 125
"""Docker's limit: maxLayerDepth in moby's layer/layer_store.go, the same from 1.10 to 28.

(127, in older texts, is the limit of aufs, and includes two layers of the container.)
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
    """A blob of the embedded image that has to be uploaded."""

    digest: Digest
    data: bytes


@dataclass(frozen=True, slots=True)
class Embedded:
    """An embedded image: the blobs to mount and to upload to the base's repository, the manifest.

    `reference` has the tag to put and the digest. `mounts` are blobs of `otelembed/collector` in
    the same registry.
    """

    reference: Reference
    digest: Digest
    manifest: Manifest
    config: ImageConfig
    uploads: tuple[Upload, ...]
    mounts: tuple[Digest, ...]
    recipe: Recipe


@dataclass(frozen=True, slots=True)
class _AddedLayer:
    """A layer that the embed adds. `created_by` is for the image's history."""

    descriptor: Descriptor
    diff_id: Digest
    created_by: str


def check_base(base: Base, launcher: Launcher, *, unwrap: bool = False) -> StartCommand:
    """The app's start command; with `unwrap`, without a collector that the command itself starts.

    Raises InvalidImage unless a collector can be embedded in `base` with this launcher.
    """
    name = base.reference
    config = base.config
    if not base.manifest.is_image:
        raise InvalidImage(
            f"{name} is not an image: its config is {base.manifest.config.media_type}."
        )
    if config.os == "windows":
        raise InvalidImage(f"{name} is a Windows image. otelembed works on Linux images.")
    if (config.os, config.architecture) != ("linux", "amd64"):
        platform = f"{config.os or 'unknown'}/{config.architecture or 'unknown'}"
        raise InvalidImage(
            f"{name} is built for {platform}. App Service runs linux/amd64 only.",
            "Build it with `--platform linux/amd64`.",
        )
    if not config.entrypoint and not config.cmd:
        raise InvalidImage(
            f"{name} has neither an ENTRYPOINT nor a CMD, so it starts nothing.",
            "Add a CMD to its Dockerfile.",
        )
    if not base.manifest.layers:
        raise InvalidImage(f"{name} has no layers, so it starts nothing.")
    if len(config.diff_ids) != len(base.manifest.layers):
        raise InvalidImage(
            f"{name} is inconsistent: its manifest lists {len(base.manifest.layers)} layers, "
            f"its configuration {len(config.diff_ids)}.",
            "Push the image again.",
        )
    start = _start_command(base, unwrap)
    check_init(str(name), start, launcher, config)
    return start


def make_recipe(
    base: Digest,
    collector: PreparedCollector,
    config: bytes,
    launcher: Launcher,
    shell: PreparedShell | None = None,
) -> Recipe:
    """The recipe for embedding in the base with the manifest digest `base`."""
    shell_digest = shell.manifest.digest if shell else None
    return Recipe(
        base, collector.manifest.digest, Digest.of(config), launcher.identity, shell_digest
    )


def original(image: Base) -> Base:
    """The base of an embedded image, or `image` itself: an embed never wraps another one.

    Raises InvalidImage if its base can't be restored, or if its own Dockerfile adds a collector.
    """
    if dockerfile_collector(image.config):
        raise InvalidImage(
            f"{image.reference} already starts a collector: its own Dockerfile adds it.",
            "Deploy it unchanged, or build it without the collector.",
        )
    with about(str(image.reference)):
        found = read_provenance(image.config)
        if found is None:
            return image
        manifest, config = restore_base(image.manifest, image.config)
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
    recipe; `shell` is embedded and replaces the base's; `unwrap` removes a collector that the
    base's own command starts. All other fields of the base are kept, except those that
    describe the base's manifest alone (`without_base_only`).
    Raises InvalidImage if the base can't be embedded in, or has too many layers.
    """
    base = original(base)
    start = check_base(base, launcher, unwrap=unwrap)
    family = base.manifest.family
    recipe = make_recipe(base.digest, collector, config, launcher, shell)
    config_layer = make_config_layer(config, collector.binary_path)
    added = _added_layers(collector, shell, config_layer, family)
    if len(base.manifest.layers) + len(added) > MAX_LAYERS:
        raise InvalidImage(
            f"{base.reference} has {len(base.manifest.layers)} layers; with the "
            f"{len(added)} of the collector that is more than the {MAX_LAYERS} that Docker runs.",
            "Combine some RUN steps of its Dockerfile, or build it with `--squash`.",
        )
    provenance = _provenance(base, collector, shell, recipe)
    document, originals = without_base_only(base.manifest.document, family)
    if family is Family.OCI:  # Docker's manifests have no annotations
        document, annotations = merge_map(document, "annotations", provenance)
        originals = {"annotations": annotations, **originals}
    entrypoint = launcher.wrap(
        start.entrypoint,
        recipe=recipe.digest,
        stop_signal=str(base.config.settings.get("StopSignal") or ""),
        shell_path=EMBEDDED_SHELL if shell else SHELL,
    )
    wrapped = StartCommand(tuple(entrypoint), start.cmd)
    new_config = _configure(base.config, wrapped, added, provenance, originals)
    manifest = _assemble(document, family, new_config, added)
    reference = base.reference.with_tag(tag or recipe_tag(base.reference.tag, recipe))
    return Embedded(
        reference=reference.with_digest(manifest.digest),
        digest=manifest.digest,
        manifest=manifest,
        config=new_config,
        uploads=(
            Upload(config_layer.digest, config_layer.data),
            Upload(new_config.digest, new_config.data),
        ),
        mounts=tuple(layer.descriptor.digest for layer in added[:-1]),
        recipe=recipe,
    )


def _start_command(base: Base, unwrap: bool) -> StartCommand:
    start = StartCommand(base.config.entrypoint, base.config.cmd)
    # bash reads this file before it runs a script ("Bash Startup Files" in its manual).
    variables = base.config.settings.get("Env") or ()
    has_file = any(str(one).startswith("BASH_ENV=") for one in variables)
    found = find_collector(start, keep_shell=has_file)
    if found is None:
        return start
    message = f"{base.reference} already starts a collector in its command: `{found.collector}`."
    if found.app is None:
        raise InvalidImage(
            message,
            "--unwrap can't remove it: only a collector in a background job of its own "
            "(`otelcol … & exec app`) can be removed, and only if the rest of the command doesn't "
            "refer to it (`wait`, `$!`, a condition, its log file). Write the ENTRYPOINT or CMD of "
            "the Dockerfile without the collector, and name the new image with --image.",
        )
    if not unwrap:
        app = " ".join([*found.app.entrypoint, *found.app.cmd])
        raise InvalidImage(
            message,
            f"Add --unwrap to remove it from the command and start `{app}` with the embedded "
            "collector, or name an image without a collector with --image.",
        )
    return found.app


def _added_layers(
    collector: PreparedCollector,
    shell: PreparedShell | None,
    config_layer: BuiltLayer,
    family: Family,
) -> list[_AddedLayer]:
    """The layers to add. The last is the configuration's, which is uploaded; others are mounted."""
    added = [
        (layer.descriptor, layer.diff_id, f"{layer.role} of {collector.upstream}")
        for layer in collector.layers
    ]
    if shell:
        added.append((shell.layer, shell.diff_id, f"shell of {shell.upstream}"))
    config_descriptor = config_layer.descriptor(family)
    added.append((config_descriptor, config_layer.diff_id, "configuration and launcher"))
    # With the base's media types, and without the prepared artifact's annotations.
    return [
        _AddedLayer(replace(layer.retype(family), extra={}), diff_id, f"otelembed: {content}")
        for layer, diff_id, content in added
    ]


def _provenance(
    base: Base, collector: PreparedCollector, shell: PreparedShell | None, recipe: Recipe
) -> dict[str, str]:
    return {
        names.BASE_NAME: str(replace(base.reference, digest=None)),
        names.BASE_DIGEST: str(base.digest),
        names.VERSION: FORMAT,
        names.RECIPE: str(recipe.digest),
        names.COLLECTOR: str(collector.upstream),
        names.CONFIG: str(recipe.config),
        names.LAUNCHER: recipe.launcher,
        **({names.SHELL: str(shell.upstream)} if shell else {}),
    }


def _configure(
    base: ImageConfig,
    start: StartCommand,
    added: Sequence[_AddedLayer],
    provenance: dict[str, str],
    manifest_originals: Document,
) -> ImageConfig:
    history = _history(base, added)
    settings, labels = merge_map(base.settings, "Labels", {**provenance, names.RESTORE: ""})
    settings["Entrypoint"] = list(start.entrypoint)
    originals = {**manifest_originals, "Labels": labels}
    before = base.settings.get("Entrypoint")
    if "Entrypoint" in base.settings and (not before or isinstance(before, str)):
        originals["Entrypoint"] = {"was": before}
    if unwrap_entrypoint(start.entrypoint) != list(base.entrypoint):
        originals["Entrypoint"] = {"was": before}
    if start.cmd != base.cmd:
        originals["Cmd"] = {"was": base.settings["Cmd"]}
        settings["Cmd"] = list(start.cmd)
    restore_data = RestoreData(
        layers=len(added),
        history=len(history),
        top_diff_id=added[-1].diff_id,
        settings_digest=settings_digest(settings),
        originals={key: original for key, original in originals.items() if original},
    )
    settings["Labels"] = {**settings["Labels"], names.RESTORE: restore_data.to_text()}
    document = dict(base.document)
    document["config"] = settings
    rootfs = document["rootfs"]
    diff_ids = [*rootfs["diff_ids"], *(str(layer.diff_id) for layer in added)]
    document["rootfs"] = {**rootfs, "diff_ids": diff_ids}
    if history:
        document["history"] = [*base.history, *history]
    return ImageConfig.of(document)


def _history(base: ImageConfig, added: Sequence[_AddedLayer]) -> list[Document]:
    """An entry for each added layer; none if the base's history doesn't match its layers.

    Docker refuses an image whose history has more layers than the image, and shows a shorter one
    beside the wrong layers. So a history that doesn't match is left unchanged.
    """
    layers = [entry for entry in base.history if not entry.get("empty_layer")]
    if not layers or len(layers) != len(base.diff_ids):
        return []
    # The base's time, not the current one: the same recipe gives the same bytes.
    created = base.created or _EPOCH
    return [{"created": created, "created_by": layer.created_by} for layer in added]


def _assemble(
    document: Document, family: Family, config: ImageConfig, added: Sequence[_AddedLayer]
) -> Manifest:
    # `data` and `urls` lead to the base's configuration, not to this one.
    kept = {key: value for key, value in document["config"].items() if key not in ("data", "urls")}
    layers = [*document["layers"], *(layer.descriptor.to_document() for layer in added)]
    document = {**document, "config": kept, "layers": layers}
    return Manifest.of(family, with_config(document, config.data))
