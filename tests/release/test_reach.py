"""Releases from a machine that reaches Azure and the registry, but not the site."""

from __future__ import annotations

import time

import pytest

from tests.e2e.support import Site
from tests.release.support import NEW, Hand


@pytest.fixture
def far(hand: Hand, site: Site, monkeypatch: pytest.MonkeyPatch) -> Hand:
    """A caller whose proxy lets Azure and the registries through, and refuses all else."""
    local = site.cloud.local
    allowed = [local.management, str(local.info["blobs"]), *local.registries.values()]
    direct = ",".join(address.rpartition("/")[2] for address in allowed)
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.setenv(name, direct)
    return hand


def test_the_plan_says_that_the_site_can_not_be_reached(site: Site, far: Hand) -> None:
    told = f"can't reach Web App '{site.name}' (the proxy refuses the connection): the verdict"
    planned = far.deploy(site, dry_run=True)
    assert planned.result["reachable"] is False
    assert told in planned.said
    ended = far.deploy(site)
    assert (ended.exit_status, ended.release) == (0, "succeeded")
    assert (ended.result["healthy"], ended.result["reachable"]) == (True, False)
    assert told in ended.said
    back = far.remove(site)
    assert (back.exit_status, back.result["healthy"]) == (0, True)
    assert told in back.said


def test_a_site_that_can_be_reached_is_asked_once_before_the_change(site: Site, hand: Hand) -> None:
    before = site.cloud.mark()
    ended = hand.deploy(site)
    assert ended.result["reachable"] is True
    assert "can't reach" not in ended.said
    asked = site.cloud.requests(before)
    patch = next(n for n, one in enumerate(asked) if one["method"] == "PATCH")
    assert len([one for one in asked[:patch] if one["service"] == "site"]) == 1
    pending = hand.deploy(site, connection_string=NEW, wait=False)
    assert pending.result["reachable"] is None, "a release that isn't verified asks nothing"


def test_a_site_that_hangs_is_reached_and_delays_the_plan_by_two_seconds(
    site: Site, hand: Hand
) -> None:
    host = site.url.partition("://")[2]
    with site.cloud.fault(service="site", host=host, latency=8, times=0):
        began = time.monotonic()
        planned = hand.deploy(site, dry_run=True)
    assert planned.result["reachable"] is True
    assert time.monotonic() - began < 6
