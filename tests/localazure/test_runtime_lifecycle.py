"""How a site starts, changes, fails and recovers."""

from __future__ import annotations

import asyncio
import itertools
import os
import secrets
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from localazure.images.assemble import Image
from localazure.runtime.context import Timing
from localazure.state import Identity, Site
from tests.localazure.runtime_support import (
    RuntimeFixture,
    processes,
    python,
    runtime_fixture,
    server_image,
    shell_image,
)
from tests.waiting import eventually


def states(here: RuntimeFixture, site: Site) -> list[str]:
    """The states of the site's instances."""
    return [instance.state for instance in here.supervisor.instances(site)]


async def test_the_log_of_a_start_has_app_services_messages(here: RuntimeFixture) -> None:
    image = here.push(server_image())
    site = await here.site(image)
    await here.facts(site)
    lines = [line.partition("Z ")[2] for line in here.log(site).splitlines()]
    for text in (
        f"Pulling image: {image}.",
        f"Image {image} is pulled from registry {image.partition('/')[0]}",
        "Container is running.",
        "listening from cmd",
        "Site started.",
    ):
        assert text in lines
    assert any(line.startswith("Site startup probe succeeded after ") for line in lines)
    assert states(here, site) == ["UNKNOWN"]


async def test_the_old_container_serves_until_some_time_after_the_new_one_answers(
    here: RuntimeFixture,
) -> None:
    # An app that ends at once on TERM cuts its open requests.
    settings = {"V": "1", "STUBBORN": "1", "WEBSITES_CONTAINER_STOP_TIME_LIMIT": "1"}
    site = await here.site(here.push(server_image()), app_settings=settings)
    await here.facts(site)
    await here.set(site, V="2", SLOW_START="0.7")
    seen: list[str] = []
    while "Site: web stopped." not in here.log(site):
        seen.append((await here.facts(site))["env"]["V"])
        assert states(here, site) == ["UNKNOWN"]
        await asyncio.sleep(0.02)
    assert seen.index("2") > 5
    both = seen[seen.index("2") : len(seen) - seen[::-1].index("1")]
    assert [value for value, _ in itertools.groupby(both)] == ["2", "1"] * (len(both) // 2)
    assert {(await here.facts(site))["env"]["V"] for _ in range(4)} == {"2"}
    log = here.log(site)
    assert log.index("got SIGTERM") > log.rindex("Site started.")


async def test_the_time_of_the_old_container_can_be_set_at_any_time(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image()))
    await here.facts(site)
    here.double.change_runtime({"overlap": 60})
    await here.set(site, V="2")
    await here.until_logged(site, "Site started.", times=2)
    await asyncio.sleep(0.5)
    assert {(await here.facts(site))["env"].get("V") for _ in range(4)} == {None, "2"}
    assert "StoppingSite," not in here.log(site)


@pytest.mark.thorough
async def test_a_change_during_a_start_cancels_that_start(here: RuntimeFixture) -> None:
    image = here.push(server_image())
    site = await here.site(image, app_settings={"SLOW_START": "60", "V": "1"})
    await here.until_logged(site, "Container is running.", times=2)
    await here.set(site, SLOW_START="0", V="2")
    assert (await here.facts(site))["env"]["V"] == "2"
    log = await here.until_logged(site, "Site: web stopped.")
    assert log.count("Site started.") == 1
    assert "exit code" not in log
    assert "Failed to start site" not in log


async def test_a_new_container_that_exits_stops_the_old_one(here: RuntimeFixture) -> None:
    here.double.change_runtime({"blocked": 60})
    site = await here.site(here.push(server_image()))
    await here.facts(site)
    await here.set(site, FAIL="3")
    log = await here.until_logged(site, "Failed to start site. Revert by stopping site.")
    assert "can't go on" in log
    assert "Container has finished running with exit code: 3." in log
    assert (await here.get(site)).status_code == 200, "the old container serves a little longer"
    await here.until_logged(site, "Site: web stopped.", times=2)
    assert states(here, site) == ["STOPPED"]
    answer = await here.get(site)
    assert answer.status_code == 503
    assert "Application Error" in answer.text


