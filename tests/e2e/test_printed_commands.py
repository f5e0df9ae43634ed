"""Each command that a message prints, typed into a shell, reaches what the message is about.

az's current subscription is another one than the site's, and the caller has all rights in both. It
has a group of the same name, with a site of the same name and a slot of the same name: a command
without `--subscription` reaches those.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from localazure.az import AZ, Az, Completed
from tests.e2e import images
from tests.e2e.support import EXTENSIONS, Answer, Cloud, Site, eventually
from tests.warm import WarmAz

CALLER = "77777777-0000-4000-8000-000000000001"
PASSWORD = "not-a-secret"
TWINS = {f"printed-twin-{number}": f"group-{1900 + number}" for number in range(50)}
"""Groups of az's current subscription: the names that the double keeps and those that ARM shows."""
NAMESAKES = iter(TWINS.items())
SUBSCRIPTION = re.compile(r"^/subscriptions/([^/]+)/.")
PRINTED = re.compile(r"`(az [^`]+)`|^\s+(az \S.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """An az whose current subscription, `current`, is not the one of the sites, `own`."""

    cloud: Cloud
    az: Az
    current: str
    own: str

    def otelembed(self, verb: str, *arguments: str) -> Answer:
        """Run `az otelembed VERB` in the sites' subscription."""
        chosen = ("--subscription", self.own)
        return self.cloud.otelembed(verb, *arguments, *chosen, az=self.az)

    def interrupted(self, *arguments: str, **fault: Any) -> str:
        """Run `az otelembed …`, interrupt it at a request, and return what it said."""
        before = self.cloud.mark()
        command = ("otelembed", *arguments, "--subscription", self.own)
        with self.cloud.fault(hold=True, **fault):
            process = self.az.popen(*command)
            self.cloud.until_held(process, before)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=30)
        assert process.returncode == 130, said
        return str(said)

    def type(self, command: str, *statuses: int, env: dict[str, str] | None = None) -> Answer:
        """Run a printed command as a shell reads it; it must ask the right subscription only."""
        before = self.cloud.mark()
        folder = {"PATH": f"{AZ.parent}:/usr/bin:/bin", **(env or {})}
        if "$(" in command:
            done = subprocess.run(
                ["/bin/sh", "-c", command],
                capture_output=True,
                text=True,
                env=self.az.environment(folder),
                cwd=self.az.folder,
                check=False,
            )
            ended = Completed(done.returncode, done.stdout, done.stderr)
            answer = self.cloud.answer(ended, before)
        else:
            answer = self.cloud.run(*as_typed(command), az=self.az, env=env)
        assert answer.returncode in (statuses or (0,)), f"{command}\n{answer.show()}"
        asked = [r["path"] for r in answer.requests if r["service"] == "arm"]
        reached = {found[1] for path in asked if (found := SUBSCRIPTION.match(path))}
        assert reached == {self.own}, f"{command}\n{answer.show()}"
        return answer


def as_typed(command: str) -> list[str]:
    """The words that a shell hands to az."""
    script = f"az() {{ printf '%s\\0' \"$@\"; }}\n{command}"
    done = subprocess.run(["/bin/sh", "-c", script], capture_output=True, text=True, check=True)
    return done.stdout.split("\0")[:-1]


def printed(text: str) -> list[str]:
    """The commands in a text, without those that the user has to fill in or that only explain."""
    found = [first or second for first, second in PRINTED.findall(text)]
    return [one for one in found if "<" not in one and not one.endswith("--help")]


def told(answer: Answer) -> str:
    """All that a command told: stderr, and each string of its result."""
    lines = [answer.stderr]

    def collect(value: Any) -> None:
        if isinstance(value, dict):
            for each in value.values():
                collect(each)
        elif isinstance(value, list):
            for each in value:
                collect(each)
        elif isinstance(value, str):
            lines.append(value)

    collect(json.loads(answer.stdout or "null"))
    return "\n".join(lines)


@pytest.fixture(scope="module")
def elsewhere(cloud: Cloud) -> Iterator[Elsewhere]:
    current = cloud.local.add_subscription("dev", list(TWINS), TWINS)
    own = cloud.local.subscription
    roles = [{"role": "Owner", "scope": f"/subscriptions/{one}"} for one in (own, current)]
    cloud.local.add_principal(CALLER, PASSWORD, roles)
    with WarmAz(cloud.local, cloud.directory / "az-elsewhere", EXTENSIONS) as az:
        az.login(CALLER, PASSWORD)
        assert az.run("account", "set", "--subscription", current).returncode == 0
        yield Elsewhere(cloud, az, current, own)


