"""The recipe: the digests of an embedded image's ingredients, and the tag made of them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from azext_otelembed.image.json_document import dump
from azext_otelembed.image.reference import Digest

# Increased when the same ingredients would give other bytes. Part of every recipe's digest. It is
# not the version of the extension: an upgrade that embeds in the same way changes no image.
FORMAT = "1"

_MAX_TAG = 128
_RECIPE_TAG = re.compile(r"-otelembed-[0-9a-f]{12}$")


@dataclass(frozen=True, slots=True)
class Recipe:
    """Digests of the base's manifest, the prepared collector's manifest and the configuration.

    `launcher` is the launcher's identity, e.g. `exec/3`; `shell` the digest of the prepared shell's
    manifest, if one is embedded.

    Together with the base's name, the recipe determines every byte of the embedded image. The name
    is recorded in a label (`org.opencontainers.image.base.name`) but is not an ingredient: a second
    tag for the same base is not another image, and not an update.
    """

    base: Digest
    collector: Digest
    config: Digest
    launcher: str
    shell: Digest | None = None

    @property
    def digest(self) -> Digest:
        """Identifies the embedded image; the same on every machine."""
        return Digest.of(
            dump(
                {
                    "base": str(self.base),
                    "collector": str(self.collector),
                    "config": str(self.config),
                    "format": FORMAT,
                    "launcher": self.launcher,
                    **({"shell": str(self.shell)} if self.shell else {}),
                }
            )
        )


def recipe_tag(base_tag: str | None, recipe: Recipe) -> str:
    """`<base tag>-otelembed-<12 hex>`, at most 128 characters (a long base tag is cut).

    Without a base tag, `sha-<12 hex of the base's digest>` takes its place.
    """
    suffix = f"-otelembed-{recipe.digest.short}"
    stem = base_tag or f"sha-{recipe.base.short}"
    return stem[: _MAX_TAG - len(suffix)] + suffix


def is_recipe_tag(name: str) -> bool:
    """Whether a tag, or a name that ends with its tag, was made by `recipe_tag`."""
    return _RECIPE_TAG.search(name) is not None
