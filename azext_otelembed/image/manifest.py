"""Manifests of images, and the indexes that list one for each platform."""

from __future__ import annotations

from dataclasses import dataclass

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.descriptor import Descriptor, Family
from azext_otelembed.image.json_document import Document, dump, load
from azext_otelembed.image.reference import Digest

__all__ = [
    "ACCEPT",
    "Descriptor",
    "Family",
    "Index",
    "Manifest",
    "parse_manifest",
    "platform_choices",
]

# What a client says it takes, in this order of preference.
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
# Registries and proxies that don't know a manifest's type send one of these.
_UNTYPED = ("", "application/json", "application/octet-stream", "text/plain")
_SIDE_KINDS = "vnd.docker.reference.type"


@dataclass(frozen=True, slots=True)
class Manifest:
    """One image's manifest. `data` are its exact bytes, `document` all its fields as read."""

    family: Family
    config: Descriptor
    layers: tuple[Descriptor, ...]
    document: Document
    data: bytes

    @classmethod
    def of(cls, family: Family, document: Document) -> Manifest:
        """A manifest made from its fields; written the same way every time. Raises InvalidImage."""
        return _manifest(family, document, dump(document))

    @classmethod
    def read(cls, family: Family, data: bytes) -> Manifest:
        """A manifest from its exact bytes, whose family is known. Raises InvalidImage."""
        return _manifest(family, load(data, "The image's manifest"), data)

    @property
    def media_type(self) -> str:
        """The media type under which it is put and served."""
        return self.family.manifest_type

    @property
    def digest(self) -> Digest:
        """sha256 of the exact bytes."""
        return Digest.of(self.data)

    @property
    def annotations(self) -> dict[str, str]:
        """The manifest's annotations; empty where it has none."""
        found = self.document.get("annotations")
        return dict(found) if isinstance(found, dict) else {}

    @property
    def is_image(self) -> bool:
        """Whether it describes a runnable image (and not, say, a chart or a signature)."""
        return self.config.media_type in {family.config_type for family in Family}

    def to_bytes(self) -> bytes:
        """The exact bytes."""
        return self.data


@dataclass(frozen=True, slots=True)
class Index:
    """A list of manifests, one for each platform. `data` are its exact bytes."""

    family: Family
    manifests: tuple[Descriptor, ...]
    document: Document
    data: bytes

    @property
    def media_type(self) -> str:
        """The media type under which it is served."""
        return self.family.index_type

    @property
    def digest(self) -> Digest:
        """sha256 of the exact bytes."""
        return Digest.of(self.data)

    def to_bytes(self) -> bytes:
        """The exact bytes."""
        return self.data


def parse_manifest(data: bytes, media_type: str | None) -> Manifest | Index:
    """Read a manifest or an index. `media_type` is what the registry said it is, if it did.

    Raises InvalidImage for schema 1, for unknown types, for a document whose own `mediaType`
    contradicts the registry's, and for one that could be read both ways (CVE-2021-41190).
    """
    document = load(data, "The image's manifest")
    kind = _kind(document, media_type)
    if "manifests" in document and ("layers" in document or "config" in document):
        raise InvalidImage("The image's manifest is an index and a manifest at once.")
    if kind in _MANIFESTS:
        return _manifest(_MANIFESTS[kind], document, data)
    if kind not in _INDEXES:
        raise InvalidImage(
            f"The image's manifest has a type that isn't known here: {kind or 'none given'}.",
            "Push the image in Docker schema 2 or OCI form.",
        )
    entries = _list(document, "manifests")
    manifests = tuple(
        Descriptor.parse(entry, f"Entry {number} of the image's index")
        for number, entry in enumerate(entries, 1)
    )
    return Index(_INDEXES[kind], manifests, document, data)


def platform_choices(index: Index) -> tuple[Descriptor, ...]:
    """The entries that may lead to the image for linux/amd64, the likeliest first; at least one.

    App Service's Linux plans run no other platform. Entries that describe other entries
    (attestations) are passed over; of several variants the plain one is taken. There are several
    entries only where none gives its platform and indexes are among them: the OCI spec lets an
    index list further indexes. Raises InvalidImage that lists the platforms offered.
    """
    images = [entry for entry in index.manifests if not _beside(entry)]
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


def _manifest(family: Family, document: Document, data: bytes) -> Manifest:
    config = Descriptor.parse(document.get("config"), "The config of the image's manifest")
    layers = tuple(
        Descriptor.parse(entry, f"Layer {number} of the image's manifest")
        for number, entry in enumerate(_list(document, "layers"), 1)
    )
    return Manifest(family, config, layers, document, data)


def _kind(document: Document, media_type: str | None) -> str:
    """The media type of the document, by what it and the registry say. Empty when unknown."""
    told = (media_type or "").partition(";")[0].strip().lower()
    own = document.get("mediaType")
    if told in _SCHEMA_1 or document.get("schemaVersion") == 1:
        raise InvalidImage(
            "The image is in Docker's schema 1 form, which no current registry or engine takes.",
            "Pull it, tag it and push it again with a current docker or podman.",
        )
    if document.get("schemaVersion") != 2:
        raise InvalidImage("The image's manifest has no schemaVersion 2.")
    if isinstance(own, str) and own:
        if told not in _UNTYPED and told != own:
            raise InvalidImage(
                f"The image's manifest says it is {own}, but the registry serves it as {told}."
            )
        return own
    if told not in _UNTYPED:
        return told
    if "manifests" in document:
        return Family.OCI.index_type
    config = document.get("config")
    if isinstance(config, dict):
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


def _beside(entry: Descriptor) -> bool:
    return _SIDE_KINDS in entry.annotations or _platform(entry) == "unknown/unknown"