@pytest.fixture
def site(elsewhere: Elsewhere, make_site: Callable[..., Site]) -> Site:
    """A site, where az's current subscription has one of the same name in a group of that name."""
    twin_group, group = next(NAMESAKES)
    made = make_site(group=group)
    spec: dict[str, Any] = {"component": False, "wait": False, "state": "Stopped"}
    make_site(group=twin_group, name=made.name, **spec)
    made.cloud.awake.pop()  # it is the caller's of this test, and never starts
    there = elsewhere.az.run("webapp", "show", *made.arguments, "--query", "id", "-o", "tsv")
    assert there.stdout.strip() == made.id.replace(elsewhere.own, elsewhere.current), there
    return made


@dataclass(frozen=True, slots=True)
class Row:
    """A refused command about a site made as `spec` says, and how the printed command ends."""

    title: str
    arguments: tuple[str, ...] = ()
    spec: tuple[tuple[str, Any], ...] = ()
    verb: str = "deploy"
    statuses: tuple[int, ...] = (0,)


def configured(version: str) -> tuple[tuple[str, Any], ...]:
    """A site that is no single container."""
    return (("config", {"linuxFxVersion": version}), ("image", None))


ROWS = (
    Row("no such slot", ("--slot", "nosuch")),
    Row("no such tag", ("--image", "{repository}:nosuch")),
    Row("no release", verb="wait"),
    Row("no such app", ("-n", "nosuch")),
    Row("no such registry", ("--registry", "nosuch", "--image", "app:1")),
    Row("no such component", ("--app-insights", "nosuch")),
    Row("no embedded image", ("--yes",), verb="remove", statuses=(0, 5)),
    Row("no earlier release", ("--yes",), verb="rollback"),
    Row("Windows", spec=(*configured(""), ("kind", "app"))),
    Row("COMPOSE", spec=configured("COMPOSE|c2VydmljZXM6Cg==")),
    Row("SITECONTAINERS", spec=configured("SITECONTAINERS")),
    Row("code", spec=configured("NODE|20-lts")),
    Row("no role on the registry", spec=(("pulls", False),)),
    Row("no identity", spec=(("system_identity", False), ("pulls", False))),
    Row("no way to pull", spec=(("config", {"acrUseManagedIdentityCreds": False}),)),
)
SAMPLE = ROWS[:3]


@pytest.mark.parametrize(
    "row",
    [row if row in SAMPLE else pytest.param(row, marks=pytest.mark.thorough) for row in ROWS],
    ids=lambda row: row.title.replace(" ", "_"),
)
def test_the_command_of_a_refusal(
    row: Row, elsewhere: Elsewhere, make_site: Callable[..., Site]
) -> None:
    site = make_site(wait=False, **dict(row.spec))
    if "--slot" in row.arguments:
        make_site(wait=False, group=site.group, name=site.name, slot="blue", component=False)
    arguments = [word.format(repository=site.repository) for word in row.arguments]
    answer = elsewhere.otelembed(row.verb, *site.arguments, *arguments)
    assert answer.returncode in (1, 3), answer.show()
    commands = printed(told(answer))
    assert commands, answer.show()
    for command in commands:
        elsewhere.type(command, *row.statuses)


@pytest.mark.thorough
def test_the_command_that_starts_a_stopped_site(elsewhere: Elsewhere, site: Site) -> None:
    site.cloud.arm("POST", f"{site.id}/stop")
    (command,) = printed(told(elsewhere.otelembed("deploy", *site.arguments)))
    elsewhere.type(command)
    site.answers()


@pytest.mark.thorough
def test_the_commands_of_an_interrupt_go_on(elsewhere: Elsewhere, site: Site) -> None:
    said = elsewhere.interrupted("deploy", *site.arguments, service="site", nth=2)
    wait, restore = printed(said)
    assert wait.startswith(f"az otelembed wait {' '.join(site.arguments)} --subscription ")
    assert elsewhere.type(wait).json["release"]["state"] == "succeeded"
    assert f" --subscription {elsewhere.own} --container-image-name {site.image()}" in restore


@pytest.mark.thorough
def test_the_command_of_an_interrupted_wait_is_that_wait(elsewhere: Elsewhere, site: Site) -> None:
    begun = elsewhere.otelembed("deploy", *site.arguments, "--no-wait")
    assert begun.returncode == 0, begun.show()
    said = elsewhere.interrupted("wait", *site.arguments, service="site", nth=2)
    wait, restore = printed(said)
    assert f" --container-image-name {site.image()}" in restore
    assert elsewhere.type(wait).json["release"]["state"] == "succeeded"


@pytest.mark.thorough
def test_an_interrupted_fleet_tells_how_each_changed_site_goes_on(
    elsewhere: Elsewhere, make_site: Callable[..., Site]
) -> None:
    sites = [make_site(), make_site()]
    ids = [site.id for site in sites]
    said = elsewhere.interrupted("deploy", "--ids", *ids, service="site", nth=4)
    commands = printed(said)
    assert {site.name for site in sites if any(site.name in one for one in commands)}
    for command in commands:
        if "otelembed wait" in command:
            elsewhere.type(command)


