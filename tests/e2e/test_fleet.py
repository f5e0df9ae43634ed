"""Many Web Apps in one go."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from localazure.images.assemble import Entry, Image, layer, write_layout
from tests.e2e import images
from tests.e2e.support import IMAGES, SETTING, Cloud, Site
from tests.programs import program

MakeSite = Callable[..., Site]

FAILING = 2
LATENCY = 0.2
"""Seconds that each request to Azure Resource Manager takes."""
REFUSES = f'[ -z "${SETTING}" ] || {{ echo "no telemetry here"; exit 3; }}; exec "$@"'
"""An entrypoint that works until the connection string is set."""


def _refusing(directory: Path) -> Path:
    entrypoint = ["/bin/sh", "-c", REFUSES, "entrypoint"]
    return images.variant(directory, Entrypoint=entrypoint, Cmd=["/usr/local/bin/shop"])


@pytest.fixture(scope="module")
def collector(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The arguments for a collector that only waits: fifty real ones want a bigger machine."""
    layers = [
        layer([Entry("etc/ssl/certs/ca-certificates.crt", b"no certificates\n")]),
        layer([Entry("otelcol-contrib", program(), 0o755)]),
    ]
    waiting = Image(layers, {"Entrypoint": ["/otelcol-contrib"]})
    layout = tmp_path_factory.mktemp("collector")
    write_layout(layout, waiting, "1.0.0")
    cloud.local.push("hub", "someone/waiting", "1.0.0", layout)
    return "--collector-image", "docker.io/someone/waiting:1.0.0"


def _sites(make_site: MakeSite, count: int, layout: Path = IMAGES / "app") -> list[Site]:
    """Sites of one app image in one group, whose containers start side by side."""
    small = {"settings": {"GOMAXPROCS": "1"}}
    first = make_site(layout=layout, wait=False, **small)
    others = [
        make_site(
            group=first.group,
            repository=first.repository,
            layout=layout,
            component=False,
            wait=False,
            **small,
        )
        for _ in range(count - 1)
    ]
    return [first, *others]


@pytest.mark.parametrize(
    ("many", "faster"),
    [
        pytest.param(10, 2, marks=pytest.mark.thorough(minutes=1.5)),
        pytest.param(50, 8, marks=pytest.mark.thorough(minutes=3)),
    ],
)
def test_sites_side_by_side_with_two_that_fail_and_are_rolled_back(
    cloud: Cloud,
    make_site: MakeSite,
    collector: tuple[str, str],
    tmp_path: Path,
    many: int,
    faster: float,
) -> None:
    alone = _sites(make_site, 2)
    good = _sites(make_site, many - FAILING)
    bad = _sites(make_site, FAILING, _refusing(tmp_path / "refusing"))
    sites = [*bad, *good]
    for site in (*alone, *sites):
        site.answers(within=120)
    assert alone[0].deploy(*collector, "-o", "none").returncode == 0  # brings the collector in
    listed = tmp_path / "apps.txt"
    listed.write_text("# the whole shop\n" + "\n".join(site.id for site in sites) + "\n")

    with cloud.fault(service="arm", latency=LATENCY, times=0):
        began = time.monotonic()
        one = alone[1].deploy(*collector, "-o", "none")
        single = time.monotonic() - began
        assert one.returncode == 0, one.show()
        began = time.monotonic()
        fleet = ("deploy", "--apps-file", str(listed), "--timeout", "60")
        answer = cloud.otelembed(*fleet, *collector)
        together = time.monotonic() - began

    print(f"one site: {single:.1f} s; {many} sites: {together:.1f} s")
    assert answer.returncode == 4, answer.show()
    result = answer.json
    assert (result["succeeded"], result["failed"]) == (many - FAILING, FAILING)
    assert [one["site"] for one in result["sites"]] == [site.name for site in sites]
    failed = [one for one in result["sites"] if one["exitStatus"]]
    assert {one["site"] for one in failed} == {site.name for site in bad}
    assert all(one["release"]["state"] == "rolled back" for one in failed)
    for site in bad:
        assert site.runs == site.image()
        assert SETTING not in site.settings()
        site.answers()
        assert f"{site.name}: failed (4)" in answer.stderr
    puts = [r for r in answer.requests if r["method"] == "PUT" and "-otelembed-" in r["path"]]
    assert len(puts) == 2, "each of the two distinct images is made once"
    assert single * many / together >= faster


def test_a_fleet_stops_after_so_many_failures_and_goes_on_when_run_again(
    cloud: Cloud, make_site: MakeSite, collector: tuple[str, str]
) -> None:
    (bad,) = _sites(make_site, 1)
    good = _sites(make_site, 23)
    ids = [bad.id, *(site.id for site in good)]
    for site in (bad, *good):
        site.answers(within=120)
    options = (*collector, "--max-failures", "1")
    # Fails at its first requests, long before the first of the others has started.
    with cloud.fault(service="arm", path=f"{bad.id}/config/.*", status=403, times=0):
        answer = cloud.otelembed("deploy", "--ids", *ids, *options)
    assert answer.returncode == 1, answer.show()
    result = answer.json
    assert result["failed"] == 1
    assert result["notBegun"] > 0
    assert "run the same command again" in answer.stderr
    again = cloud.otelembed("deploy", "--ids", *ids[1:], *options)
    assert again.returncode == 0, again.show()
    assert again.json["succeeded"] == len(good)
    assert not all(one["changed"] for one in again.json["sites"])


def test_naming_no_site_or_both_ways_is_refused(cloud: Cloud, tmp_path: Path) -> None:
    none = cloud.otelembed("deploy")
    assert (none.returncode, none.requests) == (1, [])
    assert "--apps-file" in none.stderr
    empty = tmp_path / "apps.txt"
    empty.write_text("# nothing\n")
    both = cloud.otelembed("deploy", "-g", "shop-rg", "-n", "shop", "--apps-file", str(empty))
    assert both.returncode == 1
    wrong = tmp_path / "wrong.txt"
    wrong.write_text("/subscriptions/x/resourceGroups/y\n")
    answer = cloud.otelembed("deploy", "--apps-file", str(wrong))
    assert answer.returncode == 1
    assert "Line 1" in answer.stderr
    assert not [one for one in answer.requests if one["service"] != "aad"]


@pytest.mark.thorough
def test_the_fleet_waits_for_its_slowest_container(cloud: Cloud, make_site: MakeSite) -> None:
    sites = _sites(make_site, 2)
    for site in sites:
        site.answers()
    answer = cloud.otelembed("deploy", "--ids", *(site.id for site in sites), "-o", "json")
    assert answer.returncode == 0, answer.show()
    for site in sites:
        assert "-otelembed-" in site.runs
        assert site.status("--check", "--wait", "60", "-o", "none").returncode == 0
