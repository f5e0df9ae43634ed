"""Reads what an embedded image was made of from its labels, and restores its base image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import labels as names
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.json_document import Document, dump, load, object_at, renderings
from azext_otelembed.image.launcher import unwrap_entrypoint
from azext_otelembed.image.manifest import Manifest
from azext_otelembed.image.prepared_shell import EMBEDDED_SHELL
from azext_otelembed.image.recipe import FORMAT
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.whole_number import whole_number

_BASE_ONLY = ("subject", "artifactType")
_LAST_PLACE = 1 << 22
"""A manifest of 4 MiB has fewer fields."""
# These name the manifest itself, or what it attests: `ref.name` in the OCI image spec's
# annotations.md, the others as containerd and BuildKit (docs/attestations) write them.
_BASE_ONLY_ANNOTATIONS = {
    "org.opencontainers.image.ref.name",
    "io.containerd.image.name",
    "vnd.docker.reference.type",
    "vnd.docker.reference.digest",
}


@dataclass(frozen=True, slots=True)
class RestoreData:
    """The data of the label `dev.otelembed.undo`: how to restore the base image.

    `layers` and `history` count the entries that the embed added. `top_diff_id` is the last layer's
    diff_id and `settings_digest` a digest of the image's settings: a build FROM the embedded image
    inherits the labels, but changes one of these two.

    `originals` has, for some fields ("Entrypoint", "Cmd", "Labels", "annotations", "subject",
    "artifactType"), what the embedded image doesn't show: `hidden` are values that the embed
    replaced, `was` is the field's whole value if that was null, [], {}, replaced or left out; `at`
    is the place of a field of the manifest that was left out. Most images need none.
    """

    layers: int
    history: int
    top_diff_id: Digest
    settings_digest: str
    originals: Document = field(default_factory=dict)

    def to_text(self) -> str:
        """The label's value. Its keys are the format that older embedded images have."""
        document: Document = {
            "layers": self.layers,
            "history": self.history,
            "top": str(self.top_diff_id),
            "seal": self.settings_digest,
        }
        if self.originals:
            document["notes"] = self.originals
        return dump(document).decode("ascii")

    @classmethod
    def parse(cls, text: str) -> RestoreData:
        """Read the label's value. Raises InvalidImage."""
        document = load(text.encode("utf-8", "surrogatepass"), f"The label {names.RESTORE}")
        layers, history = document.get("layers"), document.get("history")
        originals = document.get("notes", {})
        if (
            not isinstance(layers, int)
            or not isinstance(history, int)
            or layers < 1
            or history not in (0, layers)
            or not isinstance(originals, dict)
            or not all(isinstance(value, dict) for value in originals.values())
            or not all(isinstance(each.get("hidden", {}), dict) for each in originals.values())
            or not all(_is_place(each.get("at", 0)) for each in originals.values())
        ):
            raise InvalidImage(f"The label {names.RESTORE} is malformed.")
        top_diff_id = Digest.parse(str(document.get("top")))
        return cls(layers, history, top_diff_id, str(document.get("seal")), originals)


def _is_place(value: object) -> bool:
    return isinstance(value, int) and 0 <= value <= _LAST_PLACE


@dataclass(frozen=True, slots=True)
class Provenance:
    """What an embedded image was made of, by its labels.

    `base` includes `base_digest`, the digest of the base's manifest. `collector` is the collector
    image's name with digest. `launcher` is the launcher's identity; `shell` the image of the
    embedded shell, None if the base's own shell is used. `derived`: the image was built FROM an
    embedded image and inherited its labels, so `base` is not all that lies below.
    """

    base: Reference
    base_digest: Digest
    recipe: Digest
    collector: str
    config: Digest
    launcher: str
    restore_data: RestoreData
    derived: bool
    shell: str | None = None


