"""Descriptors (media type, size, digest) and the two families of media types, Docker and OCI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.json_document import object_at
from azext_otelembed.image.reference import Digest

_DOCKER = "application/vnd.docker."
_OCI = "application/vnd.oci.image."
_DOCKER_LAYER = f"{_DOCKER}image.rootfs.diff.tar"
_OCI_LAYER = f"{_OCI}layer.v1.tar"


class Family(Enum):
    """Docker's schema 2, or OCI. An image uses the media types of one family.

    The types are those of a manifest, of an index (a list of manifests, one for each platform), and
    of a configuration.
    """

    DOCKER = (
        f"{_DOCKER}distribution.manifest.v2+json",
        f"{_DOCKER}distribution.manifest.list.v2+json",
        f"{_DOCKER}container.image.v1+json",
    )
    OCI = (f"{_OCI}manifest.v1+json", f"{_OCI}index.v1+json", f"{_OCI}config.v1+json")

    def __init__(self, manifest_type: str, index_type: str, config_type: str) -> None:
        self.manifest_type = manifest_type
        self.index_type = index_type
        self.config_type = config_type

    def layer_type(self, compression: str) -> str:
        """Media type of a layer; `compression` is "none", "gzip" or "zstd".

        Raises InvalidImage for zstd in Docker's family, which has no such type.
        """
        if self is Family.OCI:
            return _OCI_LAYER if compression == "none" else f"{_OCI_LAYER}+{compression}"
        if compression == "zstd":
            raise InvalidImage(
                "A Docker schema 2 image can't have a zstd layer.",
                "Use a collector image with gzip layers, or build the app image in OCI format.",
            )
        return _DOCKER_LAYER if compression == "none" else f"{_DOCKER_LAYER}.{compression}"


_COMPRESSION = {
    _DOCKER_LAYER: "none",
    f"{_DOCKER_LAYER}.gzip": "gzip",
    f"{_DOCKER_LAYER}.zstd": "zstd",
    _OCI_LAYER: "none",
    f"{_OCI_LAYER}+gzip": "gzip",
    f"{_OCI_LAYER}+zstd": "zstd",
}


@dataclass(frozen=True, slots=True)
class Descriptor:
    """Refers to a blob: media type, size in bytes, digest. `extra` has the other fields."""

    media_type: str
    size: int
    digest: Digest
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, document: object, what: str) -> Descriptor:
        """Read a descriptor. `what` names it in errors. Raises InvalidImage."""
        if not isinstance(document, dict):
            raise InvalidImage(f"{what} is not a descriptor (an object).")
        known = ("mediaType", "size", "digest")
        media_type, size, digest = (document.get(key) for key in known)
        if not isinstance(media_type, str) or not isinstance(digest, str):
            raise InvalidImage(f"{what} lacks its mediaType or digest.")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise InvalidImage(f"{what} has no valid size.")
        extra = {key: value for key, value in document.items() if key not in known}
        return cls(media_type, size, Digest.parse(digest), extra)

    @property
    def compression(self) -> str | None:
        """ "none", "gzip" or "zstd" for a layer's descriptor; None for anything else."""
        return _COMPRESSION.get(self.media_type)

    @property
    def annotations(self) -> dict[str, str]:
        """The descriptor's annotations; empty if it has none."""
        return object_at(self.extra, "annotations")

    def retype(self, family: Family) -> Descriptor:
        """The same layer with the media type of `family`.

        Raises InvalidImage if this isn't a layer, or the family has no type for it. skopeo refuses
        an OCI layer in a schema 2 manifest, umoci a Docker layer in an OCI manifest.
        """
        if self.compression is None:
            raise InvalidImage(f"{self.digest} is not a layer: its type is {self.media_type}.")
        return replace(self, media_type=family.layer_type(self.compression))

    def to_document(self) -> dict[str, Any]:
        """The descriptor as a JSON object."""
        return {
            "mediaType": self.media_type,
            "size": self.size,
            "digest": str(self.digest),
            **self.extra,
        }
