"""Slots: deploying to one, and taking it into production."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.e2e import images
from tests.e2e.support import SETTING, Cloud, Site


def _with_slot(cloud: Cloud, **settings: str) -> tuple[Site, Site]:
    production = cloud.make_site()
    slot = cloud.make_site(
        group=production.group,
        name=production.name,
        slot="staging",
        repository=production.repository,
        component=False,
        settings={"WHERE": "staging", **settings},
    )
    return production, slot


def _stick(site: Site, *names: str) -> None:
    body = {"properties": {"appSettingNames": list(names)}}
    site.cloud.arm("PUT", f"{site.id}/config/slotConfigNames", body)


def test_a_slot_that_came_up_is_swapped_and_production_is_verified(cloud: Cloud) -> None:
    production, slot = _with_slot(cloud)
    _stick(production, "WHERE")
    answer = slot.deploy("--swap")
    assert answer.returncode == 0, answer.show()
    assert production.runs == answer.json["image"]["name"]
    assert slot.runs == slot.image()
    assert production.settings()[SETTING]
    assert "WHERE" not in production.settings(), "a sticky setting stays in its slot"
    assert slot.settings()["WHERE"] == "staging"
    assert "swap" in answer.json["seconds"]
    assert production.status("--check", "--wait", "60", "-o", "none").returncode == 0
    listed = cloud.otelembed("history", *production.arguments).json
    assert [one["state"] for one in listed] == ["succeeded"]

    again = slot.deploy("--swap")
    assert again.returncode == 0, again.show()
    assert again.json["changed"] is False
    assert again.writes == []


@pytest.mark.thorough
def test_production_that_does_not_come_up_is_swapped_back(cloud: Cloud, tmp_path: Path) -> None:
    production, slot = _with_slot(cloud)
    _stick(production, "WHERE")
    # Comes up in the slot only: where production's own setting is missing, it ends.
    script = '[ "$WHERE" = staging ] || exit 3; exec "$@"'
    layout = images.variant(
        tmp_path / "picky",
        Entrypoint=["/bin/sh", "-c", script, "entrypoint"],
        Cmd=["/usr/local/bin/shop"],
    )
    slot.push("picky", layout)
    answer = slot.deploy("--image", slot.image("picky"), "--swap", "--timeout", "40")
    assert answer.returncode == 4, answer.show()
    assert answer.json["release"]["state"] == "rolled back"
    assert answer.json["changed"] is False
    assert production.runs == production.image()
    assert "swapped back" in answer.stderr
    production.answers()
    (latest, *_) = cloud.otelembed("history", *production.arguments).json
    assert latest["state"] == "rolled back"


@pytest.mark.thorough
def test_a_swap_that_is_interrupted_says_so_and_goes_on_when_it_is_run_again(cloud: Cloud) -> None:
    production, slot = _with_slot(cloud)
    before = cloud.mark()
    with cloud.fault(service="arm", method="GET", path="/sites/.*/operationresults/", hold=True):
        process = cloud.az.popen("otelembed", "deploy", *slot.arguments, "--swap")
        cloud.until_held(process, before)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert stdout == ""
    *_, last = stderr.strip().splitlines()
    assert last == (
        f"otelembed: SIGINT received: Web App '{slot.name}' slot 'staging' may or may not be "
        "swapped with production; run the same command again to continue."
    )
    again = slot.deploy("--swap")
    assert again.returncode == 0, again.show()
    assert again.json["release"]["state"] == "succeeded"
    assert production.runs == again.json["image"]["name"]
    assert slot.runs == slot.image()
    listed = cloud.otelembed("history", *production.arguments).json
    assert [one["state"] for one in listed] == ["succeeded"]


def test_a_swap_that_would_take_the_setting_from_production_is_refused(cloud: Cloud) -> None:
    production, slot = _with_slot(cloud)
    _stick(production, SETTING)
    answer = slot.deploy("--swap")
    assert answer.returncode == 1, answer.show()
    assert "slot setting" in answer.stderr
    assert "az webapp config appsettings set" in answer.stderr
    assert answer.writes == []


def test_swap_needs_a_slot(cloud: Cloud) -> None:
    answer = cloud.otelembed("deploy", "-g", "shop-rg", "-n", "shop", "--swap")
    assert answer.returncode == 1
    assert "--slot" in answer.stderr
    assert answer.requests == []
