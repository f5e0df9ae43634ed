"""Manifests of images and of other artifacts; indexes that list one for each platform."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.json_document import Document, dump, load, object_at
from azext_otelembed.image.reference import Digest

# The media types of a client's Accept header, in order of preference.
ACCEPT = (
    Family.OCI.index_type,
    Family.OCI.manifest_type,
    Family.DOCKER.index_type,
    Family.DOCKER.manifest_type,
)
_MANIFESTS = {family.manifest_type: family for family in Family}
_INDEXES = {family.index_type: family for family in Family}
_SCHEMA_1 = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
)
# Sent by registries and proxies that don't know the manifest's type.
_UNTYPED = ("", "application/json", "application/octet-stream", "text/plain")
_ATTESTATION = "vnd.docker.reference.type"

# The OCI image spec's empty descriptor ("Guidance for an Empty Descriptor" in manifest.md).
EMPTY = b"{}"
EMPTY_DESCRIPTOR = Descriptor("application/vnd.oci.empty.v1+json", len(EMPTY), Digest.of(EMPTY))


@dataclass(frozen=True, slots=True)
class Manifest:
    """An image's manifest. `data` is the exact bytes, `document` the JSON object in them."""

    family: Family
    config: Descriptor
    layers: tuple[Descriptor, ...]
    document: Document
    data: bytes

    @classmethod
    def of(cls, family: Family, document: Document) -> Manifest:
        """A manifest made from a document, with a deterministic rendering. Raises InvalidImage."""
        return cls.parse(family, document, dump(document))

    @classmethod
    def read(cls, family: Family, data: bytes) -> Manifest:
        """Parse the exact bytes of a manifest of a known family. Raises InvalidImage."""
        return cls.parse(family, load(data, "The image's manifest"), data)

    @classmethod
    def parse(cls, family: Family, document: Document, data: bytes) -> Manifest:
        """A manifest with its exact bytes and the document in them. Raises InvalidImage."""
        config = Descriptor.parse(document.get("config"), "The config of the image's manifest")
        layers = tuple(
            Descriptor.parse(entry, f"Layer {number} of the image's manifest")
            for number, entry in enumerate(_list(document, "layers"), 1)
        )
        return cls(family, config, layers, document, data)

    @property
    def media_type(self) -> str:
        """The manifest's media type."""
        return self.family.manifest_type

    @property
    def digest(self) -> Digest:
        """sha256 of the exact bytes."""
        return Digest.of(self.data)

    @property
    def annotations(self) -> dict[str, str]:
        """The manifest's annotations; empty if it has none."""
        return object_at(self.document, "annotations")

    @property
    def is_image(self) -> bool:
        """Whether it describes an image (not an artifact such as a chart or a signature)."""
        return self.config.media_type in {family.config_type for family in Family}


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests, one for each platform. `data` is the exact bytes."""

    family: Family
    manifests: tuple[Descriptor, ...]
    data: bytes


def parse_manifest(data: bytes, media_type: str | None) -> Manifest | Index:
    """Read a manifest or an index. `media_type` is the registry's Content-Type, if any.

    Raises InvalidImage for schema 1, for unknown types, for a document whose own `mediaType`
    contradicts the registry's, and for an ambiguous document (CVE-2021-41190).
    """
    document = load(data, "The image's manifest")
    kind = _media_type_of(document, media_type)
    if "manifests" in document and ("layers" in document or "config" in document):
        raise InvalidImage("The image's manifest is an index and a manifest at once.")
    if kind in _MANIFESTS:
        return Manifest.parse(_MANIFESTS[kind], document, data)
    if kind not in _INDEXES:
        raise InvalidImage(
            f"The image's manifest has an unknown media type: {kind or 'none given'}.",
            "Push the image in Docker schema 2 or OCI format.",
        )
    manifests = tuple(
        Descriptor.parse(entry, f"Entry {number} of the image's index")
        for number, entry in enumerate(_list(document, "manifests"), 1)
    )
    return Index(_INDEXES[kind], manifests, data)


def platform_choices(index: Index) -> tuple[Descriptor, ...]:
    """The entries to try for linux/amd64, the likeliest first; at least one.

    App Service's Linux plans run no other platform. Attestations (entries that describe other
    entries) are ignored; of several variants the plain one is preferred. More than one entry is
    returned only if no entry has a platform and some are indexes: the OCI spec allows nested
    indexes. Raises InvalidImage with the platforms that the index offers.
    """
    images = [
        entry
        for entry in index.manifests
        if _ATTESTATION not in entry.annotations and _platform(entry) != "unknown/unknown"
    ]
    fitting = [entry for entry in images if _platform(entry) == "linux/amd64"]
    if fitting:
        best = min(fitting, key=lambda entry: len(str(entry.extra["platform"].get("variant", ""))))
        return (best,)
    unnamed = [entry for entry in images if not _platform(entry)]
    nested = [entry for entry in unnamed if entry.media_type in _INDEXES]
    if nested:
        return tuple(nested)
    if len(images) == 1 and unnamed:
        return (unnamed[0],)
    offered = ", ".join(sorted({_platform(entry) or "unnamed" for entry in images})) or "nothing"
    raise InvalidImage(
        f"The image has no entry for linux/amd64 (it offers: {offered}).",
        "Build it with `--platform linux/amd64`.",
    )


def artifact_document(
    artifact_type: str,
    layers: Sequence[Descriptor] = (EMPTY_DESCRIPTOR,),
    *,
    subject: Descriptor | None = None,
    annotations: Mapping[str, str] | None = None,
) -> Document:
    """The manifest of something other than an image, by its type. Its config is empty."""
    document: Document = {
        "schemaVersion": 2,
        "mediaType": Family.OCI.manifest_type,
        "artifactType": artifact_type,
        "config": EMPTY_DESCRIPTOR.to_document(),
        "layers": [layer.to_document() for layer in layers],
    }
    if subject is not None:
        document["subject"] = subject.to_document()
    if annotations is not None:
        document["annotations"] = dict(annotations)
    return document


def _media_type_of(document: Document, media_type: str | None) -> str:
    """The media type, by the document and the registry's Content-Type; empty if unknown."""
    served = (media_type or "").partition(";")[0].strip().lower()
    own = document.get("mediaType")
    if served in _SCHEMA_1 or document.get("schemaVersion") == 1:
        raise InvalidImage(
            "The image is in Docker's schema 1 format, which current engines refuse.",
            "Pull it, tag it and push it again with a current docker or podman.",
        )
    if document.get("schemaVersion") != 2:
        raise InvalidImage("The image's manifest has no schemaVersion 2.")
    if isinstance(own, str) and own:
        if served not in _UNTYPED and served != own:
            raise InvalidImage(
                f"The image's manifest says it is {own}, but the registry serves it as {served}."
            )
        return own
    if served not in _UNTYPED:
        return served
    if "manifests" in document:
        return Family.OCI.index_type
    if isinstance(config := document.get("config"), dict):
        docker = config.get("mediaType") == Family.DOCKER.config_type
        return (Family.DOCKER if docker else Family.OCI).manifest_type
    return ""


def _list(document: Document, key: str) -> list[object]:
    found = document.get(key)
    if not isinstance(found, list):
        raise InvalidImage(f"The image's manifest has no list of {key}.")
    return found


def _platform(entry: Descriptor) -> str:
    platform = entry.extra.get("platform")
    if not isinstance(platform, dict):
        return ""
    return f"{platform.get('os', 'unknown')}/{platform.get('architecture', 'unknown')}"
