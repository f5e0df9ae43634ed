"""What a deploy does when Azure or a registry refuses, fails, throttles or breaks off."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest

from azext_otelembed.azure.session import Session
from azext_otelembed.verification.verdict_tracker import PACE
from tests.e2e import inprocess
from tests.e2e.cases import Batch
from tests.e2e.faults import (
    ALWAYS,
    BOUND,
    BRINGING_IN,
    READS,
    REAL,
    REAL_ALWAYS,
    REGISTRY_READS,
    REGISTRY_WRITES,
    VERIFIED,
    VERIFYING,
    WHERE,
    WRITES,
    Row,
    is_always_run,
)
from tests.e2e.inprocess import Ended
from tests.e2e.support import API_KEY, COLLECTOR, SETTING, Answer, Cloud, Site
from tests.selection import rest_is_thorough


@dataclass(frozen=True, slots=True)
class Met:
    """A deploy that met a fault, the site around it, and the deploy that came after it."""

    site: Site
    before: dict[str, Any]
    first: Ended
    after: dict[str, Any]
    again: Ended | None = None
    at_last: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """Makes a site for each row, and lets the row's fault meet a deploy of it."""

    cloud: Cloud
    caller: Session
    registry: str
    """One that holds the collector."""

    def read(self, row: Row) -> Met:
        """A dry run meets the fault."""
        shared = row.where in ("exchange", "token", "storage")
        registry = self.cloud.add_registry() if shared else self.registry
        site = self.cloud.make_site(registry=registry, wait=False, state="Stopped")
        before = _snapshot(site)
        first = self._met(site, row, dry_run=True)
        return Met(site, before, first, _snapshot(site))

    def write(self, row: Row) -> Met:
        """A deploy meets the fault; where it ends in an error, another one comes after it."""
        how: dict[str, Any] = {} if row.running else {"wait": False, "state": "Stopped"}
        # Without a log, the site has to answer through the pull and the start limit.
        limit = {"WEBSITES_CONTAINER_START_TIME_LIMIT": "3"}
        site = self.cloud.make_site(registry=self.registry, settings=limit, **how)
        before = _snapshot(site)
        first = self._met(site, row, wait=row.running, pace=replace(PACE, pull_allowance=3))
        after = _snapshot(site)
        met = Met(site, before, first, after)
        if row.status:
            again = inprocess.deploy(self.caller, site, wait=row.running)
            met = Met(site, before, first, after, again, _snapshot(site))
        # Containers that nobody needs any more would slow down those that are still being tried.
        self.cloud.arm("POST", f"{site.id}/stop")
        return met

    def bring_in(self, row: Row) -> Met:
        """A deploy that has to bring the collector in meets the fault."""
        site = self.cloud.make_site(registry=self.cloud.add_registry(), wait=False, state="Stopped")
        hub = f"{self.cloud.local.registries['hub']}/{COLLECTOR.partition('/')[2]}"
        collector = COLLECTOR if "nothing to copy" in row.what else hub
        before = _snapshot(site)
        first = self._met(site, row, wait=False, collector_image=collector)
        after = _snapshot(site)
        if not row.status:
            return Met(site, before, first, after)
        again = inprocess.deploy(self.caller, site, wait=False, collector_image=collector)
        return Met(site, before, first, after, again, _snapshot(site))

    def real(self, row: Row) -> Answer:
        """The same with az: a deploy meets the fault."""
        site = self.cloud.make_site(registry=self.registry, wait=False, state="Stopped")
        fault = self.cloud.local.fault(**self._where(site, row), **row.fault)
        try:
            return site.deploy("--no-wait" if row.status else "--dry-run")
        finally:
            self.cloud.local.clear_faults(fault)

    def _met(self, site: Site, row: Row, **wanted: Any) -> Ended:
        fault = self.cloud.local.fault(**self._where(site, row), **row.fault)
        try:
            return inprocess.deploy(self.caller, site, **wanted)
        finally:
            self.cloud.local.clear_faults(fault)

    def _where(self, site: Site, row: Row) -> dict[str, str]:
        names = {
            "name": re.escape(site.name),
            "group": re.escape(site.group),
            "repository": site.repository,
            "host": site.host,
            "registry": site.registry,
            "storage": uuid.uuid5(uuid.NAMESPACE_DNS, site.registry).hex,
        }
        return {key: value.format(**names) for key, value in WHERE[row.where].items()}


def _snapshot(site: Site) -> dict[str, Any]:
    return {"configuration": site.configuration(), "settings": site.settings()}


@pytest.fixture(scope="module")
def trial(cloud: Cloud) -> Iterator[Trial]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NO_PROXY", "localhost,127.0.0.1")
        caller = inprocess.session(cloud)
        site = cloud.make_site(registry=cloud.add_registry())
        prepared = inprocess.deploy(caller, site)
        assert prepared.exit_status == 0, prepared.show()
        yield Trial(cloud, caller, site.registry)
    cloud.local.clear_faults()


def _id(row: Row) -> str:
    return re.sub(r"\W+", "_", row.title)


some_always = partial(rest_is_thorough, always=is_always_run)


@dataclass(frozen=True, slots=True)
class Batches:
    """Rows that run in the background: most of their time is waiting."""

    writes: Batch[Row, Met]
    reads: Batch[Row, Met]
    bringing_in: Batch[Row, Met]
    real: Batch[Row, Answer]


