"""Which image `az otelembed deploy` embeds, under which name, and what it starts from."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from localazure.az import Az
from localazure.images.assemble import Entry, Image, layer, write_layout
from tests.e2e import images
from tests.e2e.support import IMAGES, Answer, Cloud, Site, eventually
from tests.localazure.core_support import Shop


@pytest.fixture(scope="module")
def shared(cloud: Cloud) -> Site:
    """A site that was deployed once; its tests bring it from one image to the next."""
    site = cloud.make_site()
    assert deployed(site.deploy("--only-show-errors"))
    return site


def deployed(answer: Answer) -> str:
    """The image of a deploy that did what it should."""
    assert answer.returncode == 0, answer.show()
    result = answer.json
    assert result["healthy"] is True
    return str(result["image"]["name"])


def runs_embedded(site: Site) -> bool:
    """Whether the container that answers hands a span to a collector of its own."""
    return bool(site.get("/spans?n=1").json() == {"spans": 1})


def entrypoint(site: Site, tag: str) -> list[str]:
    """The Entrypoint of an image in the site's repository."""
    with site.cloud.local.http() as http:
        registry = Shop(site.cloud.local, http, site.host, site.repository)
        manifest = registry.call("GET", f"/manifests/{tag}", "pull").json()
        blob = f"/blobs/{manifest['config']['digest']}"
        config = registry.call("GET", blob, "pull", follow_redirects=True).json()
    words: list[str] = config["config"]["Entrypoint"]
    return words


def test_a_new_image_is_embedded_and_released(shared: Site, tmp_path: Path) -> None:
    shared.push("2.0", images.variant(tmp_path, Cmd=["/usr/local/bin/shop", "--greeting", "Two"]))
    answer = shared.deploy("--image", shared.image("2.0"))
    assert deployed(answer).startswith(shared.image("2.0-otelembed-"))
    assert answer.json["base"]["name"] == shared.image("2.0")
    assert [change["what"] for change in answer.json["changes"]] == ["image"]
    assert shared.get().text.startswith("Two from the shop")
    assert runs_embedded(shared)


def test_an_image_without_a_host_lies_in_the_registry_of_the_one_that_runs(
    shared: Site, tmp_path: Path
) -> None:
    shared.push("3.0", images.variant(tmp_path, Cmd=["/usr/local/bin/shop", "--greeting", "Three"]))
    answer = shared.deploy("--image", f"{shared.repository}:3.0", "--tag", "release-3")
    assert deployed(answer) == shared.image("release-3")
    assert shared.runs == shared.image("release-3")
    assert shared.get().text.startswith("Three from the shop")
    again = shared.deploy("--image", f"{shared.repository}:3.0", "--tag", "release-3")
    assert deployed(again) == shared.image("release-3")
    assert again.json["changed"] is False


def test_a_tag_that_is_taken_by_another_image_is_refused(shared: Site, tmp_path: Path) -> None:
    shared.push("4.0", images.variant(tmp_path, Cmd=["/usr/local/bin/shop", "--greeting", "Four"]))
    runs = shared.runs
    for taken in (runs.rpartition(":")[2], "1.0"):
        answer = shared.deploy("--image", f"{shared.repository}:4.0", "--tag", taken)
        assert answer.returncode == 1, answer.show()
        assert f"--tag '{taken}': {shared.image(taken)} exists already" in answer.stderr
        assert not answer.writes, answer.show()
    assert shared.runs == runs


def test_a_build_moves_the_tag_of_an_embedded_image_and_of_no_other(
    shared: Site, tmp_path: Path
) -> None:
    shared.push("5.0", images.variant(tmp_path, Cmd=["/usr/local/bin/shop", "--greeting", "Five"]))
    cloud = shared.cloud
    for tag in ("1.0", "5.0"):
        answer = cloud.otelembed("build", "--image", shared.image(tag), "--tag", "moving")
        assert answer.returncode == 0, answer.show()
    refused = cloud.otelembed("build", "--image", shared.image("5.0"), "--tag", "1.0")
    assert refused.returncode == 1, refused.show()
    assert "exists already and is another image" in refused.stderr


@pytest.mark.thorough
def test_a_registry_can_be_named_for_an_image_without_a_host(cloud: Cloud) -> None:
    site = cloud.make_site()
    other = cloud.add_registry()
    host = cloud.local.registries[other]
    cloud.push("moved", "1.0", IMAGES / "app", registry=other)
    principal = cloud.arm("GET", site.id)["identity"]["principalId"]
    allowed = cloud.run(
        *("role", "assignment", "create", "--role", "AcrPull", "-o", "none"),
        *("--assignee-object-id", principal, "--assignee-principal-type", "ServicePrincipal"),
        *("--scope", cloud.registry_id(other)),
    )
    assert allowed.returncode == 0, allowed.show()
    answer = site.deploy("--registry", other, "--image", "moved:1.0")
    assert deployed(answer).startswith(f"{host}/moved:1.0-otelembed-")
    assert runs_embedded(site)


