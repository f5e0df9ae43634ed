"""Images of earlier launchers: recognised, upgraded, and restored to their base."""

from __future__ import annotations

import pytest

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import labels as names
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.embed import Base, Embedded, embed, original
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.prepared_shell import PreparedShell
from azext_otelembed.image.provenance import read_provenance, restore_base
from tests.earlier_launchers.images import EARLIER, by_earlier_launcher
from tests.unit.image.image_support import CONFIG, as_base, base, collector, shell

COLLECTOR = collector()
DIGESTS = {
    "64d8ec6f38c383b20320755ce32b076745b97a5153b8c88b5c50fa90700d7ebf": (
        1,
        "exec",
        Family.DOCKER,
        False,
    ),
    "8c1fd86723602dbf4174ab360c6f857784625359f6512505d8cf975556cb3479": (
        1,
        "exec",
        Family.DOCKER,
        True,
    ),
    "d1c952515619ce53803b9ee49b5f3dd6c46940e9912ed23914cf6025c2ce14e9": (
        1,
        "exec",
        Family.OCI,
        False,
    ),
    "fae945904598d449325f03e434a22507d528c72b56ec7f8bced3d40dd7c98fe9": (
        1,
        "exec",
        Family.OCI,
        True,
    ),
    "3ede20d13a482ce111d027430f1ef8157bec637dc91263ac8f0d842390d6f400": (
        1,
        "drain",
        Family.DOCKER,
        False,
    ),
    "60056dc5e6babce345cfbfd36ce90d72f1a894d81e4f1b05ca84f76bfd52cbb5": (
        1,
        "drain",
        Family.DOCKER,
        True,
    ),
    "cfd6f50246428170e5764032b67853796c857d16afed22dda6e6c588317bb03c": (
        1,
        "drain",
        Family.OCI,
        False,
    ),
    "1f1a9187e21b557e38ccd67ea1f0b75f08977baf6e7c2a59d625d01b15ef0af3": (
        1,
        "drain",
        Family.OCI,
        True,
    ),
    "57afd21f0df5f2fa7d2ae0b26717c72e0b0987b7128d7c914ff24012fd7db25a": (
        2,
        "exec",
        Family.DOCKER,
        False,
    ),
    "51ac154c134babfc9c980286a7cf8f887f36ab028f4312c2fed57c3c0a01131d": (
        2,
        "exec",
        Family.DOCKER,
        True,
    ),
    "4a3790cf791734594f71a7bbab259fda157b73b8522d8b415bcd3a06655af8a1": (
        2,
        "exec",
        Family.OCI,
        False,
    ),
    "0312e88a2fb7c814f0071a0e2ad5d03be9324f637b3e1f07b98f9e50d6905a5b": (
        2,
        "exec",
        Family.OCI,
        True,
    ),
    "113caadbc93ed86cb743ddc085c2e1b5cd3578e46c1c5e289c97d7c51fde7bac": (
        2,
        "drain",
        Family.DOCKER,
        False,
    ),
    "627abe8b0559627e6bea11f7c8e164abddf05a4da243e713bc39873560c7a68e": (
        2,
        "drain",
        Family.DOCKER,
        True,
    ),
    "9b0cb5e958ffe5592c05d585d514595face7178919fb844e1e331875e04c3191": (
        2,
        "drain",
        Family.OCI,
        False,
    ),
    "9fdc0a421e1a2ed9e6a2221239b4c53590c3ee932c707eac23304437f9d51e25": (
        2,
        "drain",
        Family.OCI,
        True,
    ),
}
"""Digests that the versions of launchers 1 and 2 gave.

With the launcher's version and kind, the family, and whether with a shell.
"""

each_image = pytest.mark.parametrize(
    ("version", "kind", "family", "with_shell"), list(DIGESTS.values())
)


def older(image: Base, version: int, kind: str, brought: PreparedShell | None = None) -> Embedded:
    embedded = embed(image, COLLECTOR, CONFIG, Launcher(kind), shell=brought)
    return by_earlier_launcher(embedded, version)


@pytest.mark.parametrize("digest", list(DIGESTS))
def test_the_images_here_are_those_that_the_earlier_launcher_made(digest: str) -> None:
    version, kind, family, with_shell = DIGESTS[digest]
    made = older(base(family), version, kind, shell() if with_shell else None)
    assert made.digest.hex == digest


@each_image
def test_an_image_of_an_earlier_launcher_is_recognised_and_its_base_restored_byte_for_byte(
    version: int, kind: str, family: Family, with_shell: bool
) -> None:
    image = base(family, Entrypoint=["/entry.sh"], Cmd=["serve"])
    made = older(image, version, kind, shell() if with_shell else None)
    found = read_provenance(made.config)
    assert found is not None
    assert (found.launcher, found.derived) == (f"{kind}/{version}", False)
    assert found.recipe == made.recipe.digest
    pushed = as_base(made)
    assert restore_base(pushed.manifest, pushed.config) == (image.manifest, image.config)
    assert original(pushed).digest == image.digest


@each_image
def test_embedding_in_an_image_of_an_earlier_launcher_is_an_upgrade_from_its_recorded_base(
    version: int, kind: str, family: Family, with_shell: bool
) -> None:
    image = base(family)
    made = older(image, version, kind, shell() if with_shell else None)
    for launcher in (Launcher(), Launcher("drain", grace=3)):
        upgraded = embed(as_base(made), COLLECTOR, CONFIG, launcher)
        assert upgraded == embed(image, COLLECTOR, CONFIG, launcher)
        assert upgraded.reference.tag != made.reference.tag
        assert upgraded.config.labels[names.LAUNCHER] == launcher.identity


@pytest.mark.parametrize("version", EARLIER)
def test_a_collector_that_was_removed_from_the_command_is_restored_and_removed_again(
    version: int,
) -> None:
    command = ["sh", "-c", "otelcol --config=/x & exec /shop"]
    image = base(Cmd=command)
    unwrapped = embed(image, COLLECTOR, CONFIG, Launcher(), unwrap=True)
    pushed = as_base(by_earlier_launcher(unwrapped, version))
    assert pushed.config.cmd == ("/shop",)
    assert restore_base(pushed.manifest, pushed.config) == (image.manifest, image.config)
    assert embed(pushed, COLLECTOR, CONFIG, Launcher(), unwrap=True) == unwrapped
    with pytest.raises(InvalidImage, match="already starts a collector"):
        embed(pushed, COLLECTOR, CONFIG, Launcher())


def test_each_launcher_gives_the_recipe_another_digest() -> None:
    # So no image of an earlier launcher is taken for a new one.
    new = embed(base(), COLLECTOR, CONFIG, Launcher())
    recipes = [new.recipe, *(by_earlier_launcher(new, version).recipe for version in EARLIER)]
    assert len({recipe.digest for recipe in recipes}) == 3
