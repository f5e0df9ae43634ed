"""Images that were embedded with launcher 1: recognised, upgraded, and restored to their base."""

from __future__ import annotations

import pytest

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import labels as names
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.embed import Base, Embedded, embed, original
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.prepared_shell import PreparedShell
from azext_otelembed.image.provenance import read_provenance, restore_base
from tests.launcher_1.images import by_launcher_1
from tests.unit.image.image_support import CONFIG, as_base, base, collector, shell

COLLECTOR = collector()
DIGESTS = {
    "64d8ec6f38c383b20320755ce32b076745b97a5153b8c88b5c50fa90700d7ebf": (
        "exec",
        Family.DOCKER,
        False,
    ),
    "8c1fd86723602dbf4174ab360c6f857784625359f6512505d8cf975556cb3479": (
        "exec",
        Family.DOCKER,
        True,
    ),
    "d1c952515619ce53803b9ee49b5f3dd6c46940e9912ed23914cf6025c2ce14e9": ("exec", Family.OCI, False),
    "fae945904598d449325f03e434a22507d528c72b56ec7f8bced3d40dd7c98fe9": ("exec", Family.OCI, True),
    "3ede20d13a482ce111d027430f1ef8157bec637dc91263ac8f0d842390d6f400": (
        "drain",
        Family.DOCKER,
        False,
    ),
    "60056dc5e6babce345cfbfd36ce90d72f1a894d81e4f1b05ca84f76bfd52cbb5": (
        "drain",
        Family.DOCKER,
        True,
    ),
    "cfd6f50246428170e5764032b67853796c857d16afed22dda6e6c588317bb03c": (
        "drain",
        Family.OCI,
        False,
    ),
    "1f1a9187e21b557e38ccd67ea1f0b75f08977baf6e7c2a59d625d01b15ef0af3": ("drain", Family.OCI, True),
}
"""Digests that the version of launcher 1 gave: with kind, family, and whether with a shell."""

each_image = pytest.mark.parametrize(("kind", "family", "with_shell"), list(DIGESTS.values()))


def older(image: Base, kind: str, brought: PreparedShell | None = None) -> Embedded:
    return by_launcher_1(embed(image, COLLECTOR, CONFIG, Launcher(kind), shell=brought))


@pytest.mark.parametrize("digest", list(DIGESTS))
def test_the_images_here_are_those_that_launcher_1_made(digest: str) -> None:
    kind, family, with_shell = DIGESTS[digest]
    made = older(base(family), kind, shell() if with_shell else None)
    assert made.digest.hex == digest


@each_image
def test_an_image_of_launcher_1_is_recognised_and_its_base_restored_byte_for_byte(
    kind: str, family: Family, with_shell: bool
) -> None:
    image = base(family, Entrypoint=["/entry.sh"], Cmd=["serve"])
    made = older(image, kind, shell() if with_shell else None)
    found = read_provenance(made.config)
    assert found is not None
    assert (found.launcher, found.derived) == (f"{kind}/1", False)
    assert found.recipe == made.recipe.digest
    pushed = as_base(made)
    assert restore_base(pushed.manifest, pushed.config) == (image.manifest, image.config)
    assert original(pushed).digest == image.digest


@each_image
def test_embedding_in_an_image_of_launcher_1_is_an_upgrade_from_its_recorded_base(
    kind: str, family: Family, with_shell: bool
) -> None:
    image = base(family)
    made = older(image, kind, shell() if with_shell else None)
    for launcher in (Launcher(), Launcher("drain", grace=3)):
        upgraded = embed(as_base(made), COLLECTOR, CONFIG, launcher)
        assert upgraded == embed(image, COLLECTOR, CONFIG, launcher)
        assert upgraded.reference.tag != made.reference.tag
        assert upgraded.config.labels[names.LAUNCHER] == launcher.identity


def test_a_collector_that_was_removed_from_the_command_is_restored_and_removed_again() -> None:
    command = ["sh", "-c", "otelcol --config=/x & exec /shop"]
    image = base(Cmd=command)
    unwrapped = embed(image, COLLECTOR, CONFIG, Launcher(), unwrap=True)
    pushed = as_base(by_launcher_1(unwrapped))
    assert pushed.config.cmd == ("/shop",)
    assert restore_base(pushed.manifest, pushed.config) == (image.manifest, image.config)
    assert embed(pushed, COLLECTOR, CONFIG, Launcher(), unwrap=True) == unwrapped
    with pytest.raises(InvalidImage, match="already starts a collector"):
        embed(pushed, COLLECTOR, CONFIG, Launcher())


def test_a_recipe_with_launcher_1_has_another_digest_so_no_older_image_is_taken_for_a_new_one() -> (
    None
):
    new = embed(base(), COLLECTOR, CONFIG, Launcher())
    assert by_launcher_1(new).recipe.digest != new.recipe.digest
