"""Descriptors (media type, size, digest) and the two families of media types, docker and OCI."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image.reference import Digest

_DOCKER = "application/vnd.docker."
_OCI = "application/vnd.oci.image."
_DOCKER_LAYER = f"{_DOCKER}image.rootfs.diff.tar"
_OCI_LAYER = f"{_OCI}layer.v1.tar"


class Family(Enum):
    """Docker's schema 2, or OCI. An image keeps to the types of one."""

    DOCKER = "docker"
    OCI = "oci"

    @property
    def manifest_type(self) -> str:
        """Media type of an image's manifest."""
        if self is Family.DOCKER:
            return f"{_DOCKER}distribution.manifest.v2+json"
        return f"{_OCI}manifest.v1+json"

    @property
    def index_type(self) -> str:
        """Media type of a list of manifests, one for each platform."""
        if self is Family.DOCKER:
            return f"{_DOCKER}distribution.manifest.list.v2+json"
        return f"{_OCI}index.v1+json"

    @property
    def config_type(self) -> str:
        """Media type of an image's configuration."""
        if self is Family.DOCKER:
            return f"{_DOCKER}container.image.v1+json"
        return f"{_OCI}config.v1+json"

    def layer_type(self, compression: str) -> str:
        """Media type of a layer; `compression` is "none", "gzip" or "zstd".

        Raises InvalidImage for zstd in docker's family, which has no such type.
        """
        if self is Family.OCI:
            return _OCI_LAYER if compression == "none" else f"{_OCI_LAYER}+{compression}"
        if compression == "zstd":
            raise InvalidImage(
                "A Docker schema 2 image can't hold a zstd layer.",
                "Choose a collector image with gzip layers, or build the app image in OCI form.",
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
    """Points at content: its media type, size in bytes and digest. `extra` holds further fields."""

    media_type: str
    size: int
    digest: Digest
    extra: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, document: object, what: str) -> Descriptor:
        """Read a descriptor. `what` names it in errors. Raises InvalidImage."""
        if not isinstance(document, dict):
            raise InvalidImage(f"{what} is not a descriptor (an object).")
        media_type = document.get("mediaType")
        size = document.get("size")
        digest = document.get("digest")
        if not isinstance(media_type, str) or not isinstance(digest, str):
            raise InvalidImage(f"{what} lacks its mediaType or digest.")
        if not isinstance(size, int) or isinstance(size, bool) or size < 0:
            raise InvalidImage(f"{what} has no valid size.")
        known = ("mediaType", "size", "digest")
        extra = {key: value for key, value in document.items() if key not in known}
        return cls(media_type, size, Digest.parse(digest), extra)

    @property
    def compression(self) -> str | None:
        """ "none", "gzip" or "zstd" for a layer's descriptor; None for anything else."""
        return _COMPRESSION.get(self.media_type)

    @property
    def annotations(self) -> dict[str, str]:
        """The descriptor's annotations; empty where it has none."""
        found = self.extra.get("annotations")
        return dict(found) if isinstance(found, dict) else {}

    def retype(self, family: Family) -> Descriptor:
        """The same layer under the media type that `family` has for it.

        Raises InvalidImage when this is no layer, or one the family has no type for. skopeo refuses
        an OCI layer in a schema 2 manifest, umoci a Docker layer in an OCI one.
        """
        if self.compression is None:
            raise InvalidImage(f"{self.digest} is not a layer: its type is {self.media_type}.")
        return replace(self, media_type=family.layer_type(self.compression))

    def to_document(self) -> dict[str, Any]:
        """The descriptor as JSON has it."""
        return {
            "mediaType": self.media_type,
            "size": self.size,
            "digest": str(self.digest),
            **self.extra,
        }
