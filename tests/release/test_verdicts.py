"""What can fool a verification, end to end: the app's output, App Service's own lines, no log."""

from __future__ import annotations

import re
import time
from dataclasses import replace

import pytest

from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.verification.verify import newest_stamp, verify
from azext_otelembed.webapp.observe import observe
from tests.e2e.support import Cloud, Site
from tests.release.support import QUICK, Hand, MakeSite, Push, id_of, meanwhile
from tests.waiting import eventually

START_LIMIT = "WEBSITES_CONTAINER_START_TIME_LIMIT"
APP = "exec /usr/local/bin/docker-entrypoint.sh /usr/local/bin/shop"
GOOD_WORDS = ("Server started successfully", "the app is ready to serve requests", "Site started!")
BAD_WORDS = (
    "worker 12 has exited",
    "image pull failed, retrying",
    "ERROR - Container shop has exited, failing site start",
    "cache: failed to start site. Reverting",
    "job 3 finished running with exit code 1",
)


def says(words: tuple[str, ...]) -> str:
    """Shell commands that print words."""
    return "; ".join(f'echo "{line}"' for line in words)


def test_an_app_that_says_it_is_ready_is_not(site: Site, hand: Hand, push: Push) -> None:
    site.set(**{START_LIMIT: "3"})
    image = push(site, "liar", f"{says(GOOD_WORDS)}; sleep 600")
    ended = hand.deploy(site, image=image, timeout=40)
    assert ended.exit_status == 4, ended
    assert "it didn't answer on port 8080 within 3 s" in ended.result["reason"]


def test_an_app_that_talks_of_failures_is_up(site: Site, hand: Hand, push: Push) -> None:
    talks = f"(while sleep 0.3; do {says(BAD_WORDS)}; done) & {APP}"
    image = push(site, "gloomy", talks)
    ended = hand.deploy(site, image=image, timeout=40)
    assert ended.exit_status == 0, ended
    assert ended.evidence["log"] == "the new image started and is ready"
    assert BAD_WORDS[0] in site.log()


def test_an_error_that_the_platform_repeats_is_not_the_releases(
    site: Site, hand: Hand, push: Push
) -> None:
    """The State lines of the start after a failed one have its LastError."""
    ended = hand.deploy(site, image=push(site, "bad", "exit 3"), rollback=False, timeout=20)
    assert ended.exit_status == 5, ended
    # For as long as the start takes, its State lines say that it did not start in time. The front
    # door answers at once, where the double would hold a request until the app answers.
    site.restrict_access()
    good = hand.deploy(site, image=push(site, "good", f"sleep 6; {APP}"), timeout=40)
    assert good.exit_status == 0, good
    text = site.log()
    started = next(line for line in text.splitlines()[::-1] if "State: Started" in line)
    assert "LastError: ContainerTimeout" in started


def test_the_stop_of_an_old_container_is_no_start_of_the_new_one(
    site: Site, hand: Hand, push: Push, cloud: Cloud
) -> None:
    """Its State lines repeat when it was started: `Details: Site started at …`."""
    site.set(**{START_LIMIT: "10"})
    image = push(site, "hangs", "sleep 600")
    started = site.log().count("Z Site started.")
    with cloud.local.runtime(overlap=4):
        cloud.arm("POST", f"{site.id}/restart")
        eventually(lambda: site.log().count("Z Site started.") > started)
        # The container from before the restart is stopped while the new image starts.
        ended = hand.deploy(site, image=image, timeout=40, pace=replace(QUICK, settled=1))
    assert ended.exit_status == 4, ended
    assert "within 10 s" in ended.result["reason"]
    new = site.log().partition(f"Pulling image: {ended.result['image']['name']}.")[2]
    stop = new.partition("Action: StoppingSite,")[2]
    assert "Details: Site started at" in stop.partition("\n")[0]


def test_the_containers_of_app_service_are_not_the_app(
    make_site: MakeSite, hand: Hand, push: Push
) -> None:
    """In the old format msiProxy is ready to serve requests before the app is asked."""
    site = make_site(old_log=True)
    ended = hand.deploy(site, image=push(site, "bad", "sleep 1; exit 3"), timeout=40)
    assert ended.exit_status == 4, ended
    assert ended.result["reason"] == "the new container failed: it exited"
    assert "_msiProxy for site" in site.log()
    good = hand.deploy(site, timeout=60)
    assert good.exit_status == 0, good


def test_without_a_log_a_site_that_answers_is_unproven(
    site: Site, hand: Hand, push: Push, cloud: Cloud
) -> None:
    """The old container answers while the new one hangs; it is gone only later."""
    image = push(site, "hangs", "sleep 600")
    with cloud.fault(service="arm", path=f"{site.name}/containerlogs", status=403, times=0):
        ended = hand.deploy(site, image=image, timeout=12)
    assert ended.exit_status == 6, ended
    assert ended.result["healthy"] is None
    assert site.runs == ended.result["image"]["name"], "it is not rolled back"


