"""Broken links from a site to Application Insights: what deploy, status and doctor say.

With `-s`, prints the table.
"""

from __future__ import annotations

import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from azext_otelembed.collector.config import load
from azext_otelembed.console import Console
from azext_otelembed.errors import OtelembedError
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.inputs import embed_options
from azext_otelembed.release.chain import NAMES
from azext_otelembed.release.doctor import doctor
from azext_otelembed.release.status import status
from azext_otelembed.release.telemetry_check import TelemetryQuestion
from azext_otelembed.validation.binary_cache import BinaryCache
from localazure.az import Az
from tests.e2e.support import COLLECTOR, SETTING, Cloud, Site, eventually, is_write
from tests.release.broken_links import ALIKE, ROWS, Row, undo
from tests.release.support import Hand, MakeSite, id_of
from tests.selection import rest_is_thorough


def examined(hand: Hand, site: Site, seconds: float = 0.0) -> dict[str, Any]:
    """The result of `az otelembed doctor`; a write fails the test."""
    before = site.cloud.mark()
    found = doctor(
        hand.session,
        id_of(site),
        question=TelemetryQuestion(seconds),
        app_insights=None,
        health_path="/",
        console=Console(stream=io.StringIO()),
        binaries=BinaryCache(Path("/nonexistent")),
    )
    mine = (site.name.lower(), site.group.lower())
    asked = [r for r in site.cloud.requests(before) if any(m in r["path"].lower() for m in mine)]
    assert asked
    assert [f"{r['method']} {r['path']}" for r in asked if is_write(r)] == []
    assert [one["link"] for one in found["links"]] == list(NAMES)
    return found


def states(found: dict[str, Any]) -> dict[str, str]:
    return {one["link"]: one["state"] for one in found["links"]}


def link(found: dict[str, Any], name: str) -> dict[str, Any]:
    (one,) = (each for each in found["links"] if each["link"] == name)
    return dict(one)


def broken(found: dict[str, Any]) -> tuple[str, ...]:
    return tuple(name for name, state in states(found).items() if state == "broken")


@pytest.fixture(scope="module")
def embedded(cloud: Cloud, hand: Hand) -> Iterator[Site]:
    """A site that runs embedded, and has sent telemetry."""
    cloud.local.add_vault({"name": "links", "group": "shop-rg", "rbac": True})
    site = cloud.make_site()
    hand.deploy(site, wait=False)
    eventually(lambda: site.get("/spans?n=1").status_code == 200)
    yield site
    cloud.rest(cloud.awake.index(site))


def told_by_deploy(hand: Hand, site: Site) -> str:
    """What `deploy --dry-run` of another image says about the telemetry, or why it refuses."""
    try:
        ended = hand.deploy(site, dry_run=True, launcher=Launcher(collector_logs="stderr"))
    except OtelembedError as refused:
        return f"refused: {refused.message}"
    said = [line for line in ended.said.splitlines() if not re.match(r"otelembed: \w+: ", line)]
    changes = [f"changes {one['what']}" for one in ended.result["changes"] if "what" in one]
    return "; ".join([*said, *changes]) or json.dumps(ended.result["changes"])


def told_by_status(hand: Hand, site: Site) -> str:
    """What `status --check` says."""
    found = status(
        hand.session,
        id_of(site),
        options=embed_options(COLLECTOR, load(None)),
        app_insights=None,
        health_path="/",
        console=Console(stream=io.StringIO()),
        question=TelemetryQuestion(),
    )
    words = {True: "healthy", False: "not healthy", None: "not proven healthy"}[found["healthy"]]
    return f"{words}: {'; '.join([*found['problems'], found['telemetry']['reason'] or ''])}"


def test_every_link_of_a_site_whose_telemetry_arrives_holds(embedded: Site, hand: Hand) -> None:
    found = examined(hand, embedded, 60)
    assert set(states(found).values()) == {"ok"}, json.dumps(found, indent=1)
    assert found["healthy"] is True
    assert "from this release" in link(found, "rows")["evidence"]
    assert "4317 and 4318" in link(found, "ports")["evidence"]
    assert link(found, "configuration")["evidence"] == "the default configuration"