async def test_a_site_is_blocked_after_its_second_failed_start(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image()), app_settings={"FAIL": "3"})
    log = await here.until_logged(site, "Site: web will be blocked for 0.8 seconds till ")
    assert log.count("exit code: 3") == 2
    # A correct setting starts the site, but only after the block.
    await here.set(site, FAIL="")
    assert (await here.get(site)).status_code == 503
    log = await here.until_logged(site, "Site: web is unblocked.")
    assert "Start site prohibitted because the site is being blocked." in log
    await here.until_logged(site, "Site started.")
    assert (await here.get(site)).status_code == 200
    assert states(here, site) == ["UNKNOWN"]


async def test_a_crash_is_logged_and_the_container_restarted(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image()))
    await here.facts(site)
    assert (await here.get(site, "/exit?9")).status_code == 502
    assert (await here.get(site)).status_code == 200
    log = await here.until_logged(site, "Site started.", times=2)
    assert "Container has finished running with exit code: 9." in log


async def test_a_container_that_never_answers_fails_within_the_limit(here: RuntimeFixture) -> None:
    settings = {"LISTEN": "9000", "WEBSITES_CONTAINER_START_TIME_LIMIT": "1"}
    began = time.monotonic()
    site = await here.site(here.push(server_image()), app_settings=settings)
    # The request waits during the site's attempts to start.
    assert (await here.get(site)).status_code == 503
    assert 1 <= time.monotonic() - began < 8
    log = await here.until_logged(site, "Failed to start site. Revert by stopping site.")
    assert "Site startup probe failed after 1." in log
    await here.until_logged(site, "got SIGTERM")


@pytest.mark.thorough
async def test_the_port_is_the_exposed_one_without_a_setting(here: RuntimeFixture) -> None:
    image = here.push(server_image(ExposedPorts={"5000/tcp": {}}))
    site = await here.site(image, app_settings={"WEBSITES_PORT": ""})
    assert (await here.facts(site))["env"]["PORT"] == "5000"


@pytest.mark.thorough
async def test_without_a_setting_or_exposed_port_80_and_8080_are_tried(
    here: RuntimeFixture,
) -> None:
    settings = {"WEBSITES_PORT": "", "LISTEN": "8080"}
    site = await here.site(here.push(server_image()), app_settings=settings)
    assert (await here.facts(site))["env"]["PORT"] == "80"


async def test_a_stopped_site_answers_403_and_starts_again(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image()))
    await here.facts(site)
    site.state = "Stopped"
    here.supervisor.stop(site)
    answer = await here.get(site)
    assert answer.status_code == 403
    assert "This web app is stopped" in answer.text
    assert states(here, site) == ["STOPPED"]
    await here.until_logged(site, "Site: web stopped.")
    here.supervisor.changed(site, "a change while it is stopped starts nothing")
    assert states(here, site) == ["STOPPED"]
    site.state = "Running"
    here.supervisor.start(site)
    assert (await here.get(site)).status_code == 200


@pytest.mark.thorough
async def test_a_site_can_be_scaled(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image()), workers=2)
    await here.until_logged(site, "Site started.", times=2)
    assert states(here, site) == ["UNKNOWN", "UNKNOWN"]
    site.workers = 1
    here.supervisor.changed(site, "scaled in")
    await here.until_logged(site, "Site: web stopped.", times=2)
    assert states(here, site) == ["UNKNOWN"]
    assert (await here.facts(site))["env"]["WEBSITE_ROLE_INSTANCE_ID"] == "0"


@pytest.mark.thorough
async def test_the_other_instances_serve_when_one_is_down(here: RuntimeFixture) -> None:
    settings = {"SLOW_START": "0.5"}
    site = await here.site(here.push(server_image()), workers=2, app_settings=settings)
    await here.until_logged(site, "Site started.", times=2)
    await here.get(site, "/exit?1")
    answers = [(await here.get(site)).status_code for _ in range(6)]
    assert answers == [200] * 6


@pytest.mark.thorough
async def test_a_slot_runs_beside_its_site(here: RuntimeFixture) -> None:
    image = here.push(server_image())
    site, slot = await here.site(image), await here.site(image, slot="staging")
    ours, theirs = await here.facts(site), await here.facts(slot)
    assert ours["env"]["WEBSITE_SLOT_NAME"] == "Production"
    assert theirs["env"]["WEBSITE_SLOT_NAME"] == "staging"
    assert ours["hostname"] != theirs["hostname"]
    assert here.log(site) != here.log(slot)


