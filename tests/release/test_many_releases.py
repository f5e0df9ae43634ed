"""Sites with more releases on record than one answer or one index holds, and what prune leaves."""

from __future__ import annotations

import json
import time
from collections import Counter
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from azext_otelembed.console import Console
from azext_otelembed.errors import RegistryFailed
from azext_otelembed.image.reference import Digest
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.records.record_folding import RELEASES_KEPT
from localazure.client import LocalAzure
from tests.e2e.support import IMAGES, SETTING, Cloud, Site
from tests.memory import run_measured
from tests.release.driver import PROCESSES
from tests.release.many_releases import (
    list_in_fall_back,
    prune,
    prune_in_child,
    pruner,
    put_releases,
    releases_of,
)
from tests.release.support import Contents, Hand, MakeSite, Push, meanwhile

EXTRA = 30
PAGE = 40


@pytest.fixture
def shelf(cloud: Cloud) -> str:
    """A registry of its own, with short pages."""
    name = cloud.add_registry()
    cloud.local.change_registry(name, page_size=PAGE)
    return name


def history(site: Site, count: int) -> list[Release]:
    """Releases of a site, of images that its registry doesn't hold."""

    def image(number: int) -> str:
        return f"{site.host}/{site.repository}:{number}-otelembed-{number:012x}"

    return releases_of(site.id, count, image)


def anchor_of(site: Site) -> Digest:
    """What the records of a site refer to."""
    return Digest.of(record.anchor(site.id))


def with_history(make_site: MakeSite, registry: str, count: int) -> tuple[Site, list[Release]]:
    """A stopped site with releases on record."""
    site = make_site(registry=registry, wait=False, state="Stopped", component=False)
    made = history(site, count)
    put_releases(site.cloud.local, registry, made)
    return site, made[::-1]


def test_a_site_with_many_releases_is_deployed_shown_and_rolled_back(
    make_site: MakeSite, hand: Hand, shelf: str
) -> None:
    site = make_site(registry=shelf)
    made = history(site, RELEASES_KEPT + EXTRA)
    put_releases(site.cloud.local, shelf, made)
    first = hand.deploy(site)
    assert first.exit_status == 0, first
    site.push("2.0", IMAGES / "app", source="1.0")
    assert hand.deploy(site, image=site.image("2.0")).exit_status == 0
    assert len(hand.history(site)) == RELEASES_KEPT + EXTRA + 2
    before = hand.history(site)[:RELEASES_KEPT]
    findings = prune(hand.session, shelf)
    assert [one.folding.releases for one in findings.foldings] == [EXTRA + 2]
    after = hand.history(site)
    assert after == before, "the first of the two deploys added the setting, no earlier one"
    contents = Contents(site.cloud, site.host)
    assert len(contents.manifests(record.REPOSITORY)) == len(after) + 1, "and the anchor"
    assert hand.rollback(site).exit_status == 0
    assert site.runs == first.result["image"]["name"]
    assert hand.states(site)[0] == "succeeded"


@pytest.mark.thorough
def test_without_delete_prune_tells_which_records_would_go(
    make_site: MakeSite, hand: Hand, shelf: str, cloud: Cloud
) -> None:
    with_history(make_site, shelf, RELEASES_KEPT + EXTRA)
    cloud.az.login()
    answer = cloud.otelembed("prune", "--registry", shelf)
    assert answer.returncode == 0, answer.show()
    assert answer.json == []
    assert answer.writes == []
    told = " ".join(answer.stderr.split())
    count = 2 * (RELEASES_KEPT + EXTRA) - RELEASES_KEPT - 1
    assert f"--delete also deletes {count} release records" in told
    assert f"those of {EXTRA - 1} old releases" in told
    answer = cloud.otelembed("prune", "--registry", shelf, "--delete", "--yes")
    assert answer.returncode == 0, answer.show()
    assert len(answer.writes) == count
    assert {write.split(" ")[0] for write in answer.writes} == {"DELETE"}


def test_sites_with_few_releases_lose_no_record(
    make_site: MakeSite, hand: Hand, shelf: str
) -> None:
    few, kept = with_history(make_site, shelf, RELEASES_KEPT)
    many, _ = with_history(make_site, shelf, RELEASES_KEPT + EXTRA)
    assert len(prune(hand.session, shelf).foldings) == 1
    contents = Contents(few.cloud, few.host)
    assert contents.releases(few) == kept
    assert len(contents.releases(many)) == RELEASES_KEPT + 1


