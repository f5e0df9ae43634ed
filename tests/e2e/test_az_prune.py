"""Embedded images that nothing needs: seen, asked about, and deleted from a real registry."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localazure.az import Az
from tests.e2e import images, inprocess
from tests.e2e.support import EXTENSIONS, Answer, Cloud, Screen, Site
from tests.release.support import QUICK
from tests.warm import WarmAz

LONG_AGO = "2026-01-05T08:00:00.0000000Z"
CALLER = "9e0e0000-0000-4000-8000-000000000006"
FORBIDDEN = {"error": {"code": "AuthorizationFailed", "message": "You may not."}}
ORPHANS = "other/app"
FAR = "far-group"
RECORD = {"method": "PUT", "path": "^/v2/otelembed/releases/manifests/", "hold": True}


@dataclass
class Shelf:
    """A registry of its own, and a caller who sees one group and a second subscription."""

    cloud: Cloud
    site: Site
    """What runs in it: it has had two embedded images, under two tags."""
    far: str
    """The id of the second subscription."""
    az: Az
    directory: Path
    numbers: int = 0

    @property
    def arguments(self) -> tuple[str, ...]:
        """What to prune, and how much to keep."""
        return "otelembed", "prune", "--registry", self.site.registry, "--keep", "1"

    def prune(self, *arguments: str) -> Answer:
        """`az otelembed prune`."""
        return self.cloud.run(*self.arguments, *arguments, az=self.az)

    def asked(self, reply: Callable[[], str]) -> Screen:
        """The same on a terminal, to delete after asking."""
        return self.cloud.on_terminal(*self.arguments, "--delete", az=self.az, reply=reply)

    def orphan(self, *, age: bool = True) -> tuple[str, str]:
        """Tag and digest of an image that is embedded by its tag, like no other one and old."""
        self.numbers += 1
        tag = f"1.0-otelembed-{self.numbers:012x}"
        layout = images.shell(self.directory / tag, f"exit {self.numbers}", tag)
        digest = self.cloud.push(ORPHANS, tag, layout, registry=self.site.registry)
        if age:
            self.age(tag)
        return tag, digest

    def age(self, tag: str, repository: str = ORPHANS) -> None:
        """Lets an image have been pushed long ago."""
        self.cloud.local.backdate(self.site.registry, repository, tag, LONG_AGO)

    def tags(self, repository: str = ORPHANS) -> set[str]:
        """What a repository holds, as az tells; nothing where it is gone."""
        listing = ("acr", "repository", "show-tags", "-n", self.site.registry)
        answer = self.cloud.run(*listing, "--repository", repository)
        return set(answer.json) if answer.returncode == 0 else set()


@pytest.fixture(scope="module")
def shelf(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    """The registry, with one site that runs from it."""
    site = cloud.make_site(registry=cloud.add_registry())
    deployer = inprocess.session(cloud)
    for tag in ("first", "second"):
        ended = inprocess.deploy(deployer, site, image=site.image(), tag=tag, pace=QUICK)
        assert ended.exit_status == 0, ended.show()
    far = cloud.local.add_subscription("far", [FAR])
    group = f"/subscriptions/{cloud.local.subscription}/resourceGroups/{site.group}"
    scopes = (group, cloud.registry_id(site.registry), f"/subscriptions/{far}")
    roles = [{"role": "Contributor", "scope": scope} for scope in scopes]
    cloud.local.add_principal(CALLER, "not-a-secret", roles)
    directory = tmp_path_factory.mktemp("orphans")
    with WarmAz(cloud.local, cloud.directory / "az-prune", EXTENSIONS) as az:
        az.login(CALLER, "not-a-secret")
        yield Shelf(cloud, site, far, az, directory)


def by_tag(listed: list[dict[str, Any]]) -> dict[str, str | None]:
    """Why each is kept, by its first tag."""
    return {one["tags"][0]: one["keptBecause"] for one in listed}


def test_without_delete_it_lists_and_changes_nothing(shelf: Shelf) -> None:
    answer = shelf.prune()
    assert answer.returncode == 0, answer.show()
    (image,) = answer.json
    assert image["tags"] == ["first", "second"], "one recipe, so one image under both tags"
    assert image["keptBecause"] == f"'{shelf.site.name}' runs it"
    assert answer.writes == []


def test_what_is_young_stays_though_delete_is_asked_for(shelf: Shelf) -> None:
    orphan, _ = shelf.orphan(age=False)
    answer = shelf.prune("--delete", "--yes")
    assert answer.returncode == 0, answer.show()
    assert by_tag(answer.json)[orphan] == "it is younger than an hour"
    assert answer.writes == []
    assert orphan in shelf.tags()


def test_yes_deletes_what_is_old_and_nothing_else(shelf: Shelf) -> None:
    orphan, digest = shelf.orphan()
    base = images.shell(shelf.directory / "base", "exit 0")
    shelf.cloud.push(ORPHANS, "1.0", base, registry=shelf.site.registry)
    shelf.age("1.0")
    answer = shelf.prune("--delete", "--yes")
    assert answer.returncode == 0, answer.show()
    (gone,) = answer.json
    assert (gone["tags"], gone["digest"], gone["deleted"]) == ([orphan], digest, True)
    # The SDK asks without a token first.
    assert set(answer.writes) == {f"DELETE /v2/{ORPHANS}/manifests/{digest}"}
    assert "1.0" in shelf.tags()
    assert orphan not in shelf.tags()
    assert {"1.0", "first", "second"} <= shelf.tags(shelf.site.repository)
    shelf.site.answers()


def test_without_a_terminal_to_ask_on_it_names_yes_and_deletes_nothing(shelf: Shelf) -> None:
    orphan, _ = shelf.orphan()
    answer = shelf.prune("--delete")
    assert answer.returncode == 1, answer.show()
    assert "--yes" in answer.stderr
    assert "standard input is not a terminal" in answer.stderr
    assert answer.writes == []
    assert orphan in shelf.tags()


def test_no_deletes_nothing(shelf: Shelf) -> None:
    orphan, _ = shelf.orphan()
    screen = shelf.asked(lambda: "n")
    assert screen.returncode == 0, screen.text
    assert "embedded images from registry" in screen.text
    assert "nothing was changed" in screen.text
    assert orphan in shelf.tags()


@pytest.mark.thorough
def test_a_deploy_that_was_killed_before_its_record_leaves_nothing_that_is_not_seen(
    shelf: Shelf,
) -> None:
    cloud = shelf.cloud
    site = cloud.make_site(
        registry=shelf.site.registry, group=shelf.site.group, component=False, wait=False
    )
    before = cloud.mark()
    with cloud.fault(**RECORD, host=site.host):
        process = cloud.az.popen("otelembed", "deploy", *site.arguments)
        cloud.until_held(process, before)
        process.kill()
        process.communicate()
    (left,) = shelf.tags(site.repository) - {"1.0"}
    assert by_tag(shelf.prune().json)[left] == "it is younger than an hour"
    shelf.age(left, site.repository)
    assert by_tag(shelf.prune().json)[left] is None

    # The question is open for a while. What a deploy takes up meanwhile stays.
    orphan, _ = shelf.orphan()

    def reply() -> str:
        ended = inprocess.deploy(inprocess.session(cloud), site, pace=QUICK)
        assert ended.exit_status == 0, ended.show()
        assert site.runs == site.image(left)
        return "y"

    screen = shelf.asked(reply)
    assert screen.returncode == 0, screen.text
    assert orphan not in shelf.tags()
    assert left in shelf.tags(site.repository)
    site.answers()


def test_what_a_site_of_another_subscription_runs_by_digest_is_kept(shelf: Shelf) -> None:
    (pinned, digest), (orphan, _) = shelf.orphan(), shelf.orphan()
    runs = f"{shelf.site.host}/{ORPHANS}@{digest}"
    shelf.cloud.local.add_site(
        {"name": "far-shop", "group": FAR, "image": runs, "state": "Stopped"}
    )
    answer = shelf.prune("--delete", "--yes")
    assert answer.returncode == 0, answer.show()
    assert orphan not in shelf.tags()
    assert pinned in shelf.tags()
    assert by_tag(shelf.prune().json)[pinned] == "'far-shop' runs it"


@pytest.mark.thorough
def test_a_list_that_azure_leaves_out_stops_it_before_anything_is_deleted(shelf: Shelf) -> None:
    """An empty body, `{}`, null, and the same in place of a second page."""
    orphan, _ = shelf.orphan()
    local, name = shelf.cloud.local, shelf.site.name
    sites = f"/subscriptions/{local.subscription}/providers/Microsoft.Web/sites"
    lists = {
        "/subscriptions": "Subscriptions",
        sites: f"Web Apps of subscription '{local.subscription}'",
        f"{shelf.site.id}/slots": f"Slots of Web App '{name}'",
    }
    nothing: tuple[Any, ...] = ("", {}, "null")
    unread = [(path, body) for path in lists for body in nothing]
    second = f"{local.management}%s?page=2&api-version=2024-11-01"
    unread += [(path, {"value": [], "nextLink": second % path}) for path in lists]
    headers = {"content-type": "application/json"}
    for path, body in unread:
        fault = {"service": "arm", "path": f"^{path}$", "status": 200, "headers": headers}
        local.fault(**fault, query="page=2", body={}, times=0)
        local.fault(**fault, body=body, times=0)
        answer = shelf.prune("--delete", "--yes")
        local.clear_faults()
        assert answer.returncode == 1, (path, body, answer.show())
        assert lists[path] in answer.stderr
        assert answer.writes == []
    assert orphan in shelf.tags()


def test_while_a_subscription_can_not_be_read_nothing_is_deleted_and_it_says_so(
    shelf: Shelf,
) -> None:
    orphan, _ = shelf.orphan()
    sites = f"/subscriptions/{shelf.far}/providers/Microsoft.Web/sites$"
    with shelf.cloud.fault(path=sites, status=403, body=FORBIDDEN, times=0):
        answer = shelf.prune("--delete", "--yes")
    assert answer.returncode == 0, answer.show()
    kept = f"subscription '{shelf.far}' can't be read"
    assert by_tag(answer.json)[orphan] == f"{kept} and may run it"
    assert f"{kept}, so all images are kept" in answer.stderr
    assert "You may not." in answer.stderr
    assert answer.writes == []
    assert orphan in shelf.tags()