async def test_a_site_without_a_container_responds_with_a_placeholder(here: RuntimeFixture) -> None:
    site = await here.site("", config={"linuxFxVersion": "NODE|20-lts"})
    assert (await here.get(site)).status_code == 200
    assert here.supervisor.instances(site) == []


async def test_the_main_site_container_is_run(here: RuntimeFixture) -> None:
    image = here.push(server_image())
    documents = {
        "sitecontainers/side": {"image": "x", "isMain": False},
        "sitecontainers/main": {"image": image, "isMain": True},
    }
    config = {"linuxFxVersion": "SITECONTAINERS"}
    site = await here.site("", config=config, documents=documents)
    assert (await here.get(site)).status_code == 200


async def test_missing_pull_rights_fail_as_in_app_service(here: RuntimeFixture) -> None:
    image = here.push(server_image())
    site = await here.site(image, roles=[])
    assert (await here.get(site)).status_code == 503
    log = here.log(site)
    assert "LastError: ImagePullUnauthorizedFailure" in log
    assert f"Failed to pull image: {image}." in log
    assert states(here, site) == ["STOPPED"]
    assert site.system_identity
    here.double.assign("AcrPull", here.registry, site.system_identity.principal_id)
    here.supervisor.restart(site)
    assert (await here.get(site)).status_code == 200


async def test_an_identity_pulls_only_where_the_registry_takes_tokens_for_arm(
    here: RuntimeFixture,
) -> None:
    image = here.push(server_image())
    (registry,) = (one for one in here.double.state.registries.values() if one.acr)
    registry.arm_tokens = False
    site = await here.site(image)
    assert (await here.get(site)).status_code == 503
    assert "ImagePullUnauthorizedFailure" in here.log(site)
    registry.arm_tokens = True
    here.supervisor.restart(site)
    assert (await here.get(site)).status_code == 200


@pytest.mark.thorough
async def test_a_user_assigned_identity_pulls_where_it_is_named(here: RuntimeFixture) -> None:
    image = here.push(server_image())
    puller = Identity("principal", "the-client-id", here.double.state.tenant, "/the/id")
    here.double.assign("AcrPull", here.registry, puller.principal_id)
    named = {"acrUserManagedIdentityID": "the-client-id"}
    site = await here.site(image, roles=[], config=named)
    assert (await here.get(site)).status_code == 503
    site.user_identities.append(puller)
    here.supervisor.restart(site)
    assert (await here.get(site)).status_code == 200


async def test_a_password_is_used_for_its_registry_only(tmp_path: Path) -> None:
    async with runtime_fixture(tmp_path, registry={"admin_enabled": True}) as here:
        image = here.push(server_image())
        registry = here.double.state.registry("myregistry")
        settings = {
            "DOCKER_REGISTRY_SERVER_URL": f"https://{registry.login_server}",
            "DOCKER_REGISTRY_SERVER_USERNAME": registry.name,
            "DOCKER_REGISTRY_SERVER_PASSWORD": "wrong",
        }
        config = {"acrUseManagedIdentityCreds": False}
        site = await here.site(image, app_settings=settings, config=config)
        assert (await here.get(site)).status_code == 503
        await here.set(site, DOCKER_REGISTRY_SERVER_PASSWORD=registry.admin_password)
        assert (await here.get(site)).status_code == 200
        await here.set(site, DOCKER_REGISTRY_SERVER_URL="https://elsewhere.example")
        await here.until_logged(site, "Revert by stopping site.", times=2)


async def test_a_missing_image_is_reported(here: RuntimeFixture) -> None:
    image = here.push(server_image())
    site = await here.site(f"{image}-no", "missing")
    assert (await here.get(site)).status_code == 503
    log = here.log(site)
    assert "LastError: ImagePullFailure" in log
    assert "manifest unknown" in log
    elsewhere = await here.site("nowhere.example/app:1", "elsewhere")
    assert (await here.get(elsewhere)).status_code == 503
    assert "no such host: nowhere.example" in here.log(elsewhere)