@pytest.fixture(scope="module")
def runs(trial: Trial, request: pytest.FixtureRequest) -> Iterator[Batches]:
    session = request.session
    slow_first = (*VERIFYING, *VERIFIED, *WRITES, *REGISTRY_WRITES)
    made = Batches(
        writes=Batch(session, slow_first, trial.write, workers=4),
        reads=Batch(session, (*READS, *REGISTRY_READS), trial.read, workers=3),
        # One after the other: the paths of operations don't tell whose they are.
        bringing_in=Batch(session, BRINGING_IN, trial.bring_in, workers=1),
        real=Batch(session, REAL, trial.real, workers=1),
    )
    yield made
    for batch in (made.writes, made.reads, made.bringing_in, made.real):
        batch.close()


@pytest.mark.parametrize("row", some_always([*READS, *REGISTRY_READS]), ids=_id)
def test_a_fault_before_the_first_write(row: Row, runs: Batches) -> None:
    met = runs.reads.result(row)
    assert_ended(met.first, row, met.site)
    assert met.first.writes == [], met.first.show()
    assert met.after == met.before


@pytest.mark.parametrize("row", some_always(REGISTRY_WRITES), ids=_id)
def test_a_fault_in_writing_to_the_registry(row: Row, runs: Batches) -> None:
    met = runs.writes.result(row)
    assert_ended(met.first, row, met.site)
    if row.status:
        assert met.after == met.before
    assert_deployed(met)


@pytest.mark.parametrize("row", some_always([*WRITES, *VERIFIED]), ids=_id)
def test_a_fault_in_writing_to_azure(row: Row, runs: Batches) -> None:
    met = runs.writes.result(row)
    assert_ended(met.first, row, met.site)
    if "is as it was before" in met.first.said:
        assert met.after == met.before
    # Whatever was lost on the way, the others' settings never are.
    assert {**met.after["settings"], **met.before["settings"]} == met.after["settings"]
    assert_deployed(met)


@pytest.mark.parametrize("row", some_always(VERIFYING), ids=_id)
def test_what_azure_does_not_show_is_said_and_the_verdict_is_right(row: Row, runs: Batches) -> None:
    met = runs.writes.result(row)
    assert met.first.exit_status == 0, met.first.show()
    assert met.first.result is not None
    for what, words in row.seen:
        assert words in met.first.result["evidence"][what]
    assert_deployed(met)


@pytest.mark.parametrize("row", BRINGING_IN, ids=_id)
def test_a_fault_in_bringing_the_collector_in(row: Row, runs: Batches) -> None:
    met = runs.bringing_in.result(row)
    assert_ended(met.first, row, met.site)
    if row.status:
        assert met.after == met.before
    assert_deployed(met)


@pytest.mark.parametrize(
    "row",
    rest_is_thorough(REAL, lambda row: row.title.removesuffix(", with az") in REAL_ALWAYS),
    ids=_id,
)
def test_az_ends_with_one_message_and_the_right_status(row: Row, runs: Batches) -> None:
    answer = runs.real.result(row)
    assert answer.returncode == row.status, answer.show()
    assert "Traceback" not in answer.stderr, answer.show()
    assert API_KEY not in answer.stderr
    assert answer.stderr.count("ERROR:") == (1 if row.status else 0), answer.show()
    assert bool(answer.stdout) == (not row.status)
    for text in row.says:
        # What is between braces differs from run to run: the in-process rows look at it.
        for piece in re.split(r"\{\w+\}", text):
            assert piece in answer.stderr, answer.show()
    assert not row.hides or row.hides not in answer.stderr


def test_a_sign_in_that_has_ended_is_told_with_what_to_type(trial: Trial, runs: Batches) -> None:
    for batch in (runs.writes, runs.reads, runs.bringing_in, runs.real):
        batch.wait()  # the tokens of all others come from the same place
    cloud = trial.cloud
    site = cloud.make_site(wait=False, state="Stopped")
    # Long enough to log in with; az takes a token as good as ended five minutes before its end.
    cloud.local.token_lifetime(60)
    try:
        caller = cloud.caller(("Contributor", site.id.partition("/providers/")[0]))
    finally:
        cloud.local.token_lifetime(None)
    before = _snapshot(site)
    refusal = {
        "error": "invalid_client",
        "error_description": "AADSTS7000222: The provided client secret keys are expired.",
        "error_codes": [7000222],
    }
    path = "/oauth2/v2.0/token$"
    with cloud.fault(service="aad", path=path, status=401, body=refusal, times=ALWAYS):
        answer = site.deploy(az=caller)
    assert answer.returncode == 1, answer.show()
    assert answer.stdout == ""
    assert "Traceback" not in answer.stderr, answer.show()
    assert answer.stderr.count("ERROR:") == 1
    assert "AADSTS7000222" in answer.stderr
    assert "az login" in answer.stderr
    assert answer.writes == []
    assert _snapshot(site) == before


def assert_ended(ended: Ended, row: Row, site: Site) -> None:
    """The exit status, the message and the time that the row wants, and no secret."""
    assert ended.exit_status == row.status, ended.show()
    assert not row.status or ended.seconds < BOUND
    names = {"name": site.name, "group": site.group, "host": site.host}
    for text in row.says:
        assert text.format(**names, repository=site.repository) in ended.said, ended.show()
    assert not row.hides or row.hides not in ended.said, ended.show()
    assert API_KEY not in ended.said
    if row.status:
        assert ended.said.count("ERROR:") == 1


def assert_deployed(met: Met) -> None:
    """In the end the site runs embedded, with its setting and with all that it had before."""
    last, state = met.again or met.first, met.at_last or met.after
    assert last.exit_status == 0, last.show()
    assert last.result is not None
    assert last.result["healthy"] in (True, None), last.show()
    component = met.site.component or ""
    settings = {**met.before["settings"], SETTING: met.site.cloud.connection_string(component)}
    assert state["settings"] == settings
    image = f"DOCKER|{last.result['image']['name']}"
    assert "-otelembed-" in image
    assert state["configuration"] == {**met.before["configuration"], "linuxFxVersion": image}
