"""A deploy that is killed, or refused, at any of its HTTP requests, and run again.

Every request of a deploy is tried: those to ARM, to the registry, to blob storage and to the site.
"""

from __future__ import annotations

import itertools
import re
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from azext_otelembed.verification.verdict_tracker import Pace
from localazure.client import LocalAzure
from tests.e2e.support import SETTING, SETTINGS, Cloud, Site, is_write
from tests.release import driver
from tests.release.support import Contents, id_of

LANES = 4
ROUNDS = 3
"""How many looks at a site that comes up are tried: one is like the other."""
POLLS = ("/containerlogs", "/instances")
KILLED: dict[str, dict[str, Any]] = {
    "before it was handled": {"hold": True},
    "after it was handled": {"hold_after": True},
}
FAULTS: dict[str, dict[str, Any]] = {
    "503": {"status": 503},
    "429": {"status": 429},
    "a reset": {"reset": True},
    "a reset in place of the answer": {"reset_after": True},
    "a truncated body": {"truncate": 7},
}


@dataclass(frozen=True)
class Place:
    """The `nth` request to `where`, of a deploy with or without the collector in its registry."""

    where: str
    nth: int
    fresh: bool
    writes: bool
    """Whether it changes something."""


@dataclass
class Bench:
    """Deploys to be disturbed, each with a site of its own."""

    cloud: Cloud
    token: str
    pace: Pace = driver.HASTY
    tag: str = ""
    """Of what every deploy embeds: the recipe is the same."""
    prepared: list[str] = field(default_factory=list)
    """Registries that hold the collector, one a lane."""
    numbers: Any = field(default_factory=lambda: itertools.count(1))

    def subject(self, registry: str) -> Subject:
        """A new site."""
        site = self.cloud.make_site(registry=registry, wait=False)
        return Subject(self, site, f"client-{next(self.numbers)}")

    def places(self) -> list[Place]:
        """Every request of a deploy, from two runs that nothing disturbs.

        Those of a registry without the collector are there for what the others lack.
        """
        registry = self.cloud.add_registry()
        found: list[Place] = []
        for fresh in (True, False):
            subject = self.subject(registry)
            before = self.cloud.mark()
            assert subject.deploy() == (0, "")
            asked = subject.asked(before)
            self.tag = subject.site.runs.rpartition(":")[2]
            subject.site.cloud.delete(subject.site)
            for where, records in asked.items():
                looks: Counter[str] = Counter()
                for nth, record in enumerate(records, 1):
                    path = record["path"].lower()
                    poll = path if path.endswith(POLLS) or where == "site" else ""
                    looks[poll] += bool(poll)
                    if looks[poll] <= ROUNDS and (not fresh or is_bringing_in(record)):
                        found.append(Place(where, nth, fresh, is_write(record)))
        return found


def is_bringing_in(record: Mapping[str, Any]) -> bool:
    """Whether a request has to do with bringing the collector in."""
    words = ("importimage", "operationresults", "otelembed/collector")
    return record["service"] == "blob" or any(word in record["path"].lower() for word in words)


@dataclass
class Subject:
    """One site, and the deploy of it that is disturbed."""

    bench: Bench
    site: Site
    client: str

    @property
    def arguments(self) -> tuple[Any, ...]:
        """For `driver.run`; fit to be sent to another process."""
        local = self.site.cloud.local
        sent, token = LocalAzure(local.directory, local.info), self.bench.token
        return sent, token, self.client, id_of(self.site), self.bench.pace, {"timeout": 20}

    def deploy(self) -> tuple[int, str]:
        """Runs a deploy to its end."""
        return driver.run(*self.arguments)

    def where(self) -> dict[str, dict[str, Any]]:
        """What selects this deploy's requests to each of the services."""
        rid = uuid.uuid5(uuid.NAMESPACE_DNS, self.site.registry).hex
        return {
            "arm": {"service": "arm", "client": self.client},
            "acr": {"host": self.site.host},
            "blob": {"service": "blob", "path": f"^/{rid}"},
            "site": {"host": self.site.url.partition("://")[2]},
        }

    def asked(self, since: int) -> dict[str, list[dict[str, Any]]]:
        """This deploy's requests, by service."""
        found = self.site.cloud.local.requests(since=since)

        def selected(record: Mapping[str, Any], wanted: dict[str, Any]) -> bool:
            path = re.compile(wanted.pop("path", ""))
            return wanted.items() <= record.items() and bool(path.search(record["path"]))

        wheres = self.where()
        return {name: [r for r in found if selected(r, {**wheres[name]})] for name in wheres}

    def killed(self, place: Place, how: Mapping[str, Any]) -> bool:
        """Starts a deploy and kills it while the request of `place` waits.

        False when the deploy ended without making that request.
        """
        local = self.site.cloud.local
        number = local.fault(**self.where()[place.where], **how, nth=place.nth)
        held = driver.killed(local, number, self.arguments)
        self.clear(number)
        return held

    def disturbed(self, place: Place, how: Mapping[str, Any]) -> tuple[int, str]:
        """Runs a deploy while the request of `place` goes wrong."""
        fault = {**self.where()[place.where], **how, "nth": place.nth}
        if how.get("status") == 429:
            fault["retry_after"] = place.nth % 2
        number = self.site.cloud.local.fault(**fault)
        try:
            return self.deploy()
        finally:
            self.clear(number)

    def clear(self, number: int) -> None:
        self.site.cloud.local._call("DELETE", f"/faults?id={number}")

    def faults_after(self, ended: tuple[int, str]) -> list[str]:
        """What isn't as it has to be after the last deploy, which ended so."""
        if ended != (0, ""):
            return [f"the last run: {ended}"]
        site = self.site
        wrong: list[str] = []
        own = {"DOCKER_REGISTRY_SERVER_URL": f"https://{site.host}", **SETTINGS}
        settings = site.settings()
        value = settings.pop(SETTING, None)
        if value != site.cloud.connection_string(site.component or ""):
            wrong.append(f"the setting is {value}")
        if settings != own:
            wrong.append(f"other settings are {settings}")
        if site.runs != site.image(self.bench.tag):
            wrong.append(f"it runs {site.runs}")
        contents = Contents(site.cloud, site.host)
        held = contents.manifests(site.repository)
        if sorted(held.values()) != [["1.0"], [self.bench.tag]]:
            wrong.append(f"its repository holds {held}")
        known = ("otelembed/", "apps/site-")
        if others := [one for one in contents.repositories() if not one.startswith(known)]:
            wrong.append(f"the registry holds {others}")
        releases = contents.releases(site)
        states = [release.state for release in releases]
        if states[0] != "succeeded" or "pending" in states:
            wrong.append(f"releases: {states}")
        if self.bench.tag not in held.get(releases[0].digest, ()):
            wrong.append(f"the record tells of {releases[0].digest}")
        return wrong