def test_two_instances_are_up_when_both_are(
    make_site: MakeSite, hand: Hand, cloud: Cloud, push: Push
) -> None:
    """The files of the instances are joined one after the other, the app's output first."""
    site = make_site(workers=2)
    with cloud.local.runtime(log_by_file=True, overlap=2):
        ended = hand.deploy(site, image=push(site, "chatty", f"{says(GOOD_WORDS)}; {APP}"))
        assert ended.exit_status == 0, ended
        lines = site.log().splitlines()
    assert sum(line.endswith("Z Site started.") for line in lines) >= 4
    assert lines != sorted(lines)


def test_two_instances_that_each_fail_once_and_recover_are_up(
    make_site: MakeSite, hand: Hand, cloud: Cloud
) -> None:
    """The right to pull comes late: App Service tries again by itself, and `wait` sees the end."""
    site = make_site(workers=2)
    path = f"{cloud.registry_id()}/providers/Microsoft.Authorization/roleAssignments"
    mine = cloud.arm("GET", site.id)["identity"]["principalId"]
    roles = [
        one for one in cloud.arm("GET", path)["value"] if one["properties"]["principalId"] == mine
    ]

    def withdraw() -> None:
        for one in roles:
            cloud.arm("DELETE", one["id"])

    with cloud.local.runtime(blocked=6, log_by_file=True):
        with meanwhile(cloud, withdraw, method="PATCH", path=f"{site.name}/config/web"):
            hand.deploy(site, wait=False)
        eventually(lambda: site.log().count("Z Container pull image failed") == 2)
        for one in roles:
            cloud.arm("PUT", one["id"], {"properties": one["properties"]})
        name = f"Creating container with image: {site.runs}"
        eventually(lambda: site.log().count(name) == 2, seconds=30)
        started = f"{name}.*Z Site started[.].*Z Site started[.]"
        eventually(lambda: re.search(started, site.log(), re.S), seconds=30)
        ended = hand.wait(site)
    assert ended.exit_status == 0, ended
    assert ended.evidence["log"] == "the new image started and is ready"


def test_a_log_of_which_only_the_last_lines_are_given_is_enough(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    with cloud.local.runtime(log_lines=40):
        ended = hand.deploy(site)
        assert len(site.log().splitlines()) <= 80
    assert ended.exit_status == 0, ended
    assert ended.evidence["log"] == "the new image started and is ready"


@pytest.mark.thorough
def test_a_way_back_into_a_block_waits_for_its_end(
    site: Site, hand: Hand, push: Push, cloud: Cloud
) -> None:
    image = push(site, "bad", "exit 3")
    with cloud.local.runtime(blocked=12):
        ended = hand.deploy(site, image=image, rollback=False, timeout=20)
        assert ended.exit_status == 5, ended
        eventually(lambda: "will be blocked for" in site.log(), seconds=60)
        client = SiteClient(hand.session, id_of(site))
        since = newest_stamp(client)
        observed = observe(client)
        site.configure(linuxFxVersion=f"DOCKER|{site.image()}")
        began = time.monotonic()
        verdict = verify(
            hand.session,
            client,
            observed,
            site.image(),
            log_since=since,
            health_path="/",
            timeout=2,
            say=print,
            pace=QUICK,
            is_way_back=True,
        )
    assert verdict.healthy, verdict
    assert time.monotonic() - began > 4


@pytest.mark.thorough
def test_a_block_without_an_end_does_not_keep_a_way_back_for_ever(
    site: Site, hand: Hand, push: Push, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The app prints App Service's own line about a block; the release's record ends some time."""
    monkeypatch.setattr("azext_otelembed.verification.verify.LONGEST_BLOCK", 3)
    line = "Site: shop will be blocked for 2 minutes till 01/01/9999 00:00:00"
    image = push(site, "endless", f'echo "{line}"; sleep 600')
    client = SiteClient(hand.session, id_of(site))
    since, observed = newest_stamp(client), observe(client)
    site.configure(linuxFxVersion=f"DOCKER|{image}")
    began = time.monotonic()
    verdict = verify(
        hand.session,
        client,
        observed,
        image,
        log_since=since,
        health_path="/",
        timeout=4,
        say=print,
        pace=QUICK,
        is_way_back=True,
    )
    assert verdict.healthy is False
    assert "blocks further starts until 00:00:00 UTC" in verdict.evidence["log"]
    assert 6 < time.monotonic() - began < 30
