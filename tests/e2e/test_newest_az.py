"""The extension under the newest az. All other tests run under the oldest one that it supports.

az loads its own azure-mgmt-web before the extension's: its version differs between releases of az.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import parse_qs

import pytest

from azext_otelembed.azure.sites import API_VERSION
from localazure.az import Az
from localazure.client import ROOT
from tests.e2e import images
from tests.e2e.support import EXTENSIONS, Answer, Cloud, Site
from tests.needs import lacking

pytestmark = pytest.mark.thorough(minutes=2)

PROGRAM = ROOT / ".local" / "az-newest" / "bin" / "az"
LONG_AGO = "2026-01-05T08:00:00.0000000Z"


@pytest.fixture(scope="module")
def newest(cloud: Cloud) -> Az:
    """The newest az, logged in as the subscription's owner."""
    if not PROGRAM.exists():
        lacking("`make test-all` installs the newest az")
    az = Az(cloud.local, cloud.directory / "az-newest", EXTENSIONS, PROGRAM)
    az.login()
    return az


@pytest.fixture(scope="module")
def production(cloud: Cloud) -> Site:
    return cloud.make_site(registry=cloud.add_registry())


def checked(answer: Answer) -> Answer:
    """An answer with status 0 whose requests for sites all have the extension's api-version."""
    assert answer.returncode == 0, answer.show()
    versions = {
        version
        for request in answer.requests
        if request["service"] == "arm" and "/microsoft.web/sites" in request["path"].lower()
        for version in parse_qs(request["query"])["api-version"]
    }
    assert versions == {API_VERSION}, answer.show()
    return answer


def test_it_is_not_older_than_the_oldest(cloud: Cloud, newest: Az) -> None:
    found = [cloud.run("version", az=az).json["azure-cli"] for az in (None, newest)]
    oldest, latest = ([int(part) for part in version.split(".")] for version in found)
    assert oldest <= latest


def test_a_site_is_embedded_and_its_slot_swapped(
    cloud: Cloud, production: Site, newest: Az
) -> None:
    checked(production.deploy(az=newest))
    status = checked(production.status("--check", "--wait", "60", az=newest)).json
    assert status["image"]["name"] == production.runs
    slot = cloud.make_site(
        group=production.group,
        name=production.name,
        slot="staging",
        repository=production.repository,
        registry=production.registry,
        component=False,
    )
    slot.push("1.1", source="1.0")
    deployed = checked(slot.deploy("--image", slot.image("1.1"), "--swap", az=newest)).json
    assert production.runs == deployed["image"]["name"]


def test_the_main_site_container_is_embedded(cloud: Cloud, newest: Az) -> None:
    site = cloud.make_site()
    main = {"image": site.image(), "isMain": True, "authType": "SystemIdentity"}
    cloud.arm("PUT", f"{site.id}/sitecontainers/main", {"properties": {**main, "targetPort": "80"}})
    site.configure(linuxFxVersion="SITECONTAINERS")
    deployed = checked(site.deploy("--no-wait", az=newest)).json
    container = cloud.arm("GET", f"{site.id}/sitecontainers/main")["properties"]
    assert container["image"] == deployed["image"]["name"] != site.image()
    assert container["targetPort"] == "80"


def test_an_unused_image_is_pruned(
    cloud: Cloud, production: Site, newest: Az, tmp_path: Path
) -> None:
    tag = "1.0-otelembed-000000000001"
    digest = cloud.push(
        "other/app", tag, images.shell(tmp_path, "exit 1", tag), registry=production.registry
    )
    cloud.local.backdate(production.registry, "other/app", tag, LONG_AGO)
    arguments = ("--registry", production.registry, "--delete", "--yes")
    pruned = checked(cloud.otelembed("prune", *arguments, az=newest))
    assert digest in pruned.stdout
    assert f"DELETE /v2/other/app/manifests/{digest}" in pruned.writes
