"""How an image is to be embedded, as the caller asks for it: the same for deploy and build."""

from __future__ import annotations

from dataclasses import dataclass

from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.reference import Reference
from azext_otelembed.registry.auth import Basic


@dataclass(frozen=True, slots=True)
class EmbedOptions:
    """The collector image, its configuration (YAML) and the launcher; checked already.

    `tag` replaces the tag that follows from the recipe. `unwrap` leaves out a collector that the
    base's own command starts. `shell_image` is the image that a shell is taken from, None where the
    base's own is used. `collector_login` signs in to the collector image's registry. `warnings`
    tell what is unusual in the configuration.
    """

    collector: Reference
    config: bytes
    launcher: Launcher
    tag: str | None = None
    unwrap: bool = False
    shell_image: Reference | None = None
    collector_login: Basic | None = None
    warnings: tuple[str, ...] = ()