def test_an_embedded_image_is_never_wrapped_twice(shared: Site) -> None:
    first, base, arguments = shared.runs, shared.status().json["base"], shared.get("/args").json()
    again = shared.deploy("--image", first, "--tag", "twice")
    assert deployed(again) == shared.image("twice")
    assert again.json["base"] == base
    words = entrypoint(shared, "twice")
    assert words == entrypoint(shared, first.rpartition(":")[2])
    assert words[3:] == ["otelembed", "/usr/local/bin/docker-entrypoint.sh"]
    assert shared.get("/args").json() == arguments


@pytest.mark.thorough
def test_a_new_collector_is_embedded_in_the_recorded_base(shared: Site, tmp_path: Path) -> None:
    before, arguments = shared.status().json, shared.get("/args").json()
    assert before["collector"]["version"] == "0.150.0"
    newer = newer_collector(shared.cloud, tmp_path)
    upgrade = shared.deploy("--collector-image", newer)
    assert deployed(upgrade) != before["image"]["name"]
    assert upgrade.json["base"] == before["base"]
    assert upgrade.json["collector"]["name"] == newer
    assert upgrade.json["collector"]["version"] == "0.151.0"
    assert [change["what"] for change in upgrade.json["changes"]] == ["image"]
    assert shared.get("/args").json() == arguments
    assert runs_embedded(shared)
    status = shared.status()
    assert status.json["collector"]["version"] == "0.151.0"
    assert any("0.150.0" in update for update in status.json["updates"])


def newer_collector(cloud: Cloud, folder: Path) -> str:
    """The same collector with another CA bundle, as version 0.151.0 on the public registry."""
    layers, config = images.read(IMAGES / "collector")
    extra = layer([Entry("etc/otelcol-contrib/news", b"0.151.0\n")])
    write_layout(folder, Image([*layers, extra], config), "0.151.0")
    name = "otel/opentelemetry-collector-contrib"
    cloud.local.push("hub", name, "0.151.0", folder)
    return f"{cloud.local.registries['hub']}/{name}:0.151.0"


def test_a_configuration_of_ones_own_is_what_the_collector_runs_with(
    shared: Site, tmp_path: Path
) -> None:
    default = (Path(__file__).parents[2] / "azext_otelembed/collector/default.yml").read_text()
    insert = "      - key: service.version\n        action: upsert\n        value: from-a-file\n"
    marked = default.replace("    attributes:\n", "    attributes:\n" + insert, 1)
    assert marked != default
    config = tmp_path / "collector.yml"
    config.write_text(marked)
    answer = shared.deploy("--image", shared.image("1.0"), "--collector-config", str(config))
    deployed(answer)
    local = shared.cloud.local
    shared.get()
    eventually(lambda: "from-a-file" in json.dumps(local.telemetry()))
    fine = shared.status("--collector-config", str(config))
    assert fine.json["updates"] == []
    differs = shared.status()
    assert [update for update in differs.json["updates"] if "recipe differs" in update]
    assert differs.json["config"] == fine.json["config"]


@pytest.fixture(scope="module")
def unprepared(cloud: Cloud) -> tuple[Site, Az]:
    """A site in a registry without a collector, and a caller who may push there, not import."""
    site = cloud.make_site(registry=cloud.add_registry())
    registry = cloud.registry_id(site.registry)
    group = f"/subscriptions/{cloud.local.subscription}/resourceGroups/{site.group}"
    # A reader sees the registry among the subscription's: else no import would be tried.
    roles = ("AcrPush", registry), ("Reader", registry), ("Website Contributor", group)
    return site, cloud.caller(*roles)


def test_a_caller_who_may_not_import_gets_the_collector_copied_with_a_progress_bar(
    cloud: Cloud, unprepared: tuple[Site, Az]
) -> None:
    site, pusher = unprepared
    # docker.io itself can't be reached from here, but what the double has in its place can.
    collector = f"{cloud.local.registries['hub']}/otel/opentelemetry-collector-contrib:0.150.0"
    arguments = (*site.arguments, "--collector-image", collector, "-o", "none")
    # Slowed down a little: a copy over loopback is done before a person could see it.
    with cloud.fault(service="acr", method="PATCH", times=0, latency=0.4):
        before = cloud.mark()
        screen = cloud.on_terminal("otelembed", "deploy", *arguments, az=pusher)
        requests = cloud.requests(before)
    assert screen.returncode == 0, screen.text
    assert f"copying {collector}"[:40] in screen.raw
    assert re.search(r"\d+\.\d/\d+\.\d MB \d+\.\d MB/s", screen.raw)
    assert "✓ embed" in screen.text
    imports = [r["status"] for r in requests if r["path"].lower().endswith("/importimage")]
    assert imports == [403], "it was tried, and refused"
    largest = max(path.stat().st_size for path in (IMAGES / "collector").rglob("*"))
    assert sum(r["sent"] for r in requests) > largest, "the binary went through this machine"
    assert runs_embedded(site)