def try_all(
    bench: Bench, places: Sequence[Place], attempt: Callable[[Subject, Place], list[str]]
) -> dict[str, list[str]]:
    """What went wrong, by place. Places are shared out among lanes, each with its registries."""
    wrong: dict[str, list[str]] = {}
    queue = iter(places)

    def lane(registry: str) -> None:
        for place in queue:
            subject = bench.subject(bench.cloud.add_registry() if place.fresh else registry)
            try:
                found = attempt(subject, place)
            except Exception as error:  # noqa: BLE001  # one place's failure must not hide others
                found = [f"{type(error).__name__}: {error}"]
            if found:
                wrong[f"{place.where} {place.nth}{' fresh' * place.fresh}"] = found
            bench.cloud.delete(subject.site)

    with ThreadPoolExecutor(LANES) as pool:
        list(pool.map(lane, bench.prepared))
    return wrong


@pytest.fixture(scope="module")
def bench(cloud: Cloud) -> Bench:
    """Registries that hold the collector, and all the places."""
    bench = Bench(cloud, cloud.local.token())
    for _ in range(LANES):
        bench.prepared.append(cloud.add_registry())
        subject = bench.subject(bench.prepared[-1])
        assert subject.deploy() == (0, "")
        cloud.delete(subject.site)
    return bench


@pytest.fixture(scope="module")
def places(bench: Bench) -> list[Place]:
    found = bench.places()
    count = {w: sum(1 for p in found if p.where == w) for w in ("arm", "acr", "blob", "site")}
    print(f"\nrequests of a deploy: {count}, {len(found)} in all")
    assert count["arm"] > 15
    assert count["acr"] > 15
    assert count["blob"] > 0
    return found


def test_a_deploy_killed_after_any_write_converges_when_it_is_run_again(
    bench: Bench, places: list[Place]
) -> None:
    """The part of the matrix below that a crash is most likely to leave traces of."""
    writes = [place for place in places if place.writes and not place.fresh]
    assert len(writes) >= 8

    def attempt(subject: Subject, place: Place) -> list[str]:
        assert subject.killed(place, KILLED["after it was handled"])
        return subject.faults_after(subject.deploy())

    assert not try_all(bench, writes, attempt)


@pytest.mark.thorough(minutes=4)
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", KILLED)
def test_a_deploy_killed_at_any_request_converges_when_it_is_run_again(
    bench: Bench, places: list[Place], how: str
) -> None:
    unmet: list[Place] = []

    def attempt(subject: Subject, place: Place) -> list[str]:
        if not subject.killed(place, KILLED[how]):
            unmet.append(place)
        return subject.faults_after(subject.deploy())

    began = time.monotonic()
    wrong = try_all(bench, places, attempt)
    print(f"killed {how}: {len(places)} places, {time.monotonic() - began:.0f} s, unmet: {unmet}")
    assert not wrong
    assert all(place.where in ("arm", "site") for place in unmet), "only a look more or less"


@pytest.mark.thorough(minutes=4)
@pytest.mark.timeout(900)
@pytest.mark.parametrize("how", FAULTS)
def test_a_deploy_disturbed_at_any_request_converges(
    bench: Bench, places: list[Place], how: str
) -> None:
    stopped: dict[str, str] = {}

    def attempt(subject: Subject, place: Place) -> list[str]:
        ended = subject.disturbed(place, FAULTS[how])
        if ended[0] != 0:
            stopped[f"{place.where} {place.nth}"] = ended[1]
            ended = subject.deploy()
        return subject.faults_after(ended)

    began = time.monotonic()
    wrong = try_all(bench, places, attempt)
    print(f"{how}: {len(places)} places, {time.monotonic() - began:.0f} s, stopped: {stopped}")
    assert not wrong
    if "truncated" not in how:
        assert not stopped, "such a thing passes: it is tried again"
