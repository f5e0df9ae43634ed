"""From an embedded image back to what it was made of."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from azext_otelembed.image import labels as names
from azext_otelembed.image.config import ImageConfig
from azext_otelembed.image.document import Document, renderings
from azext_otelembed.image.launcher import unwrap
from azext_otelembed.image.manifest import Family, Manifest
from azext_otelembed.image.problem import ImageProblem
from azext_otelembed.image.recipe import FORMAT
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.image.shell import OWN_SHELL
from azext_otelembed.image.undo import Undo, seal, take_off, without


@dataclass(frozen=True, slots=True)
class Origin:
    """What an embedded image says of itself.

    `base` carries `base_digest`, the digest of the base's manifest. `collector` is the collector
    image's name as it was pulled, with digest. `launcher` is the launcher's identity; `shell` the
    image that a shell was taken from, None where the base's own starts it.
    `undo` is None where the image doesn't tell how to take the embedding off. `derived` tells that
    something was built on top (FROM the embedded image, which inherits its labels): then the base
    recorded here is not all there is below.
    """

    base: Reference
    base_digest: Digest
    version: str
    recipe: Digest
    collector: str
    config: Digest
    launcher: str
    undo: Undo | None
    derived: bool
    shell: str | None = None


def is_embedded(config: ImageConfig) -> bool:
    """Whether the image carries our label, however it was made."""
    return names.VERSION in config.labels


def origin(config: ImageConfig) -> Origin | None:
    """Read the labels of an image; None when it isn't embedded, or by its own Dockerfile.

    Raises ImageProblem when it carries our label, but not everything that belongs with it.
    """
    labels = config.labels
    if names.VERSION not in labels or not {names.RECIPE, names.UNDO} & set(labels):
        return None
    missing = [name for name in names.PROVENANCE if name not in labels]
    if missing:
        raise ImageProblem(
            f"The image is labelled as embedded, but lacks {', '.join(missing)}.",
            "Give the image it was made from with --image.",
        )
    version = labels[names.VERSION]
    if version.isascii() and version.isdigit() and int(version) > int(FORMAT):
        raise ImageProblem(
            f"The image was embedded by a later version of otelembed (its format is {version}).",
            "Update this one with `az extension update --name otelembed`.",
        )
    undo = Undo.parse(labels[names.UNDO]) if names.UNDO in labels else None
    derived = undo is not None and (
        config.diff_ids[-1:] != (undo.top,)
        or seal(config.settings) != undo.seal
        or unwrap(config.entrypoint) is None
    )
    digest = Digest.parse(labels[names.BASE_DIGEST])
    return Origin(
        base=Reference.parse(labels[names.BASE_NAME]).with_digest(digest),
        base_digest=digest,
        version=labels[names.VERSION],
        recipe=Digest.parse(labels[names.RECIPE]),
        collector=labels[names.COLLECTOR],
        config=Digest.parse(labels[names.CONFIG]),
        launcher=labels[names.LAUNCHER],
        undo=undo,
        derived=derived,
        shell=labels.get(names.SHELL) if _brings_shell(config) else None,
    )


def recorded_base(config: ImageConfig) -> Reference | None:
    """The base to fetch, of an image that says what it was made from but not how to undo it.

    That is what the first format ("0") did. None for all others. Raises ImageProblem for an image
    that a later version made, whose format isn't known here.
    """
    found = origin(config)
    if found is None or found.undo is not None or unwrap(config.entrypoint) is None:
        return None
    return found.base


def strip(manifest: Manifest, config: ImageConfig) -> tuple[Manifest, ImageConfig]:
    """Take the embedding off: the exact inverse of `embed`, for when the base can't be fetched.

    Field by field the result is the base. Its bytes are those of the base as well wherever one of
    the usual ways to write JSON gives the recorded digest; otherwise they are our own writing.
    Raises ImageProblem when the image is not embedded, or not by us, or was built upon.
    """
    found = origin(config)
    if found is None:
        raise ImageProblem("The image holds no embedded collector.")
    undo = found.undo
    if undo is None:
        raise ImageProblem("The image doesn't tell how to take its collector out again.")
    fewest = min(len(manifest.layers), len(config.diff_ids))
    if found.derived or fewest < undo.layers or len(config.history) < undo.history:
        raise ImageProblem(
            "The image was built FROM an embedded image.",
            f"Build it from the image without the collector: {found.base}.",
        )
    bare_config = _bare_config(config, undo)
    bare_manifest = _bare_manifest(manifest, _provenance(config), undo)
    for config_data in renderings(bare_config):
        for candidate in _manifests(bare_manifest, config_data):
            if Digest.of(candidate) == found.base_digest:
                return (
                    Manifest.read(manifest.family, candidate),
                    ImageConfig(bare_config, config_data),
                )
    written = ImageConfig.of(bare_config)
    return Manifest.of(manifest.family, _pointing_at(bare_manifest, written.data)), written


def _brings_shell(config: ImageConfig) -> bool:
    return config.entrypoint[:1] == (OWN_SHELL,)


def _provenance(config: ImageConfig) -> tuple[str, ...]:
    """The labels that are ours in this image: a base may have others under our names."""
    return (*names.PROVENANCE, *((names.SHELL,) if _brings_shell(config) else ()))


def _bare_config(config: ImageConfig, undo: Undo) -> Document:
    document = dict(config.document)
    ours = (*_provenance(config), names.UNDO)
    settings = take_off(config.settings, "Labels", ours, undo.notes.get("Labels", {}))
    note = undo.notes.get("Entrypoint", {})
    entrypoint = note["was"] if "was" in note else unwrap(config.entrypoint)
    if entrypoint or "was" in note:
        settings["Entrypoint"] = entrypoint
    else:
        settings = without(settings, "Entrypoint")
    command = undo.notes.get("Cmd", {})
    if "was" in command:
        settings["Cmd"] = command["was"]
    document["config"] = settings
    rootfs = dict(document["rootfs"])
    rootfs["diff_ids"] = rootfs["diff_ids"][: -undo.layers]
    document["rootfs"] = rootfs
    if undo.history:
        document["history"] = document["history"][: -undo.history]
    return document


def _bare_manifest(manifest: Manifest, ours: tuple[str, ...], undo: Undo) -> Document:
    document = manifest.document
    if manifest.family is Family.OCI:
        note = undo.notes.get("annotations", {})
        document = take_off(document, "annotations", ours, note)
    return {**document, "layers": manifest.document["layers"][: -undo.layers]}


def _manifests(document: Document, config: bytes) -> Iterator[bytes]:
    return renderings(_pointing_at(document, config))


def _pointing_at(document: Document, config: bytes) -> Document:
    """The manifest with its config's size and digest set to those of `config`."""
    pointer = {**document["config"], "size": len(config), "digest": str(Digest.of(config))}
    return {**document, "config": pointer}
