"""`az otelembed deploy --launcher`, `--grace`, `--collector-logs` and `--shell-image`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localazure.images.assemble import Entry, Image, layer, write_layout
from localazure.images.shell import static_busybox
from tests.e2e.support import COLLECTOR, Cloud, Site, eventually
from tests.launchers.images import shop_entry

BUSYBOX = "docker.io/library/busybox:1.36.1-musl"
SPANS = 30


@pytest.fixture(scope="module")
def busybox(cloud: Cloud, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A busybox image in the public registry, laid out as Docker's own."""
    directory = tmp_path_factory.mktemp("busybox")
    links = [Entry(f"bin/{n}", kind="hardlink", target="bin/[") for n in ("busybox", "sh")]
    program = Entry("bin/[", static_busybox(), 0o755)
    image = Image([layer([Entry("bin", kind="dir"), program, *links])], {"Cmd": ["sh"]})
    write_layout(directory, image, "1.36.1-musl")
    cloud.push("library/busybox", "1.36.1-musl", directory, registry="hub")
    return BUSYBOX


@pytest.fixture
def bare(make_site: Callable[..., Site], tmp_path: Path) -> Site:
    """A site whose image holds the sample app and nothing else."""
    image = Image([layer([shop_entry()], level=1)], {"Entrypoint": ["/shop"], "User": "1000"})
    write_layout(tmp_path, image, "1.0")
    return make_site(layout=tmp_path)


def diagnostic_spans(cloud: Cloud, site: Site) -> int:
    """How many different ones of the spans that /spans made came to the site's component."""
    key = cloud.connection_string(str(site.component)).split("=")[1].split(";")[0]
    told: Any = cloud.local.telemetry()
    found = [each for each in told if each["iKey"].lower() == key.lower()]
    names = {str(each["data"]["baseData"].get("name", "")) for each in found}
    return sum(name.startswith("diagnostic") for name in names)


def test_drain_delivers_the_last_spans_before_the_site_has_stopped(
    cloud: Cloud, site: Site
) -> None:
    answer = site.deploy("--launcher", "drain")
    assert answer.returncode == 0, answer.show()
    status = site.status()
    assert status.json["launcher"] == "drain/3"
    assert status.json["updates"] == []
    again = site.deploy("--launcher", "drain", "--dry-run")
    assert again.json["changes"] == []
    for spans in (SPANS, 2 * SPANS, 3 * SPANS):  # where all came at once, the look was late
        assert site.get(f"/spans?n={spans}").json() == {"spans": spans}
        if diagnostic_spans(cloud, site) < spans:
            break
    else:
        pytest.fail("the collector never held any spans")
    cloud.arm("POST", f"{site.id}/stop")
    eventually(lambda: diagnostic_spans(cloud, site) == spans, within=6)


def test_the_collectors_own_logs_are_among_the_containers(site: Site) -> None:
    answer = site.deploy("--collector-logs", "stderr", "--launcher", "drain", "--grace", "1")
    assert answer.returncode == 0, answer.show()
    assert site.status().json["launcher"] == "drain/3,grace=1,logs=stderr"
    assert "Everything is ready. Begin running and processing data." in site.log()


def test_a_grace_that_app_service_would_cut_short_is_named(site: Site) -> None:
    answer = site.deploy("--launcher", "drain", "--grace", "5", "--dry-run")
    assert answer.returncode == 0, answer.show()
    assert "set WEBSITES_CONTAINER_STOP_TIME_LIMIT to 8 or more" in answer.stderr
    site.set(WEBSITES_CONTAINER_STOP_TIME_LIMIT="8")
    answer = site.deploy("--launcher", "drain", "--grace", "5", "--dry-run")
    assert "WEBSITES_CONTAINER_STOP_TIME_LIMIT" not in answer.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--grace", "3"), "Add --launcher drain"),
        (("--launcher", "drain", "--grace", "121"), "0 to 120 seconds"),
        (("--shell-image", "busybox:"), "--shell-image"),
    ],
)
def test_what_makes_no_sense_is_refused(
    site: Site, arguments: tuple[str, ...], message: str
) -> None:
    answer = site.deploy(*arguments)
    assert answer.returncode == 1, answer.show()
    assert message in answer.stderr
    assert not answer.writes


def test_a_base_without_a_shell_is_embedded_with_one_brought_along(
    cloud: Cloud, bare: Site, busybox: str
) -> None:
    refused = bare.deploy()
    assert refused.returncode == 1, refused.show()
    assert "has no /bin/sh" in refused.stderr
    assert f"--shell-image {busybox}" in refused.stderr
    answer = bare.deploy("--shell-image", busybox)
    assert answer.returncode == 0, answer.show()
    assert answer.json["healthy"] is True
    assert bare.get("/pid").json()["pid"] == 1
    status = bare.status("--check", "--wait", "60")
    assert status.returncode == 0, status.show()
    assert status.json["updates"] == []
    again = bare.deploy("--shell-image", busybox)
    assert again.json["changed"] is False
    assert not again.writes
    # And with the other launcher, the shell being there already.
    drained = bare.deploy("--shell-image", busybox, "--launcher", "drain")
    assert drained.returncode == 0, drained.show()
    assert bare.get("/pid").json()["pid"] != 1
    assert not [r for r in drained.requests if r["service"] == "registry"]


def test_an_image_without_a_busybox_is_no_shell_image(bare: Site) -> None:
    answer = bare.deploy("--shell-image", COLLECTOR)
    assert answer.returncode == 1, answer.show()
    assert f"shell image {COLLECTOR}: It holds no busybox." in answer.stderr