@pytest.mark.thorough
def test_the_ways_back_of_a_release_that_stays(
    elsewhere: Elsewhere, site: Site, tmp_path: Path
) -> None:
    site.push("crash", images.shell(tmp_path, "exit 3"))
    asked = ("--image", site.image("crash"), "--timeout", "20", "--no-rollback")
    failed = elsewhere.otelembed("deploy", *site.arguments, *asked)
    assert failed.returncode == 5, failed.show()
    restore, remove = printed(told(failed))
    elsewhere.type(restore)
    elsewhere.type(remove)
    assert site.runs == site.image()
    site.answers()


@pytest.mark.thorough
def test_the_commands_of_an_unproven_release(elsewhere: Elsewhere, site: Site) -> None:
    unseen = {"service": "arm", "path": f"/sites/{site.name}/containerlogs", "times": 0}
    with site.cloud.fault(status=403, **unseen):
        ended = elsewhere.otelembed("deploy", *site.arguments, "--timeout", "4")
        assert ended.returncode == 6, ended.show()
        wait, status, back = printed(told(ended))
        (again,) = printed(told(elsewhere.otelembed("status", *site.arguments)))
    assert again == wait
    elsewhere.type(status, 0, 5)
    elsewhere.type(wait)
    elsewhere.type(f"{back} --yes", 0, 3)


@pytest.mark.thorough
def test_the_way_back_of_a_swap(
    elsewhere: Elsewhere, make_site: Callable[..., Site], tmp_path: Path
) -> None:
    production = make_site()
    slot = make_site(
        group=production.group,
        name=production.name,
        slot="staging",
        repository=production.repository,
        component=False,
    )
    script = 'case "$WEBSITE_HOSTNAME" in *staging*) ;; *) exit 3 ;; esac; exec /app'
    slot.push("picky", images.shell(tmp_path, script))
    asked = ("--image", slot.image("picky"), "--swap", "--timeout", "20", "--no-rollback")
    failed = elsewhere.otelembed("deploy", *slot.arguments, *asked)
    assert failed.returncode == 5, failed.show()
    for command in printed(told(failed)):
        elsewhere.type(command)
    eventually(lambda: production.runs == production.image())


@pytest.mark.thorough
def test_the_commands_of_a_fleet_address_each_its_own_site(
    elsewhere: Elsewhere, make_site: Callable[..., Site], tmp_path: Path
) -> None:
    sites = [make_site(), make_site()]
    sites[0].cloud.arm("POST", f"{sites[0].id}/stop")
    # The group of the second has the id in capitals, and there is no such app.
    ids = [sites[0].id, f"{sites[1].id}-nosuch"]
    ended = elsewhere.cloud.otelembed("deploy", "--ids", *ids, az=elsewhere.az)
    assert ended.returncode != 0, ended.show()
    commands = {
        command for one in ended.json["sites"] for command in printed(str(one["recommendation"]))
    }
    assert len(commands) == 2, ended.show()
    for command in commands:
        elsewhere.type(command)


@pytest.mark.thorough
def test_a_registry_that_cannot_be_seen_is_looked_up_by_the_shell(
    elsewhere: Elsewhere, site: Site
) -> None:
    path = r"^/subscriptions/[^/]+/providers/Microsoft\.ContainerRegistry/registries$"
    with site.cloud.fault(path=path, status=403, times=0):
        refused = elsewhere.otelembed("deploy", *site.arguments, "--image", f"{site.repository}:no")
    (command,) = printed(told(refused))
    assert "$(" in command
    elsewhere.type(command)


def test_a_command_with_a_credential_is_told_with_it(cloud: Cloud, elsewhere: Elsewhere) -> None:
    site = cloud.make_site(wait=False)
    env = {
        "AZURE_TENANT_ID": cloud.local.tenant,
        "AZURE_CLIENT_ID": CALLER,
        "AZURE_CLIENT_SECRET": PASSWORD,
    }
    given = ("--credential", "environment", "--subscription", elsewhere.own)
    # This az is in the site's subscription; another one that reads the message may not be.
    here = Elsewhere(cloud, cloud.az, elsewhere.own, elsewhere.own)
    ended = cloud.otelembed("wait", *site.arguments, *given, env=env)
    (history,) = printed(told(ended))
    assert f" --subscription {elsewhere.own} --credential environment" in history
    here.type(history, env=env)
    missing = cloud.otelembed("deploy", *site.arguments, "--slot", "nosuch", *given, env=env)
    (listing,) = printed(told(missing))
    elsewhere.type(listing)