def read_provenance(config: ImageConfig) -> Provenance | None:
    """Read an image's labels; None if it isn't embedded, or its own Dockerfile adds a collector.

    Raises InvalidImage if some of the labels are missing or malformed.
    """
    labels = config.labels
    if names.VERSION not in labels or not {names.RECIPE, names.RESTORE} & set(labels):
        return None
    missing = [name for name in (*names.PROVENANCE, names.RESTORE) if name not in labels]
    if missing:
        raise InvalidImage(
            f"The image is labelled as embedded, but lacks {', '.join(missing)}.",
            "Name the image that it was made from with --image.",
        )
    version = labels[names.VERSION]
    known = whole_number(version, int(FORMAT)) is not None
    if version.isascii() and version.isdigit() and not known:
        raise InvalidImage(
            f"The image was embedded by a later version of otelembed (its format is {version}).",
            "Update this one with `az extension update --name otelembed`.",
        )
    restore_data = RestoreData.parse(labels[names.RESTORE])
    derived = (
        config.diff_ids[-1:] != (restore_data.top_diff_id,)
        or settings_digest(config.settings) != restore_data.settings_digest
        or unwrap_entrypoint(config.entrypoint) is None
    )
    digest = Digest.parse(labels[names.BASE_DIGEST])
    return Provenance(
        base=Reference.parse(labels[names.BASE_NAME]).with_digest(digest),
        base_digest=digest,
        recipe=Digest.parse(labels[names.RECIPE]),
        collector=labels[names.COLLECTOR],
        config=Digest.parse(labels[names.CONFIG]),
        launcher=labels[names.LAUNCHER],
        restore_data=restore_data,
        derived=derived,
        shell=labels.get(names.SHELL) if _has_embedded_shell(config) else None,
    )


def settings_digest(settings: Document) -> str:
    """A digest of an image's settings (the object under `config`), except the restore label.

    Order and empty values don't count: tools that copy images may change them.
    """
    labels = _without(settings.get("Labels") or {}, names.RESTORE)
    nonempty = {name: value for name, value in {**settings, "Labels": labels}.items() if value}
    return Digest.of(json.dumps(nonempty, sort_keys=True).encode("ascii")).short


def restore_base(manifest: Manifest, config: ImageConfig) -> tuple[Manifest, ImageConfig]:
    """The base image of an embedded image: the exact inverse of `embed`, without any request.

    Every field is as in the base. The bytes are as well if one of the usual ways to write JSON
    gives the recorded digest; otherwise they are this package's own rendering.
    Raises InvalidImage if the image isn't embedded, or was built FROM an embedded image.
    """
    provenance = read_provenance(config)
    if provenance is None:
        raise InvalidImage("The image holds no embedded collector.")
    data = provenance.restore_data
    layer_count = min(len(manifest.layers), len(config.diff_ids))
    if provenance.derived or layer_count < data.layers or len(config.history) < data.history:
        raise InvalidImage(
            "The image was built FROM an embedded image.",
            f"Build it from the image without the collector: {provenance.base}.",
        )
    config_document = _restored_config(config, data)
    document = {**manifest.document, "layers": manifest.document["layers"][: -data.layers]}
    if manifest.family is Family.OCI:
        original = data.originals.get("annotations", {})
        document = unmerge_map(document, "annotations", _added_labels(config), original)
    document = _with_base_only(document, data.originals)
    for config_bytes in renderings(config_document):
        for candidate in renderings(with_config(document, config_bytes)):
            if Digest.of(candidate) == provenance.base_digest:
                restored = ImageConfig(config_document, config_bytes)
                return Manifest.read(manifest.family, candidate), restored
    restored = ImageConfig.of(config_document)
    return Manifest.of(manifest.family, with_config(document, restored.data)), restored


def _has_embedded_shell(config: ImageConfig) -> bool:
    return config.entrypoint[:1] == (EMBEDDED_SHELL,)


