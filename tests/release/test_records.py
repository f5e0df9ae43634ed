"""The records of releases, and the commands that read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from azext_otelembed.errors import InvalidInput, NotFound, Refused
from azext_otelembed.image.reference import Digest
from azext_otelembed.records import record
from localazure.az import Az
from tests.e2e.support import IMAGES, SETTING, Cloud, Site
from tests.release.support import OLD, Contents, Ended, Hand, MakeSite, Push, id_of

LEFT_BEHIND = -200
"""A timeout with which a pending release counts as abandoned at once."""


@pytest.fixture(
    params=[
        pytest.param(True, id="referrers"),
        pytest.param(False, id="fall-back tag", marks=pytest.mark.thorough),
    ]
)
def shelf(request: pytest.FixtureRequest, cloud: Cloud) -> str:
    """A registry with the referrers API, or one without."""
    name = cloud.add_registry()
    cloud.local.change_registry(name, referrers=request.param)
    return name


def records_of(contents: Contents) -> list[dict[str, Any]]:
    """The manifests of all records."""
    held = contents.manifests(record.REPOSITORY)
    documents = [contents.document(record.REPOSITORY, digest) for digest in held]
    return [one for one in documents if one.get("artifactType") == record.ARTIFACT_TYPE]


def test_a_record_is_an_oci_artifact_that_refers_to_its_site(
    make_site: MakeSite, hand: Hand, cloud: Cloud, shelf: str
) -> None:
    site = make_site(registry=shelf)
    ended = hand.deploy(site)
    contents = Contents(cloud, site.host)
    found = records_of(contents)
    assert len(found) == 2, "pending, and succeeded"
    anchor = record.anchor(site.id)
    for document in found:
        assert document["schemaVersion"] == 2
        assert document["mediaType"] == "application/vnd.oci.image.manifest.v1+json"
        assert document["artifactType"] == "application/vnd.otelembed.release.v1+json"
        digest = str(Digest.of(b"{}"))
        empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest, "size": 2}
        assert document["config"] == empty
        assert document["layers"] == [empty]
        assert document["subject"] == {
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "digest": str(Digest.of(anchor)),
            "size": len(anchor),
        }
        assert all(isinstance(value, str) for value in document["annotations"].values())
    subject = contents.document(record.REPOSITORY, str(Digest.of(anchor)))
    assert subject == json.loads(anchor)
    states = {document["annotations"]["dev.otelembed.release.state"] for document in found}
    assert states == {"pending", "succeeded"}
    (told,) = hand.history(site)
    assert told["id"] == ended.result["release"]["id"]
    assert told["recipe"]
    assert told["base"] == site.image()


def test_a_registry_without_the_api_lists_records_under_the_fall_back_tag(
    make_site: MakeSite, hand: Hand, cloud: Cloud
) -> None:
    name = cloud.add_registry()
    cloud.local.change_registry(name, referrers=False)
    site = make_site(registry=name)
    assert hand.deploy(site).exit_status == 0
    contents = Contents(cloud, site.host)
    tag = str(Digest.of(record.anchor(site.id))).replace(":", "-")
    index = contents.document(record.REPOSITORY, tag)
    assert index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert len(index["manifests"]) == 2
    held = contents.manifests(record.REPOSITORY)
    for entry in index["manifests"]:
        assert entry["digest"] in held
        assert entry["artifactType"] == record.ARTIFACT_TYPE
        assert entry["annotations"]
    assert hand.states(site) == ["succeeded"]


def test_no_record_holds_the_value_of_the_setting(
    make_site: MakeSite, hand: Hand, cloud: Cloud, push: Push
) -> None:
    site = make_site(registry=cloud.add_registry(), settings={SETTING: OLD})
    new = cloud.connection_string(site.component or "")
    hand.deploy(site, connection_string=new)
    hand.deploy(site, image=push(site, "bad", "exit 3"), connection_string=OLD, timeout=20)
    hand.remove(site)
    contents = Contents(cloud, site.host)
    names = contents.repositories()
    held = [contents.document(name, one) for name in names for one in contents.manifests(name)]
    text = json.dumps(held)
    for value in (OLD, new):
        assert value.partition("=")[2].partition(";")[0] not in text
    assert text.count(record.ARTIFACT_TYPE) == 7, "two a release, and one more of the rollback"


def test_history_lists_releases_newest_first_with_how_each_ended(
    make_site: MakeSite, hand: Hand, push: Push, shelf: str
) -> None:
    site = make_site(registry=shelf)
    site.push("2.0", IMAGES / "app", source="1.0")
    assert hand.history(site) == []
    one = hand.deploy(site)
    two = hand.deploy(site, image=site.image("2.0"))
    bad = hand.deploy(site, image=push(site, "bad", "exit 3"), timeout=20)
    left = hand.deploy(site, image=push(site, "left", "exit 4"), timeout=20, rollback=False)
    listed = hand.history(site)
    assert [entry["number"] for entry in listed] == [0, 1, 2, 3]
    assert [entry["id"] for entry in listed] == [
        ended.result["release"]["id"] for ended in (left, bad, two, one)
    ]
    states = ["failed", "rolled back", "succeeded", "succeeded"]
    assert [entry["state"] for entry in listed] == states
    assert [entry["base"] for entry in listed] == [
        site.image(tag) for tag in ("left", "bad", "2.0", "1.0")
    ]
    assert [entry["previousImage"] for entry in listed] == [
        two.result["image"]["name"],
        two.result["image"]["name"],
        one.result["image"]["name"],
        site.image(),
    ]
    assert listed[1]["reason"] == "the new container failed: it exited with status 3"
    assert not any(entry["current"] for entry in listed), "the running image never started"
    back = hand.rollback(site)
    assert back.exit_status == 0, back
    assert site.runs == two.result["image"]["name"]
    assert [entry["current"] for entry in hand.history(site)] == [True, *[False] * 4]


def test_rollback_goes_to_the_image_before_to_a_number_or_to_a_tag(site: Site, hand: Hand) -> None:
    site.push("2.0", IMAGES / "app", source="1.0")
    first = hand.deploy(site).result["image"]["name"]
    second = hand.deploy(site, image=site.image("2.0")).result["image"]["name"]
    back = hand.rollback(site)
    assert (back.exit_status, site.runs) == (0, first)
    assert back.result["changes"] == [{"what": "image", "before": second, "after": first}]
    assert SETTING in site.settings()
    assert (hand.rollback(site, "1").exit_status, site.runs) == (0, second)
    assert (hand.rollback(site, "1.0").exit_status, site.runs) == (0, site.image())
    tag = first.rpartition(":")[2]
    assert (hand.rollback(site, tag).exit_status, site.runs) == (0, first)
    assert hand.states(site) == ["succeeded"] * 6
    for unknown in ("3.0", "99"):
        with pytest.raises(NotFound, match="neither a number nor a tag"):
            hand.rollback(site, unknown)
    assert hand.rollback(site, tag).result["changed"] is False, "this rollback is made"
    hand.deploy(site, image=site.image("2.0"))
    with pytest.raises(InvalidInput, match=r"runs .* already"):
        hand.rollback(site, second.rpartition(":")[2])
    hand.rollback(site, tag)
    Contents(site.cloud, site.host).delete(site.repository, second.rpartition(":")[2])
    with pytest.raises(NotFound, match="not in its registry any more"):
        hand.rollback(site, second.rpartition(":")[2])
    assert site.runs == first


def test_rollback_needs_a_release(site: Site, hand: Hand) -> None:
    with pytest.raises(NotFound, match="no release on record"):
        hand.rollback(site)


def test_a_rollback_that_fails_to_start_is_rolled_back(site: Site, hand: Hand, push: Push) -> None:
    bad = hand.deploy(site, image=push(site, "bad", "exit 3"), timeout=20, rollback=False)
    good = hand.deploy(site, image=site.image())
    assert (bad.exit_status, good.exit_status) == (5, 0)
    back = hand.rollback(site, "1", timeout=6)
    assert back.exit_status == 4, back
    assert site.runs == good.result["image"]["name"]
    assert hand.states(site) == ["rolled back", "succeeded", "failed"]


@pytest.mark.parametrize(
    ("before", "keep", "left"),
    [
        pytest.param(None, False, False, id="set by us"),
        pytest.param(None, True, True, id="set by us and kept", marks=pytest.mark.thorough),
        pytest.param(OLD, False, True, id="there before"),
    ],
)
def test_remove_brings_the_base_image_back_and_takes_only_what_we_set(
    make_site: MakeSite, hand: Hand, before: str | None, keep: bool, left: bool
) -> None:
    site = make_site(settings={SETTING: before} if before else {})
    given = {"connection_string": OLD} if before else {}
    settings = site.settings()
    site.push("2.0", IMAGES / "app", source="1.0")
    hand.deploy(site, **given)
    hand.deploy(site, image=site.image("2.0"))
    value = site.settings()[SETTING]
    ended = hand.remove(site, keep_setting=keep)
    assert ended.exit_status == 0, ended
    assert site.runs == site.image("2.0")
    assert site.settings() == ({**settings, SETTING: value} if left else settings)
    site.answers()
    with pytest.raises(Refused, match="is no embedded image"):
        hand.remove(site)


def test_a_removal_that_fails_puts_image_and_setting_back(
    site: Site, hand: Hand, cloud: Cloud, push: Push
) -> None:
    ended = hand.deploy(site)
    settings = site.settings()
    # The base image fails to start now.
    push(site, "1.0", "exit 3")
    removed = hand.remove(site, timeout=6)
    assert removed.exit_status == 4, removed
    assert site.runs == ended.result["image"]["name"]
    assert site.settings() == settings
    assert hand.states(site) == ["rolled back", "succeeded"]


@pytest.mark.thorough
@pytest.mark.parametrize("command", [Hand.wait, Hand.deploy], ids=["wait", "deploy"])
def test_a_pending_release_is_completed_by_wait_and_by_the_same_deploy(
    site: Site, hand: Hand, command: Callable[[Hand, Site], Ended]
) -> None:
    begun = hand.deploy(site, wait=False)
    assert (begun.exit_status, begun.release) == (0, "pending")
    ended = command(hand, site)
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    assert ended.result["release"]["id"] == begun.result["release"]["id"]
    assert hand.states(site) == ["succeeded"]
    with pytest.raises(NotFound, match="no pending release"):
        hand.wait(site)


@pytest.mark.parametrize(
    "before",
    # e2e/test_wait has the first one, with az.
    [pytest.param(None, id="absent", marks=pytest.mark.thorough), pytest.param(OLD, id="there")],
)
def test_wait_rolls_back_a_release_that_fails_to_start(
    make_site: MakeSite, hand: Hand, push: Push, before: str | None
) -> None:
    """The old value of the setting died with the deploy: one that was there is left."""
    site = make_site(settings={SETTING: before} if before else {})
    new = site.cloud.connection_string(site.component or "")
    begun = hand.deploy(site, image=push(site, "bad", "exit 3"), connection_string=new, wait=False)
    assert begun.exit_status == 0
    ended = hand.wait(site, timeout=6)
    assert ended.exit_status == 4, ended
    assert site.runs == site.image()
    assert site.settings().get(SETTING) == (new if before else None)
    assert hand.states(site) == ["rolled back"]


def test_a_deploy_of_another_image_meanwhile_stops_before_it_changes_anything(
    site: Site, hand: Hand, cloud: Cloud, shelf: str
) -> None:
    site.push("2.0", IMAGES / "app", source="1.0")
    begun = hand.deploy(site, wait=False)
    runs, settings = site.runs, site.settings()
    contents = Contents(cloud, site.host)
    held = contents.manifests(site.repository)
    with pytest.raises(Refused) as refused:
        hand.deploy(site, image=site.image("2.0"))
    assert begun.result["image"]["name"] in refused.value.message
    assert "in progress" in refused.value.message
    assert "Nothing was changed." in refused.value.message
    with pytest.raises(Refused, match="in progress"):
        hand.remove(site)
    assert (site.runs, site.settings()) == (runs, settings)
    assert contents.manifests(site.repository) == held
    assert hand.states(site) == ["pending"]
    assert hand.wait(site).exit_status == 0
    assert hand.deploy(site, image=site.image("2.0")).exit_status == 0


def test_a_record_that_a_crash_left_long_ago_stops_no_release(
    make_site: MakeSite, hand: Hand, push: Push, shelf: str
) -> None:
    site = make_site(registry=shelf)
    site.push("2.0", IMAGES / "app", source="1.0")
    hand.deploy(site, image=push(site, "bad", "exit 3"), timeout=LEFT_BEHIND, wait=False)
    assert hand.states(site) == ["pending"]
    ended = hand.deploy(site, image=site.image("2.0"))
    assert ended.exit_status == 0, ended
    assert hand.states(site) == ["succeeded", "failed"]
    assert hand.history(site)[0]["previousImage"] == site.image(), "the bad one never started"


@pytest.mark.thorough
def test_after_a_crash_long_ago_a_failure_goes_back_to_what_was_there_before_it(
    site: Site, hand: Hand, push: Push
) -> None:
    image = push(site, "bad", "exit 3")
    hand.deploy(site, image=image, timeout=LEFT_BEHIND, wait=False)
    ended = hand.deploy(site, image=push(site, "worse", "exit 4"), timeout=20)
    assert ended.exit_status == 4, ended
    assert site.runs == site.image()
    assert SETTING not in site.settings()
    assert hand.states(site) == ["rolled back", "failed"]


def test_rollback_and_remove_ask_before_they_change_anything(
    make_site: MakeSite, hand: Hand, az: Az
) -> None:
    site = make_site()
    name = hand.deploy(site).result["image"]["name"]
    for command in ("rollback", "remove"):
        answer = site.cloud.otelembed(command, *site.arguments)
        assert answer.returncode == 1, answer.show()
        assert "--yes" in answer.stderr
        assert "standard input is not a terminal" in answer.stderr
        assert not answer.writes, answer.show()
    assert site.runs == name
    answer = site.cloud.otelembed("remove", *site.arguments, "--yes")
    assert answer.returncode == 0, answer.show()
    assert answer.json["image"]["name"] == site.image()
    assert site.runs == site.image()
    listed = site.cloud.otelembed("history", *site.arguments)
    assert [entry["state"] for entry in listed.json] == ["succeeded", "succeeded"]
    assert id_of(site).resource_id == site.id


def test_a_deploy_that_prepares_the_collector_again_is_no_release_of_the_image_that_runs(
    cloud: Cloud, make_site: MakeSite, hand: Hand
) -> None:
    site = make_site(registry=cloud.add_registry())
    first = hand.deploy(site, image=site.image())
    contents, collector = Contents(cloud, site.host), "otelembed/collector"
    for digest in contents.manifests(collector):
        contents.delete(collector, digest)
    again = hand.deploy(site, image=site.image(), timeout=10)
    assert contents.manifests(collector), "it is there again"
    assert (again.exit_status, again.result["changed"]) == (0, False)
    assert again.result["image"] == first.result["image"]
    assert hand.states(site) == ["succeeded"]
