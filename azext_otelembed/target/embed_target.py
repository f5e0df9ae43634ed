"""The image to embed, and how; targets by the work left until the registry holds them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from azext_otelembed.errors import about
from azext_otelembed.image.embed import Base, Embedded
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.prepared_collector import PreparedCollector
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.registry.auth import Basic
from azext_otelembed.validation.otelcol_validate import Validation


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """The collector image, its configuration (YAML) and the launcher; checked already.

    `tag` replaces the tag that follows from the recipe. `unwrap` leaves out a collector that the
    base's own command starts. `shell_image` is the image that a shell is taken from, None where the
    base's own is used. `collector_login` signs in to the collector image's registry. `warnings`
    tell what is unusual in the configuration. `validation`: the collector itself validates it.
    """

    collector: Reference
    config: bytes
    launcher: Launcher
    tag: str | None = None
    unwrap: bool = False
    shell_image: Reference | None = None
    collector_login: Basic | None = None
    warnings: tuple[str, ...] = ()
    validation: Validation | None = None


@dataclass(frozen=True, slots=True)
class CollectorName:
    """A collector image. `version` and `digest` are None where they aren't known (yet)."""

    name: str | None
    version: str | None = None
    digest: str | None = None

    @classmethod
    def of(cls, prepared: PreparedCollector) -> CollectorName:
        """The name of a prepared collector."""
        name = str(replace(prepared.upstream, digest=None))
        return cls(name, prepared.version, str(prepared.digest))

    @classmethod
    def of_label(cls, label: str) -> CollectorName:
        """The name in an image's label, which may be empty. Raises InvalidImage."""
        if not label:
            return cls(None)
        with about("The label of the collector"):
            name = Reference.parse(label)
        digest = str(name.digest) if name.digest else None
        return cls(str(replace(name, digest=None)), name.tag, digest)

    def as_result(self) -> dict[str, Any]:
        """The collector in the result object."""
        return {"name": self.name, "version": self.version, "digest": self.digest}

    def __str__(self) -> str:
        return f"{self.name}@{self.digest}" if self.digest else str(self.name)


@dataclass(frozen=True, slots=True)
class Existing:
    """The registry holds the image. `recipe` is empty where its own Dockerfile put a collector in.

    `image` has no digest where it has a tag; `base` has none.
    """

    image: Reference
    digest: Digest
    base: Reference
    base_digest: Digest
    collector: CollectorName
    recipe: str = ""


@dataclass(frozen=True, slots=True)
class _OfBase:
    source: Base
    collector: CollectorName

    @property
    def base(self) -> Reference:
        """The base image."""
        return replace(self.source.reference, digest=None)

    @property
    def base_digest(self) -> Digest:
        """The digest of the base image."""
        return self.source.digest


@dataclass(frozen=True, slots=True)
class ToEmbed(_OfBase):
    """The image has to be embedded: `embedded` is what has to reach the registry."""

    embedded: Embedded

    @property
    def image(self) -> Reference:
        """The name that the image will have."""
        return replace(self.embedded.reference, digest=None)

    @property
    def digest(self) -> Digest:
        """The digest that the image will have."""
        return self.embedded.digest

    @property
    def existing(self) -> Existing:
        """The same target once the image has been pushed."""
        recipe = str(self.embedded.recipe.digest)
        return Existing(
            self.image, self.digest, self.base, self.base_digest, self.collector, recipe
        )


@dataclass(frozen=True, slots=True)
class ToPrepare(_OfBase):
    """The collector has to be prepared first; only then the image has a name and a digest.

    `unwrap` leaves out a collector that the base's own command starts.
    """

    unwrap: bool
    image: None = None
    digest: None = None


@dataclass(frozen=True, slots=True)
class ToBuild:
    """The app image itself has to be built from source first: in a dry run."""

    base: Reference
    collector: CollectorName
    base_digest: None = None
    image: None = None
    digest: None = None


Found = Existing | ToEmbed | ToPrepare
Target = Found | ToBuild


def by_tag(reference: Reference) -> Reference:
    """The reference without its digest where it has a tag: App Service pulls by tag."""
    return replace(reference, digest=None) if reference.tag else reference
