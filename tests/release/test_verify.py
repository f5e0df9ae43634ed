"""What a deploy takes for a site that is up, with containers that fail in each of the ways."""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from localazure.images.assemble import Entry, Image, layer, write_layout
from tests.e2e import images
from tests.e2e.support import API_KEY, SETTING, Cloud, Site
from tests.localazure import runtime_support
from tests.release.support import NEW, OLD, QUICK, Contents, Hand, MakeSite, Push, meanwhile

LAST_WORDS = "the database is not there"
APP = "exec /usr/local/bin/docker-entrypoint.sh /usr/local/bin/shop"
DIES = f"({APP}) & sleep 1.5; exit 7"
REFUSES = f'[ -z "${SETTING}" ] || {{ sleep 1; exit 3; }}; {APP}'
START_LIMIT = "WEBSITES_CONTAINER_START_TIME_LIMIT"
ANSWERS = """
import socket
listener = socket.create_server(("0.0.0.0", 8080))
while True:
    connection, _ = listener.accept()
    with connection:
        path = connection.recv(4096).split(b" ")[1]
        status = b"500 Internal Server Error" if path == b"/health" else b"200 OK"
        connection.sendall(b"HTTP/1.1 " + status + b"\\r\\nContent-Length: 0\\r\\n\\r\\n")
"""