def test_a_release_that_begins_meanwhile_is_never_deleted(
    make_site: MakeSite, hand: Hand, shelf: str
) -> None:
    site, made = with_history(make_site, shelf, RELEASES_KEPT + EXTRA)
    now = datetime.now(timezone.utc)
    late = replace(made[0], id="late", state=record.PENDING, started=now, finished=None)
    # Its clock is wrong: it counts as the oldest release.
    early = replace(late, id="early", started=made[-1].started)
    mine, console = pruner(hand.session, shelf), Console(quiet=True)
    findings = mine.find(console)
    put_releases(site.cloud.local, shelf, [late, early])
    again = mine.find_again(findings, console)
    mine.delete(again, console)
    found = {one.id for one in Contents(site.cloud, site.host).releases(site)}
    assert {"late", "early", made[0].id} <= found


def test_an_image_that_a_deploy_takes_while_others_are_deleted_stays(
    make_site: MakeSite, hand: Hand, shelf: str, push: Push
) -> None:
    site = make_site(registry=shelf, wait=False, state="Stopped", component=False)
    for tag in ("1-otelembed-000000000001", "2-otelembed-000000000002"):
        push(site, tag, f"echo {tag}")
        site.cloud.local.backdate(shelf, site.repository, tag, "2026-01-05T08:00:00.0000000Z")
    mine, console = pruner(hand.session, shelf, look_again=0), Console(quiet=True)
    findings = mine.find(console)
    first, second = (one.image for one in findings.images)
    (made,) = history(site, 1)
    image = site.image(second.tags[0])
    taken = replace(made, image=image, digest=second.digest, state=record.PENDING, finished=None)
    put_releases(site.cloud.local, shelf, [taken])
    assert [one.image.digest for one in mine.delete(findings, console)] == [first.digest]
    assert second.digest in Contents(site.cloud, site.host).manifests(site.repository)


def test_the_record_of_an_image_that_only_it_tells_stays_as_long_as_the_image(
    make_site: MakeSite, hand: Hand, shelf: str, push: Push
) -> None:
    site = make_site(registry=shelf, wait=False, state="Stopped", component=False)
    image = push(site, "nightly", "exit 0")
    contents = Contents(site.cloud, site.host)
    held = contents.manifests(site.repository)
    (digest,) = (digest for digest, tags in held.items() if tags == ["nightly"])
    made = history(site, RELEASES_KEPT + EXTRA)
    made[4] = replace(made[4], image=image, digest=digest)
    put_releases(site.cloud.local, shelf, made)
    (kept,) = prune(hand.session, shelf).decisions
    assert (kept.image.digest, kept.kept_because) == (digest, "it is younger than an hour")
    assert made[4] in contents.releases(site)
    # Old enough, it is deleted, and its record with it.
    site.cloud.local.backdate(shelf, site.repository, "nightly", "2026-01-05T08:00:00.0000000Z")
    put_releases(site.cloud.local, shelf, made)
    assert [one.image.digest for one in prune(hand.session, shelf).images] == [digest]
    assert digest not in contents.manifests(site.repository)
    assert made[4] not in contents.releases(site)


@pytest.mark.parametrize(
    ("first", "fault"),
    [
        (True, {"status": 200, "body": {"manifests": []}}),
        (True, {"status": 200, "body": "{}"}),
        (True, {"status": 200, "body": ""}),
        (False, {"status": 404}),
        (False, {"status": 200, "body": {"manifests": []}}),
        (False, {"status": 200, "body": "{}"}),
        pytest.param(False, {"truncate": 2000, "times": 0}, marks=pytest.mark.thorough),
    ],
)
def test_records_that_are_not_read_as_a_whole_are_kept(
    make_site: MakeSite, hand: Hand, shelf: str, first: bool, fault: dict[str, object]
) -> None:
    site, made = with_history(make_site, shelf, RELEASES_KEPT + EXTRA)
    query = "" if first else "last="
    site.cloud.local.fault(path="/referrers/", host=site.host, query=query, **fault)
    before = site.cloud.mark()
    try:
        prune(hand.session, shelf)
    except RegistryFailed:
        assert not [r for r in site.cloud.requests(before) if r["method"] == "DELETE"]
    site.cloud.local.clear_faults()
    left = Contents(site.cloud, site.host).releases(site)
    assert left[:RELEASES_KEPT] == made[:RELEASES_KEPT]
    assert set(left) <= set(made), "each in its latest state"
    assert made[-1] in left, "the one that added the setting"


@pytest.fixture
def old_shelf(cloud: Cloud, shelf: str) -> str:
    """A registry without the referrers API."""
    cloud.local.change_registry(shelf, referrers=False)
    return shelf