def _added_labels(config: ImageConfig) -> tuple[str, ...]:
    """The labels that the embed set; the base itself may have others of the same names."""
    return (*names.PROVENANCE, *((names.SHELL,) if _has_embedded_shell(config) else ()))


def _restored_config(config: ImageConfig, data: RestoreData) -> Document:
    document = dict(config.document)
    added = (*_added_labels(config), names.RESTORE)
    settings = unmerge_map(config.settings, "Labels", added, data.originals.get("Labels", {}))
    original = data.originals.get("Entrypoint", {})
    entrypoint = original["was"] if "was" in original else unwrap_entrypoint(config.entrypoint)
    if entrypoint or "was" in original:
        settings["Entrypoint"] = entrypoint
    else:
        settings = _without(settings, "Entrypoint")
    command = data.originals.get("Cmd", {})
    if "was" in command:
        settings["Cmd"] = command["was"]
    document["config"] = settings
    rootfs = dict(document["rootfs"])
    rootfs["diff_ids"] = rootfs["diff_ids"][: -data.layers]
    document["rootfs"] = rootfs
    if data.history:
        document["history"] = document["history"][: -data.history]
    return document


def without_base_only(document: Document, family: Family) -> tuple[Document, Document]:
    """A base's manifest without the fields and annotations that are true of the base alone.

    `subject` and `artifactType` make a manifest a referrer of another one and say what for (OCI
    image spec, manifest.md): the embedded image is none. Returns the new document, and the entries
    for `RestoreData.originals`.
    """
    kept = {key: value for key, value in document.items() if key not in _BASE_ONLY}
    originals: Document = {
        key: {"was": value, "at": place}
        for place, (key, value) in enumerate(document.items())
        if key in _BASE_ONLY
    }
    annotations = object_at(document, "annotations")
    if family is Family.OCI and _BASE_ONLY_ANNOTATIONS & set(annotations):
        true = {k: v for k, v in annotations.items() if k not in _BASE_ONLY_ANNOTATIONS}
        kept["annotations"] = true
        originals["annotations"] = {"was": document["annotations"]}
    return kept, originals


def _with_base_only(document: Document, originals: Document) -> Document:
    """The inverse of `without_base_only` for fields; `originals` has the annotations' own."""
    fields = list(document.items())
    left_out = [(key, originals[key]) for key in _BASE_ONLY if "was" in originals.get(key, {})]
    for key, original in sorted(left_out, key=lambda one: one[1].get("at", len(fields))):
        fields.insert(original.get("at", len(fields)), (key, original["was"]))
    return dict(fields)


def with_config(document: Document, config: bytes) -> Document:
    """The manifest with its config's size and digest set to those of `config`."""
    descriptor = {**document["config"], "size": len(config), "digest": str(Digest.of(config))}
    return {**document, "config": descriptor}


def merge_map(owner: Document, key: str, added: Mapping[str, str]) -> tuple[Document, Document]:
    """Merge `added` into the text map `owner[key]`.

    Returns the new owner, and the entry for `RestoreData.originals` ({} if none is needed).
    """
    before = owner.get(key)
    if isinstance(before, dict) and before:
        replaced = {name: before[name] for name in added if name in before}
        return {**owner, key: {**before, **added}}, {"hidden": replaced} if replaced else {}
    return {**owner, key: dict(added)}, {"was": before} if key in owner else {}


def unmerge_map(owner: Document, key: str, added: Iterable[str], original: Document) -> Document:
    """The inverse of `merge_map`; `added` are the keys that were merged."""
    if "was" in original:
        return {**owner, key: original["was"]}
    replaced = original.get("hidden", {})
    added = set(added)
    kept = {
        name: replaced.get(name, value)
        for name, value in object_at(owner, key).items()
        if name not in added or name in replaced
    }
    return {**owner, key: kept} if kept else _without(owner, key)


def _without(owner: Document, key: str) -> Document:
    return {name: value for name, value in owner.items() if name != key}