@pytest.mark.parametrize(
    "row", rest_is_thorough(ROWS, lambda row: row.title not in ALIKE), ids=lambda row: row.title
)
def test_a_broken_link_is_named_with_the_command_that_repairs_it(
    embedded: Site, hand: Hand, row: Row
) -> None:
    before = embedded.settings()
    with embedded.cloud.local.ingestion(latency=3600):
        row.change(embedded)
        try:
            embedded.answers()
            # A collector that exits does so a moment after the container's start.
            eventually(lambda: set(row.broken) <= set(broken(examined(hand, embedded))))
            found = examined(hand, embedded)
            deploy, check = told_by_deploy(hand, embedded), told_by_status(hand, embedded)
        finally:
            undo(embedded, before, row)
    embedded.answers()
    told = [
        f"{one['link']}: {one['evidence']} → {one['fix']}"
        for one in found["links"]
        if one["state"] == "broken"
    ]
    print(f"\n{row.title}\n  deploy: {deploy}\n  status --check: {check}\n  doctor: {told}")
    # A change of the right to pull also restarts the site, which then can't start.
    named = tuple(name for name in broken(found) if name != "site")
    assert named == row.broken, json.dumps(found, indent=1)
    assert found["healthy"] is False
    for name in row.broken:
        one = link(found, name)
        assert one["evidence"]
        assert one["commands"] or name == "collector", one
        assert all(shlex.split(command)[0] == "az" for command in one["commands"])
    assert before[SETTING].partition("InstrumentationKey=")[2][:36] not in json.dumps(found)
    assert not check.startswith("healthy")
    if row.broken == ("endpoint",):
        assert deploy.startswith("refused: ") or "telemetry may not arrive" in deploy


def test_a_denied_reference_is_repaired_by_a_command_without_placeholders(
    embedded: Site, hand: Hand
) -> None:
    before = embedded.settings()
    (row,) = (one for one in ROWS if "Key Vault" in one.title)
    row.change(embedded)
    found, checked = examined(hand, embedded), told_by_status(hand, embedded)
    undo(embedded, before, row)
    (command,) = link(found, "setting")["commands"]
    words = shlex.split(command)
    assert words[:4] == ["az", "role", "assignment", "create"]
    vault = "/resourceGroups/shop-rg/providers/Microsoft.KeyVault/vaults/links"
    assert words[words.index("--scope") + 1].endswith(vault)
    assert re.fullmatch(r"[0-9a-f-]{36}", words[words.index("--assignee-object-id") + 1])
    assert f"`{command}`" in checked


def test_a_site_without_a_collector_has_one_broken_link(make_site: MakeSite, hand: Hand) -> None:
    found = examined(hand, make_site())
    assert broken(found) == ("image", "setting")
    assert link(found, "image")["commands"]
    assert states(found)["collector"] == "unknown"


def test_a_missing_role_is_repaired_by_the_printed_command(
    make_site: MakeSite, hand: Hand, az: Az
) -> None:
    site = make_site(pulls=False, wait=False)
    one = link(examined(hand, site), "pull")
    assert one["state"] == "broken"
    (command,) = one["commands"]
    assert f"--scope {site.cloud.registry_id()}" in command
    done = site.cloud.run(*shlex.split(command)[1:], az=az)
    assert done.returncode == 0, done.show()
    assert link(examined(hand, site), "pull")["state"] == "ok"


def test_a_site_of_another_kind_is_told_and_nothing_else_is_asked(
    make_site: MakeSite, hand: Hand
) -> None:
    site = make_site()
    site.configure(linuxFxVersion="COMPOSE|dmVyc2lvbjogJzMnCg==")
    found = examined(hand, site)
    assert broken(found) == ("site",)
    assert set(states(found).values()) == {"broken", "unknown"}


def test_a_stopped_site_is_the_broken_link(make_site: MakeSite, hand: Hand) -> None:
    site = make_site()
    site.cloud.arm("POST", f"{site.id}/stop")
    found = examined(hand, site)
    assert "site" in broken(found)
    assert link(found, "site")["commands"] == [f"az webapp start {id_of(site).arguments}"]