@pytest.mark.thorough
def test_the_fall_back_index_gets_short_and_keeps_what_is_written_meanwhile(
    make_site: MakeSite, hand: Hand, old_shelf: str, cloud: Cloud
) -> None:
    """Another process reads the index before prune writes it, and writes its own before that."""
    site = make_site(registry=old_shelf, wait=False, state="Stopped", component=False)
    made = history(site, RELEASES_KEPT + EXTRA)
    put_releases(cloud.local, old_shelf, made)
    list_in_fall_back(cloud.local, old_shelf, made)
    late = replace(made[-1], id="late", started=datetime.now(timezone.utc))

    def write() -> None:
        put_releases(cloud.local, old_shelf, [late])
        list_in_fall_back(cloud.local, old_shelf, [*made, late])

    with meanwhile(cloud, write, host=site.host, method="PUT", path="/manifests/sha256-"):
        prune(hand.session, old_shelf)
    contents = Contents(cloud, site.host)
    left = contents.releases(site)
    assert left == [late, *made[::-1][:RELEASES_KEPT], made[0]]
    assert len(contents.referrers(record.REPOSITORY, str(anchor_of(site)))) <= len(left) + 1
    assert [one.folding.releases for one in prune(hand.session, old_shelf).foldings] == [1]


@pytest.mark.thorough
def test_a_fall_back_index_that_is_too_long_to_be_written_is_read_and_folded(
    make_site: MakeSite, hand: Hand, old_shelf: str
) -> None:
    site = make_site(registry=old_shelf)
    made = history(site, 2000)
    put_releases(site.cloud.local, old_shelf, made)
    list_in_fall_back(site.cloud.local, old_shelf, made)
    with pytest.raises(RegistryFailed, match="is full") as full:
        hand.deploy(site)
    assert full.value.recommendation is not None
    assert f"az otelembed prune --registry {site.host} --delete" in full.value.recommendation
    assert site.runs == site.image()
    assert len(hand.history(site)) == 2000
    assert len(prune(hand.session, site.host).foldings) == 1
    # The record of the deploy above was stored, and not listed: prune can't know that it ended.
    assert len(hand.history(site)) == RELEASES_KEPT + 2
    assert hand.deploy(site).exit_status == 0
    assert hand.states(site)[:2] == ["succeeded", "failed"]
    assert hand.history(site)[1]["reason"].startswith("not applied: ")


@pytest.mark.thorough
def test_a_deploy_goes_on_in_a_registry_whose_fall_back_index_was_folded(
    make_site: MakeSite, hand: Hand, old_shelf: str
) -> None:
    site = make_site(registry=old_shelf)
    made = history(site, RELEASES_KEPT + EXTRA)
    put_releases(site.cloud.local, old_shelf, made)
    list_in_fall_back(site.cloud.local, old_shelf, made)
    prune(hand.session, old_shelf)
    assert hand.deploy(site).exit_status == 0
    assert len(hand.history(site)) == RELEASES_KEPT + 2


def killed_prune(site: Site, shelf: str, **where: object) -> None:
    """`az otelembed prune --delete` in a process that is killed while a request waits."""
    local = site.cloud.local
    number = local.fault(**where, host=site.host, hold=True)
    before = local.mark()
    args = LocalAzure.attach(local.directory), local.token(), shelf
    child = PROCESSES.Process(target=prune_in_child, args=args, daemon=True)
    child.start()
    while child.is_alive():
        if any(r["fault"] == number and r["held"] for r in local.requests(since=before)):
            break
        time.sleep(0.01)
    assert child.is_alive(), "it ended before the request"
    child.kill()
    child.join()
    local.clear_faults()


@pytest.mark.parametrize(
    "step",
    [
        pytest.param(step, marks=[] if step == 158 else pytest.mark.thorough)
        for step in (*range(1, 12), 50, 100, *range(125, 160, 3), 159)
    ],
)
def test_prune_that_is_killed_at_a_request_leaves_a_readable_history(
    make_site: MakeSite, hand: Hand, shelf: str, step: int
) -> None:
    """It deletes 130 records of earlier states, then the last ones of 29 releases."""
    site, made = with_history(make_site, shelf, RELEASES_KEPT + EXTRA)
    path = "^/v2/otelembed/releases/manifests/"
    killed_prune(site, shelf, path=path, nth=step, method="DELETE")
    contents = Contents(site.cloud, site.host)
    left = contents.releases(site)
    assert left[:RELEASES_KEPT] == made[:RELEASES_KEPT]
    assert set(left) <= set(made), "each in its latest state"
    assert made[-1] in left
    prune(hand.session, shelf)
    after = contents.releases(site)
    assert after[:RELEASES_KEPT] == made[:RELEASES_KEPT]
    assert after[RELEASES_KEPT:] == [made[-1]]
    assert len(contents.manifests(record.REPOSITORY)) - 1 <= 2 * len(after)


