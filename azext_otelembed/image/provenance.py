"""What an embedded image says of itself (labels), and how the embedding is taken off again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import labels as names
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.json_document import Document, dump, load, renderings
from azext_otelembed.image.labels import UNDO
from azext_otelembed.image.launcher import unwrap
from azext_otelembed.image.manifest import Family, Manifest
from azext_otelembed.image.prepared_shell import OWN_SHELL
from azext_otelembed.image.recipe import FORMAT
from azext_otelembed.image.reference import Digest, Reference


@dataclass(frozen=True, slots=True)
class Provenance:
    """What an embedded image says of itself.

    `base` carries `base_digest`, the digest of the base's manifest. `collector` is the collector
    image's name as it was pulled, with digest. `launcher` is the launcher's identity; `shell` the
    image that a shell was taken from, None where the base's own shell starts it.
    `undo` tells how to take the embedding off. `derived`: another image was built on top (FROM the
    embedded image, which inherits its labels), so the base recorded here is not all there is below.
    """

    base: Reference
    base_digest: Digest
    version: str
    recipe: Digest
    collector: str
    config: Digest
    launcher: str
    undo: Undo
    derived: bool
    shell: str | None = None


def read_provenance(config: ImageConfig) -> Provenance | None:
    """Read the labels of an image; None when it isn't embedded, or by its own Dockerfile.

    Raises InvalidImage when it carries our label, but not everything that belongs with it.
    """
    labels = config.labels
    if names.VERSION not in labels or not {names.RECIPE, names.UNDO} & set(labels):
        return None
    missing = [name for name in (*names.PROVENANCE, names.UNDO) if name not in labels]
    if missing:
        raise InvalidImage(
            f"The image is labelled as embedded, but lacks {', '.join(missing)}.",
            "Give the image it was made from with --image.",
        )
    version = labels[names.VERSION]
    if version.isascii() and version.isdigit() and int(version) > int(FORMAT):
        raise InvalidImage(
            f"The image was embedded by a later version of otelembed (its format is {version}).",
            "Update this one with `az extension update --name otelembed`.",
        )
    undo = Undo.parse(labels[names.UNDO])
    derived = (
        config.diff_ids[-1:] != (undo.top,)
        or seal(config.settings) != undo.seal
        or unwrap(config.entrypoint) is None
    )
    digest = Digest.parse(labels[names.BASE_DIGEST])
    return Provenance(
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


def strip(manifest: Manifest, config: ImageConfig) -> tuple[Manifest, ImageConfig]:
    """Take the embedding off: the exact inverse of `embed`, for when the base can't be fetched.

    Field by field the result is the base. Its bytes are those of the base as well wherever one of
    the usual ways to write JSON gives the recorded digest; otherwise they are our own writing.
    Raises InvalidImage when the image is not embedded, or not by us, or was built upon.
    """
    found = read_provenance(config)
    if found is None:
        raise InvalidImage("The image holds no embedded collector.")
    undo = found.undo
    fewest = min(len(manifest.layers), len(config.diff_ids))
    if found.derived or fewest < undo.layers or len(config.history) < undo.history:
        raise InvalidImage(
            "The image was built FROM an embedded image.",
            f"Build it from the image without the collector: {found.base}.",
        )
    bare_config = _bare_config(config, undo)
    bare_manifest = _bare_manifest(manifest, _own_labels(config), undo)
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


def _own_labels(config: ImageConfig) -> tuple[str, ...]:
    """The labels that are ours in this image: a base may have others under our names."""
    return (*names.PROVENANCE, *((names.SHELL,) if _brings_shell(config) else ()))


def _bare_config(config: ImageConfig, undo: Undo) -> Document:
    document = dict(config.document)
    ours = (*_own_labels(config), names.UNDO)
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


@dataclass(frozen=True, slots=True)
class Undo:
    """`layers` and `history` count the entries that were added on top.

    `top` is the last diff_id and `seal` a digest of how the image is started: whoever builds on top
    changes one of them, while the labels are inherited.

    `notes` hold, by field ("Entrypoint", "Labels", "annotations"), what the embedded image itself
    doesn't show: `hidden` values that ours replaced, and what the field `was` when it was there but
    said nothing (null, [] or {}). Most images need none.
    """

    layers: int
    history: int
    top: Digest
    seal: str
    notes: Document = field(default_factory=dict)

    def to_text(self) -> str:
        """The label's value."""
        document: Document = {
            "layers": self.layers,
            "history": self.history,
            "top": str(self.top),
            "seal": self.seal,
        }
        if self.notes:
            document["notes"] = self.notes
        return dump(document).decode("ascii")

    @classmethod
    def parse(cls, text: str) -> Undo:
        """Read the label's value. Raises InvalidImage."""
        document = load(text.encode("utf-8", "surrogatepass"), f"The label {UNDO}")
        layers, history = document.get("layers"), document.get("history")
        notes = document.get("notes", {})
        if (
            not isinstance(layers, int)
            or not isinstance(history, int)
            or layers < 1
            or history not in (0, layers)
            or not isinstance(notes, dict)
            or not all(_is_note(note) for note in notes.values())
        ):
            raise InvalidImage(f"The label {UNDO} is malformed.")
        top = Digest.parse(str(document.get("top")))
        return cls(layers, history, top, str(document.get("seal")), notes)


def seal(settings: Document) -> str:
    """A digest of an image's settings (the object under `config`), our own label left out.

    Order and empty values don't count: tools that copy images may write those anew.
    """
    labels = without(settings.get("Labels") or {}, UNDO)
    told = {name: value for name, value in {**settings, "Labels": labels}.items() if value}
    return Digest.of(json.dumps(told, sort_keys=True).encode("ascii")).short


def put_on(owner: Document, key: str, added: Mapping[str, str]) -> tuple[Document, Document]:
    """Merge `added` into the text map `owner[key]`. Returns the new owner and a note for Undo."""
    before = owner.get(key)
    note: Document = {}
    if isinstance(before, dict) and before:
        hidden = {name: before[name] for name in added if name in before}
        if hidden:
            note = {"hidden": hidden}
        merged = {**before, **added}
    else:
        if key in owner:
            note = {"was": before}
        merged = dict(added)
    return {**owner, key: merged}, note


def take_off(owner: Document, key: str, added: Iterable[str], note: Document) -> Document:
    """The inverse of put_on."""
    if "was" in note:
        return {**owner, key: note["was"]}
    hidden = note.get("hidden", {})
    ours = set(added)
    found = owner.get(key)
    now = found if isinstance(found, dict) else {}
    kept = {
        name: hidden.get(name, value)
        for name, value in now.items()
        if name not in ours or name in hidden
    }
    return {**owner, key: kept} if kept else without(owner, key)


def _is_note(note: object) -> bool:
    return isinstance(note, dict) and isinstance(note.get("hidden", {}), dict)


def without(owner: Document, key: str) -> Document:
    """A copy that lacks one key."""
    return {name: value for name, value in owner.items() if name != key}
