"""A site that runs an image of launcher 1 or 2, from an earlier version of the extension."""

from __future__ import annotations

import io

import pytest

from azext_otelembed.console import Console
from azext_otelembed.embedding.base_images import load_base
from azext_otelembed.embedding.push import push_embedded
from azext_otelembed.image.embed import embed
from azext_otelembed.image.launcher import START_LINE, Launcher
from azext_otelembed.image.reference import Reference
from azext_otelembed.release.build import build
from azext_otelembed.release.status import status
from azext_otelembed.target.prepared_images import find_prepared_images
from tests.e2e.support import Site
from tests.earlier_launchers.images import EARLIER, by_earlier_launcher
from tests.release.support import Hand, MakeSite, id_of, request_of

OPTIONS = request_of().embed
DIFFERS = (
    "the recipe differs: a deploy would embed collector 0.150.0 with this version's "
    "configuration and launcher"
)


def push_older(hand: Hand, site: Site, version: int) -> str:
    """Push the embedded image that an earlier launcher would have, and return its name."""
    with hand.session.open_registry(site.host) as client:
        base = load_base(client, Reference.parse(site.image()))
        prepared = find_prepared_images(client, OPTIONS)
        assert prepared is not None
        embedded = embed(base, prepared.collector, OPTIONS.config, Launcher())
        older = by_earlier_launcher(embedded, version)
        push_embedded(client, older)
    return f"{site.host}/{site.repository}:{older.reference.tag}"


@pytest.mark.parametrize("version", EARLIER)
def test_an_image_of_an_earlier_launcher_is_reported_upgraded_returned_to_and_undone(
    make_site: MakeSite, hand: Hand, version: int
) -> None:
    site = make_site()
    console = Console(quiet=True, stream=io.StringIO())
    built = build(hand.session, site.image(), None, OPTIONS, None, console)
    older = push_older(hand, site, version)
    site.configure(linuxFxVersion=f"DOCKER|{older}")
    site.answers()

    shown = status(
        hand.session,
        id_of(site),
        options=OPTIONS,
        app_insights=None,
        health_path="/",
        console=console,
    )
    assert (shown["embedded"], shown["launcher"]) == (True, f"exec/{version}")
    assert shown["base"]["name"] == site.image()
    assert shown["updates"] == [DIFFERS]

    upgraded = hand.deploy(site)
    assert upgraded.exit_status == 0, upgraded
    assert upgraded.result["changed"] is True
    assert upgraded.result["image"] == built["image"]
    assert upgraded.result["base"]["name"] == site.image()
    assert site.runs == built["image"]["name"]
    recipes = {match[1] for match in START_LINE.finditer(site.log())}
    # Launcher 1 wrote no such line.
    started = (older, site.runs) if version == 2 else (site.runs,)
    assert recipes == {image.rpartition("-")[2] for image in started}

    back = hand.rollback(site)
    assert (back.exit_status, site.runs) == (0, older), back
    removed = hand.remove(site)
    assert (removed.exit_status, site.runs) == (0, site.image()), removed