@pytest.mark.thorough
@pytest.mark.parametrize("step", [1, 2, 3])
def test_prune_that_is_killed_at_the_fall_back_index_leaves_a_readable_history(
    make_site: MakeSite, hand: Hand, old_shelf: str, step: int
) -> None:
    site, made = with_history(make_site, old_shelf, RELEASES_KEPT + EXTRA)
    list_in_fall_back(site.cloud.local, old_shelf, made)
    where: dict[str, object] = {"path": "/manifests/sha256-", "nth": step}
    if step == 3:
        where = {"path": "/_manifests", "query": "", "nth": 2}
    killed_prune(site, old_shelf, **where)
    left = Contents(site.cloud, site.host).releases(site)
    assert left[:RELEASES_KEPT] == made[:RELEASES_KEPT]
    prune(hand.session, old_shelf)
    after = Contents(site.cloud, site.host).releases(site)
    assert after == [*made[:RELEASES_KEPT], made[-1]]


@pytest.mark.parametrize("count", [5, pytest.param(900, marks=pytest.mark.thorough)])
def test_the_requests_of_prune_grow_with_sites_and_not_with_images(
    make_site: MakeSite, hand: Hand, cloud: Cloud, count: int
) -> None:
    shelf = cloud.add_registry()
    # The double is the worker's: others may have left sites there, or none (asked for twice).
    make_site(wait=False)
    mark = cloud.mark()
    pruner(hand.session, shelf).find(Console(quiet=True))
    others = Counter(r["service"] for r in cloud.requests(mark))
    sites = [with_history(make_site, shelf, 3)[0] for _ in range(3)]
    kind = "application/vnd.oci.image.manifest.v1+json"
    for site in sites:
        documents = (
            {"schemaVersion": 2, "mediaType": kind, "layers": [], "annotations": {"n": str(number)}}
            for number in range(count)
        )
        images = [
            {"data": json.dumps(one), "tag": f"1-otelembed-{number:012x}"}
            for number, one in enumerate(documents)
        ]
        cloud.local.put_manifests(shelf, site.repository, images)
    mark = cloud.mark()
    found = pruner(hand.session, shelf).find(Console(quiet=True))
    assert len(found.decisions) == 3 * count
    asked = Counter(r["service"] for r in cloud.requests(mark))
    # For each site: its records; its repository's manifests, and a token for them. Then the
    # catalog, the tags of the anchors, an exchange, and their tokens.
    assert asked["acr"] == 3 * 3 + 6
    # The slots of each site.
    assert asked["arm"] == others["arm"] + 3


@pytest.mark.thorough(minutes=4)
@pytest.mark.timeout(900)
@pytest.mark.parametrize("page", [0, 100], ids=["one page", "pages of 100"])
def test_five_thousand_releases(
    make_site: MakeSite, hand: Hand, cloud: Cloud, page: int, capsys: pytest.CaptureFixture[str]
) -> None:
    shelf = cloud.add_registry()
    cloud.local.change_registry(shelf, page_size=page)
    site = make_site(registry=shelf)
    others = [with_history(make_site, shelf, 300)[0] for _ in range(3)]
    deployed = hand.deploy(site)
    assert deployed.exit_status == 0
    put_releases(cloud.local, shelf, history(site, 5000))
    began, mark = time.monotonic(), cloud.mark()
    site.push("2.0", IMAGES / "app", source="1.0")
    assert hand.deploy(site, image=site.image("2.0")).exit_status == 0
    figures = {
        "deploy": {
            "seconds": round(time.monotonic() - began, 1),
            "requests": len([r for r in cloud.requests(mark) if r["service"] in ("acr", "arm")]),
        }
    }
    given = (str(cloud.local.directory),), (site.group, site.name, shelf)
    commands = ("history", "status", "rollback", "prune", "prune --delete", "history", "rollback")
    for number, command in enumerate(commands):
        found = run_measured("tests.release.many_releases", *given[0], command, *given[1])
        figures[f"{number} {command}"] = found
        assert found["megabytes"] < 100, figures
        # On an idle machine at most 72 and 12 s.
        assert found["seconds"] < (240 if command == "prune --delete" else 60), figures
    with capsys.disabled():
        for name, figure in figures.items():
            print(f"\n{page or 'all'} a page: {name}: {figure}", end="")
    contents = Contents(cloud, site.host)
    # The release that added the setting is older than the newest ones.
    assert len(contents.releases(site)) in (RELEASES_KEPT, RELEASES_KEPT + 1, RELEASES_KEPT + 2)
    assert all(len(contents.releases(other)) == RELEASES_KEPT + 1 for other in others)
    assert SETTING in site.settings()
    assert hand.rollback(site).exit_status == 0
    assert site.runs == deployed.result["image"]["name"]