@pytest.mark.thorough
async def test_the_linux_amd64_image_of_an_index_is_pulled(here: RuntimeFixture) -> None:
    arm = Image([python()], {"Cmd": ["x"]}, platform=("linux", "arm64"))
    both = here.push([arm, server_image()], "both")
    assert (await here.get(await here.site(both, "both"))).status_code == 200
    only = await here.site(here.push([arm], "arm"), "arm")
    assert (await here.get(only)).status_code == 503
    assert "no matching manifest for linux/amd64" in here.log(only)
    single = await here.site(here.push(arm, "single"), "single")
    assert (await here.get(single)).status_code == 503
    assert "linux/arm64" in here.log(single)


@pytest.mark.thorough
async def test_a_moved_tag_is_pulled_again_at_a_restart(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image(Env=["V=1"])))
    assert (await here.facts(site))["env"]["V"] == "1"
    here.push(server_image(Env=["V=2"]))
    assert (await here.facts(site))["env"]["V"] == "1"
    here.supervisor.restart(site)
    await here.until_logged(site, "Site: web stopped.")
    assert (await here.facts(site))["env"]["V"] == "2"


async def test_close_ends_every_container(tmp_path: Path) -> None:
    timing = Timing(closing=0.2, stop_limit=60)
    async with runtime_fixture(tmp_path, timing) as here:
        script = "trap '' TERM; echo up; while :; do sleep 0.1; done"
        site = await here.site(here.push(shell_image(script)))
        await here.until_logged(site, "up")
        folder = here.double.directory / "runtime" / "containers"
        assert list(folder.iterdir())
        began = time.monotonic()
        await here.supervisor.close()
        assert time.monotonic() - began < 5
        assert not list(folder.iterdir())


_DOUBLE = """
import asyncio, random, sys
from pathlib import Path
from tests.localazure.runtime_support import runtime_fixture, shell_image

async def main():
    folder, marker, user, restarts = sys.argv[1:]
    script = f"echo up; while :; do sleep 1; done; : {marker[::-1]}"
    async with runtime_fixture(Path(folder)) as here:
        image = here.push(shell_image(script, User=user))
        sites = [await here.site(image, name) for name in ("first", "second")]
        await here.until_logged(sites[0], "up")
        print("up", flush=True)
        while restarts:
            for site in sites:
                here.supervisor.restart(site)
            await asyncio.sleep(random.random() * 0.03)
        await asyncio.sleep(60)

asyncio.run(main())
"""
"""Its command line has the reversed marker, which is thus in those of containers only."""


def _kill_a_double(folder: Path, user: str, *, restarts: bool, delay: float = 0) -> None:
    """Start a double in a process of its own, kill it, and wait until no container is left."""
    marker = secrets.token_hex(8)
    root = Path(__file__).resolve().parents[2]
    arguments = [str(folder), marker[::-1], user, "restarts" if restarts else ""]
    with subprocess.Popen(
        [sys.executable, "-c", _DOUBLE, *arguments],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        text=True,
    ) as double:
        try:
            assert double.stdout
            assert double.stdout.readline() == "up\n"
            assert processes(marker)
            time.sleep(delay)
        finally:
            double.kill()
    eventually(lambda: not processes(marker), 5)


@pytest.mark.parametrize("user", ["", "1000:1000"])
def test_containers_end_with_the_double_even_when_it_is_killed(tmp_path: Path, user: str) -> None:
    _kill_a_double(tmp_path / "double", user, restarts=False)


@pytest.mark.thorough
def test_no_process_is_left_of_containers_that_start_when_the_double_is_killed(
    tmp_path: Path,
) -> None:
    for number in range(8):
        _kill_a_double(tmp_path / f"double{number}", "", restarts=True, delay=number / 100)


@pytest.mark.thorough
async def test_a_pull_does_not_block_the_event_loop(here: RuntimeFixture) -> None:
    reference = here.push(server_image())
    gaps: list[float] = []

    async def watch() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            gaps.append(time.monotonic() - before - 0.005)

    watcher = asyncio.create_task(watch())
    site = await here.site(reference)
    await here.until_logged(site, "Site started.")
    watcher.cancel()
    # A busy machine adds delays: hence not 50 ms.
    assert max(gaps) < 0.4


@pytest.mark.thorough
async def test_requests_that_wait_for_the_start_all_get_a_response(here: RuntimeFixture) -> None:
    settings = {"SLOW_START": "0.5"}
    site = await here.site(here.push(server_image()), app_settings=settings)
    answers: list[httpx.Response] = await asyncio.gather(*(here.get(site) for _ in range(10)))
    assert [answer.status_code for answer in answers] == [200] * 10
