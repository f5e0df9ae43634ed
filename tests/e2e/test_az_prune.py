"""Embedded images that nothing needs: seen, and deleted from a real registry."""

from __future__ import annotations

import io
from datetime import datetime, timedelta, timezone

import pytest

from azext_otelembed.console import Console
from azext_otelembed.release.prune import Pruner, find_registry
from tests.e2e import inprocess
from tests.e2e.support import IMAGES, Cloud, Site

LATER = timedelta(hours=2)


@pytest.fixture(scope="module")
def site(cloud: Cloud) -> Site:
    """A site that has had two embedded images, in a registry of its own."""
    site = cloud.make_site(registry=cloud.add_registry())
    caller = inprocess.session(cloud)
    for tag in ("first", "second"):
        ended = inprocess.deploy(caller, site, image=site.image(), tag=tag)
        assert ended.exit_status == 0, ended.show()
    return site


def tags(site: Site) -> set[str]:
    """What its repository holds, as az tells."""
    listing = ("acr", "repository", "show-tags", "-n", site.registry)
    return set(site.cloud.run(*listing, "--repository", site.repository).json)


def test_without_delete_it_lists_and_changes_nothing(site: Site) -> None:
    answer = site.cloud.otelembed("prune", "--registry", site.registry, "--keep", "1")
    assert answer.returncode == 0, answer.show()
    (image,) = answer.json
    assert image["tags"] == ["first", "second"], "one recipe, so one image under both tags"
    assert image["keptBecause"] == f"'{site.name}' runs it"
    assert answer.writes == []


def test_what_is_young_stays_though_delete_is_asked_for(site: Site) -> None:
    orphan = f"1.0-otelembed-{'0' * 12}"
    site.push(orphan)
    options = ("--registry", site.registry, "--delete", "--yes")
    answer = site.cloud.otelembed("prune", *options)
    assert answer.returncode == 0, answer.show()
    (kept,) = [one for one in answer.json if orphan in one["tags"]]
    assert kept["keptBecause"]
    assert orphan in tags(site)


def test_an_orphan_is_deleted_once_it_is_old_and_what_runs_is_not(site: Site) -> None:
    orphan = f"2.0-otelembed-{'1' * 12}"
    site.cloud.push("other/app", orphan, IMAGES / "app", "1.0", site.registry)
    caller = inprocess.session(site.cloud)
    pruner = Pruner(caller, find_registry(caller, site.registry))
    console = Console(stream=io.StringIO())
    judged = pruner.look(None, 1, console, now=datetime.now(timezone.utc) + LATER)
    unneeded = [one for one in judged if not one.kept_because]
    assert orphan in {tag for one in unneeded for tag in one.stored.tags}
    assert not [one for one in unneeded if "second" in one.stored.tags]
    pruner.delete(unneeded, console)
    pruner.delete(unneeded, console)  # gone already: no error
    left = pruner.look(None, 1, console)
    assert {one.stored.repository for one in left} == {site.repository}
    assert "second" in tags(site)
    site.answers()
