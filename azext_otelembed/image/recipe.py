"""The recipe: everything an embedded image is made of, and the tag that follows from it."""

from __future__ import annotations

from dataclasses import dataclass

from azext_otelembed.image.json_document import dump
from azext_otelembed.image.reference import Digest

# Raised whenever the same ingredients would give other bytes. Part of every recipe's digest, and
# not the version of the extension: an upgrade that embeds in the same way changes no image.
FORMAT = "1"

_MAX_TAG = 128


@dataclass(frozen=True, slots=True)
class Recipe:
    """Digests of the base's manifest, the prepared collector's manifest and the configuration.

    `launcher` is the launcher's identity, e.g. `exec/1`; `shell` the digest of the prepared shell's
    manifest, where one is brought.

    With the base's name the recipe determines every byte of the embedded image. The name is written
    down beside it (`org.opencontainers.image.base.name`: who has the image finds the tag it came
    from) but is no ingredient: a base that gets a second tag is no other image, and no update.
    """

    base: Digest
    collector: Digest
    config: Digest
    launcher: str
    shell: Digest | None = None

    @property
    def digest(self) -> Digest:
        """Names the embedded image; the same everywhere."""
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


def tag(base_tag: str | None, recipe: Recipe) -> str:
    """`<base tag>-otelembed-<12 hex>`, at most 128 characters (a long base tag is cut).

    A base that is known by digest only counts as tagged `sha-<12 hex of its digest>`.
    """
    suffix = f"-otelembed-{recipe.digest.short}"
    stem = base_tag or f"sha-{recipe.base.short}"
    return stem[: _MAX_TAG - len(suffix)] + suffix