def is_as_before(site: Site, hand: Hand) -> None:
    """The app image runs, nothing of the setting is left, and the record says so."""
    assert site.runs == site.image()
    assert SETTING not in site.settings()
    assert site.settings()["PAYMENT_API_KEY"] == API_KEY
    assert hand.states(site)[0] == "rolled back"
    site.answers()


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        pytest.param(
            f"echo {LAST_WORDS}; echo $PAYMENT_API_KEY; exit 3",
            "it exited with status 3",
            id="exits at once",
        ),
        pytest.param(
            f"echo {LAST_WORDS}; sleep 600",
            "it didn't answer on port 8080 within 2 s",
            id="listens nowhere",
        ),
        pytest.param(
            f"echo {LAST_WORDS}; PORT=8099 {APP}",
            "it didn't answer on port 8080 within 2 s",
            id="listens on another port",
            marks=pytest.mark.thorough,
        ),
        pytest.param(
            f"echo {LAST_WORDS}; {DIES}",
            "it exited with status 7",
            id="dies again and again",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_a_container_that_fails_is_rolled_back_with_its_last_words(
    site: Site, hand: Hand, push: Push, script: str, reason: str
) -> None:
    image = push(site, "bad", script)
    site.set(**{START_LIMIT: "2"})
    ended = hand.deploy(site, image=image, timeout=25, pace=replace(QUICK, settled=2))
    assert ended.exit_status == 4, ended
    assert ended.result["healthy"] is False
    assert ended.result["changed"] is False
    assert reason in ended.result["reason"]
    assert set(ended.evidence) == {"configuration", "instances", "log", "http"}
    assert reason in ended.evidence["log"] or ended.evidence["log"].endswith("ready")
    assert f"Z {LAST_WORDS}\n" in ended.said
    assert API_KEY not in ended.said + str(ended.result)
    assert f"was rolled back to {site.image()}" in ended.said
    is_as_before(site, hand)


@pytest.mark.thorough
def test_a_container_that_dies_after_it_answered_is_not_up_between_its_deaths(
    site: Site, hand: Hand, push: Push
) -> None:
    """App Service starts it again at once, and holds requests back meanwhile."""
    image = push(site, "loop", f"({APP}) & sleep 0.7; exit 7")
    ended = hand.deploy(site, image=image, timeout=20, pace=replace(QUICK, settled=2))
    assert ended.exit_status == 4, ended
    is_as_before(site, hand)


def test_an_image_that_is_gone_when_the_site_pulls_it_is_rolled_back(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    def delete() -> None:
        contents = Contents(cloud, site.host)
        held = contents.manifests(site.repository).values()
        (tag,) = (tag for tags in held for tag in tags if "otelembed" in tag)
        contents.delete(site.repository, tag)

    with meanwhile(cloud, delete, method="PATCH", path=f"{site.name}/config/web"):
        ended = hand.deploy(site, timeout=20)
    assert ended.exit_status == 4, ended
    assert ended.result["reason"] == "the new container failed: its image can't be pulled"
    is_as_before(site, hand)


@pytest.mark.thorough
def test_a_role_that_is_withdrawn_meanwhile_leaves_a_site_that_can_not_start(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    """The old image can't be pulled then either: the message says so."""
    scope = cloud.registry_id()
    path = f"{scope}/providers/Microsoft.Authorization/roleAssignments"
    resource = cloud.arm("GET", site.id)
    mine = resource["identity"]["principalId"]

    def withdraw() -> None:
        for one in cloud.arm("GET", path)["value"]:
            if one["properties"]["principalId"] == mine:
                cloud.arm("DELETE", one["id"])

    with meanwhile(cloud, withdraw, method="PATCH", path=f"{site.name}/config/web"):
        ended = hand.deploy(site, timeout=20)
    assert ended.exit_status == 5, ended
    reason = "the new container failed: its image can't be pulled: unauthorized"
    assert ended.result["reason"] == reason
    assert "which fails to start too" in ended.said
    assert site.runs == site.image()
    assert SETTING not in site.settings()
    assert hand.states(site) == ["failed"]


def test_a_failing_health_path_is_rolled_back(site: Site, hand: Hand, tmp_path: Path) -> None:
    program = str(Path(sys.executable).resolve())
    files = layer([Entry("/app/answers.py", ANSWERS.encode())])
    layers = [runtime_support.shell(), runtime_support.python(), files]
    config = {"Entrypoint": [program, "-I", "-S", "/app/answers.py"]}
    write_layout(tmp_path, Image(layers, config), "ill")
    site.push("ill", tmp_path)
    ended = hand.deploy(site, image=site.image("ill"), health_path="/health", timeout=12)
    assert ended.exit_status == 4, ended
    assert ended.result["reason"] == "after 12 s it doesn't answer: HTTP 500"
    assert ended.evidence["http"] == "HTTP 500 on /health"
    assert ended.evidence["log"] == "the new image started and is ready"
    is_as_before(site, hand)
    assert hand.deploy(site, image=site.image("ill"), health_path="/").exit_status == 0


def test_a_slow_start_is_waited_for_while_the_old_container_answers(
    site: Site, hand: Hand, push: Push
) -> None:
    image = push(site, "slow", f"sleep 5; {APP}")
    began = time.monotonic()
    ended = hand.deploy(site, image=image, timeout=60)
    assert ended.exit_status == 0, ended
    assert time.monotonic() - began > 5
    assert ended.evidence["log"] == "the new image started and is ready"
    assert site.runs == ended.result["image"]["name"]


@pytest.mark.thorough
def test_a_start_that_is_slower_than_the_timeout_is_rolled_back(
    site: Site, hand: Hand, push: Push
) -> None:
    image = push(site, "slower", f"sleep 30; {APP}")
    ended = hand.deploy(site, image=image, timeout=12)
    assert ended.exit_status == 4, ended
    reason = "after 12 s the container log doesn't show the new image ready"
    assert ended.result["reason"] == reason
    assert ended.evidence["http"].startswith("HTTP 200"), "that is the old container"
    is_as_before(site, hand)


@pytest.mark.parametrize(
    "trouble",
    [
        pytest.param("exit 3", id="exits"),
        pytest.param("sleep 600", id="hangs", marks=pytest.mark.thorough),
    ],
)
def test_one_bad_instance_of_three_is_enough(
    make_site: MakeSite, hand: Hand, push: Push, trouble: str
) -> None:
    site = make_site(workers=3)
    bad = hashlib.sha256(f"{site.id.lower()}#1".encode()).hexdigest()
    assert bad in str(site.cloud.arm("GET", f"{site.id}/instances"))
    site.set(**{START_LIMIT: "6"})
    script = f"echo $WEBSITE_INSTANCE_ID; [ $WEBSITE_INSTANCE_ID = {bad} ] && {trouble}; {APP}"
    ended = hand.deploy(site, image=push(site, "one", script), timeout=40)
    assert ended.exit_status == 4, ended
    assert "the new container failed" in ended.result["reason"]
    is_as_before(site, hand)


def test_three_good_instances_are_up(make_site: MakeSite, hand: Hand) -> None:
    ended = hand.deploy(make_site(workers=3))
    assert ended.exit_status == 0, ended
    assert ended.evidence["instances"] == "3 UNKNOWN"


@pytest.mark.parametrize(
    "before", [OLD, pytest.param("", marks=pytest.mark.thorough)], ids=["a value", "empty"]
)
def test_the_old_value_of_the_setting_comes_back(
    site: Site, hand: Hand, push: Push, before: str
) -> None:
    site.set(**{SETTING: before})
    settings = site.settings()
    image = push(site, "bad", "exit 3")
    ended = hand.deploy(site, image=image, connection_string=NEW, timeout=20)
    assert ended.exit_status == 4, ended
    assert site.settings() == settings
    assert site.runs == site.image()


def test_an_old_image_that_can_not_run_with_the_new_setting_comes_back(
    make_site: MakeSite, hand: Hand, tmp_path: Path, cloud: Cloud
) -> None:
    """Between the two writes of the way back it fails once more."""
    layout = images.variant(tmp_path, Entrypoint=["/bin/sh", "-c", REFUSES, "sh"])
    site = make_site(layout=layout)
    setting = {"method": "PUT", "path": f"{site.name}/config/appsettings"}
    with cloud.fault(service="arm", latency=3.0, nth=2, times=0, **setting):
        ended = hand.deploy(site, timeout=25)
    assert ended.exit_status == 4, ended
    is_as_before(site, hand)


def test_what_others_changed_meanwhile_stays_when_it_is_rolled_back(
    site: Site, hand: Hand, push: Push, cloud: Cloud
) -> None:
    image = push(site, "bad", "exit 3")
    change = lambda: site.set(SHOP_CURRENCY="CHF", ADDED="1", WEBSITES_PORT=None)  # noqa: E731
    patch = {"method": "PATCH", "path": f"{site.name}/config/web"}
    with meanwhile(cloud, change, after=True, **patch):
        ended = hand.deploy(site, image=image, timeout=20)
    assert ended.exit_status == 4, ended
    settings = site.settings()
    assert (settings["SHOP_CURRENCY"], settings["ADDED"]) == ("CHF", "1")
    assert "WEBSITES_PORT" not in settings
    is_as_before(site, hand)


def test_without_rollback_it_is_left_in_place_and_the_commands_printed(
    site: Site, hand: Hand, push: Push
) -> None:
    image = push(site, "bad", f"echo {LAST_WORDS}; exit 3")
    ended = hand.deploy(site, image=image, timeout=20, rollback=False)
    assert ended.exit_status == 5, ended
    assert ended.result["changed"] is True
    assert site.runs == ended.result["image"]["name"]
    assert SETTING in site.settings()
    assert f"az webapp config container set {' '.join(site.arguments)}" in ended.said
    assert f"--setting-names {SETTING}" in ended.said
    assert hand.states(site) == ["failed"]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("path", "piece", "words"),
    [
        ("/containerlogs", "log", "not seen: Azure gave no container log"),
        ("/instances", "instances", "not seen: "),
    ],
)
def test_what_azure_does_not_let_us_see_is_said_and_not_assumed(
    site: Site, hand: Hand, cloud: Cloud, path: str, piece: str, words: str
) -> None:
    site.set(**{START_LIMIT: "2"})
    with cloud.fault(service="arm", path=f"{site.name}{path}", status=403, times=0):
        ended = hand.deploy(site)
    assert ended.exit_status == 0, ended
    assert ended.evidence[piece].startswith(words)


def test_a_configuration_that_cannot_be_read_for_a_moment_is_no_failure(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    def fail() -> None:
        cloud.local.fault(method="GET", path=f"{site.name}/config/web", status=409, times=3)

    with meanwhile(cloud, fail, after=True, method="PATCH", path=f"{site.name}/config/web"):
        ended = hand.deploy(site)
    assert ended.exit_status == 0, ended


@pytest.mark.thorough
def test_a_configuration_that_can_never_be_read_proves_nothing(
    site: Site, hand: Hand, cloud: Cloud
) -> None:
    """Only an image that reads back as another one is a failure."""

    def fail() -> None:
        cloud.local.fault(method="GET", path=f"{site.name}/config/web", status=403, times=0)

    with meanwhile(cloud, fail, after=True, method="PATCH", path=f"{site.name}/config/web"):
        ended = hand.deploy(site, timeout=30)
    assert ended.exit_status == 6, ended
    assert ended.result["reason"].startswith("after 30 s its configuration not seen: ")
    assert site.runs == ended.result["image"]["name"], "it is not rolled back"
