"""The links that `doctor` shows, from what was read: those that a running site shows seldom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timezone
from functools import partial
from typing import Any

import pytest

from azext_otelembed.collector.config import default
from azext_otelembed.collector.problem import Problem
from azext_otelembed.errors import AzureFailed, RegistryFailed
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.release.chain import NAMES, Facts, SettingFacts, links
from azext_otelembed.release.telemetry_check import TelemetryCheck
from azext_otelembed.target.running_image import RunningImage
from azext_otelembed.telemetry.arrival import Arrival, Seen
from azext_otelembed.telemetry.arrived import Arrived
from azext_otelembed.telemetry.link import Link, State, health
from azext_otelembed.validation.verdict import Verdict as Validated
from azext_otelembed.verification.collector_log import CollectorLog
from azext_otelembed.verification.site_answer import Ping
from azext_otelembed.verification.verify import Verdict
from tests.unit.samples import SITE

NOW = 1_800_000_000.0
RECIPE = Digest.of(b"recipe")
IMAGE = RunningImage(
    Reference.parse("r.azurecr.io/shop:1-otelembed"),
    Reference.parse("r.azurecr.io/shop:1"),
    ImageConfig.of({"config": {"Env": ["PYTHON_VERSION=3.13"], "Cmd": ["gunicorn", "shop"]}}),
    "0.150.0",
    RECIPE,
    "exec/3",
    default(),
)
STARTED = CollectorLog(NOW - 600)
DEAD = CollectorLog(NOW - 600, 5, 1, NOW - 12, 16)


def rows(seconds_ago: float) -> TelemetryCheck:
    when = datetime.fromtimestamp(NOW - seconds_ago, timezone.utc)
    recipe = RECIPE.short
    found = Arrived(900, when, recipe, {"logs": 2}, {"a": 2}, {recipe: 2}, when, when)
    return TelemetryCheck("shop-insights", Arrival(0, found, Seen.YES))


NO_ROWS = TelemetryCheck(
    "shop-insights", Arrival(0, Arrived(900, datetime.now(timezone.utc)), Seen.OPEN)
)
FACTS = Facts(
    observed=replace(SITE, state="Running"),
    seen=Verdict(True, "", {"instances": "1 READY", "http": "HTTP 200 on /"}),
    pull=None,
    image=IMAGE,
    log=STARTED,
    setting=SettingFacts(True, "it belongs to shop-insights", "", None, "https://i/", Ping(405)),
    telemetry=NO_ROWS,
    now=NOW,
)


def link(name: str, **changed: Any) -> Link:
    (found,) = (one for one in links(replace(FACTS, **changed)) if one.name == name)
    return found


def image(**changed: Any) -> Mapping[str, Any]:
    return {"image": replace(IMAGE, **changed)}


def test_a_chain_without_rows_is_unknown_at_its_end_only() -> None:
    found = links(FACTS)
    assert tuple(one.name for one in found) == NAMES
    assert [one.name for one in found if one.state is not State.OK] == ["app", "rows"]
    assert health(found) is None
    assert health(links(replace(FACTS, telemetry=rows(5)))) is True
    assert health(links(replace(FACTS, log=DEAD))) is False


def test_a_collector_that_exits_again_and_again_is_broken() -> None:
    found = link("collector", log=DEAD)
    assert found.state is State.BROKEN
    assert "exited 5 times" in found.evidence
    assert "last with status 1 (12 s ago; next start: 16 s later)" in found.evidence
    assert found.commands == ("az otelembed deploy -g rg -n shop --collector-logs stderr",)
    told = replace(DEAD, reason="listen tcp 127.0.0.1:4318: bind: address already in use")
    assert "address already in use" in link("collector", log=told).evidence
    assert link("ports", log=told).state is State.BROKEN


def test_a_collector_without_another_start_is_broken_for_good() -> None:
    found = link("collector", log=replace(DEAD, last=NOW - 10**5, pause=None))
    assert (found.state, "next start: never" in found.evidence) == (State.BROKEN, True)


def test_rows_that_are_newer_than_an_exit_show_that_the_collector_runs() -> None:
    assert link("collector", log=DEAD, telemetry=rows(5)).state is State.OK
    assert link("collector", log=DEAD, telemetry=rows(60)).state is State.BROKEN


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, State.OK),
        ({"log": replace(DEAD, last=NOW - 300)}, State.OK),
        ({"log": CollectorLog()}, State.UNKNOWN),
        ({"log": AzureFailed("no log")}, State.UNKNOWN),
        ({"log": AzureFailed("no log"), "telemetry": rows(5)}, State.OK),
        (image(launcher="exec/2"), State.UNKNOWN),
        (image(launcher="drain/3,logs=stderr"), State.OK),
        ({"image": RegistryFailed("no image")}, State.UNKNOWN),
        (image(collector=None), State.UNKNOWN),
    ],
)
def test_silence_shows_that_the_collector_runs_only_where_an_exit_would_be_written(
    changed: Mapping[str, Any], state: State
) -> None:
    assert link("collector", **changed).state is state


BAD = default().replace(b"processors:", b"procesors:", 1)


@pytest.mark.parametrize(
    ("config", "state", "words"),
    [
        (default(), State.OK, "the default configuration"),
        (BAD, State.BROKEN, "Line "),
        (None, State.UNKNOWN, "no configuration file"),
    ],
)
def test_the_configuration_in_the_image_is_checked(
    config: bytes | None, state: State, words: str
) -> None:
    found = link("configuration", **image(config=config))
    assert found.state is state
    assert words in found.evidence


SENDS = b"""
receivers: {otlp: {protocols: {http: {endpoint: localhost:4318}}}}
exporters: {azuremonitor: {}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [azuremonitor]}}}
"""
LOCAL = partial(Validated, "local", "0.150.0")


def test_the_verdict_of_the_collector_itself_decides() -> None:
    sends = image(config=SENDS)
    own = link("configuration", **sends)
    assert (own.state, "the checks of a deploy find no error" in own.evidence) == (
        State.OK,
        True,
    )
    asked = link("configuration", **sends, validated=LOCAL(()))
    assert (asked.state, "collector 0.150.0 finds no error" in asked.evidence) == (State.OK, True)
    refused = Problem(3, "exporters", "otelcol validate: no such key")
    found = link("configuration", **sends, validated=LOCAL((refused,)), log=DEAD)
    assert (found.state, "Line 3: otelcol validate" in found.evidence) == (State.BROKEN, True)
    assert "az otelembed deploy -g rg -n shop --collector-config <file>" in found.commands


def test_a_configuration_of_a_dead_collector_is_ok_only_by_the_collectors_own_verdict() -> None:
    sends = image(config=SENDS)
    assert link("configuration", **sends, log=DEAD, validated=LOCAL(())).state is State.OK
    found = link("configuration", **sends, log=DEAD)
    assert found.state is State.UNKNOWN
    assert found.commands == (
        "az otelembed config show -g rg -n shop",
        "az otelembed config validate <file> --registry r",
    )


def test_a_port_of_the_app_that_the_collector_needs_is_broken() -> None:
    observed = replace(FACTS.observed, settings={"WEBSITES_PORT": "4318"})
    assert link("ports", observed=observed).state is State.BROKEN
    assert link("ports", log=replace(STARTED, port=4317)).state is State.BROKEN
    assert link("ports").state is State.OK  # the collector listens
    assert link("ports", log=CollectorLog()).state is State.UNKNOWN
    found = link("ports", log=replace(STARTED, port=8080))
    assert (found.state, "expected on 8080" in found.evidence) == (State.OK, True)


def test_an_endpoint_that_only_this_machine_cannot_reach_is_not_called_broken() -> None:
    setting = replace(FACTS.setting, answer=Ping(None, "no connection", unreachable=True))
    assert link("endpoint", setting=setting).state is State.UNKNOWN
    assert link("endpoint", setting=setting, telemetry=rows(5)).state is State.OK
    setting = replace(setting, answer=Ping(503))
    assert link("endpoint", setting=setting).state is State.BROKEN


def test_a_stopped_site_has_no_collector_that_runs() -> None:
    stopped = replace(FACTS.observed, state="Stopped")
    for telemetry in (NO_ROWS, rows(5)):
        found = links(replace(FACTS, observed=stopped, telemetry=telemetry))
        states = {one.name: one.state for one in found}
        assert states["site"] is State.BROKEN
        assert (states["collector"], states["app"]) == (State.UNKNOWN, State.UNKNOWN)


def test_an_app_that_sends_nothing_gets_the_hint_for_its_language() -> None:
    found = link("app")
    assert found.state is State.UNKNOWN
    assert "looks like one for Python" in found.fix
    assert "docs/apps.md" in found.fix
    assert "can't be seen from outside" in found.evidence


def test_rows_of_the_container_before_a_change_do_not_show_that_the_app_sends() -> None:
    observed = replace(FACTS.observed, settings={"OTEL_SDK_DISABLED": "true"})
    assert link("app", observed=observed, telemetry=rows(700)).state is State.BROKEN
    assert link("app", observed=observed, telemetry=rows(5)).state is State.OK
    assert link("app", telemetry=rows(700)).state is State.OK


OWN = b"""
receivers: {otlp: {protocols: {http: {endpoint: localhost:4318}}}}
exporters: {otlphttp: {endpoint: "${env:MINE}"}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [otlphttp]}}}
"""


def test_a_variable_that_the_dead_collector_lacks_is_the_broken_link() -> None:
    found = link("configuration", log=DEAD, **image(config=OWN))
    assert found.state is State.BROKEN
    assert "reads ${env:MINE}, which is no app setting" in found.evidence
    assert found.commands == (
        "az webapp config appsettings set -g rg -n shop --settings MINE=<value>",
    )
    assert "link configuration first" in link("collector", log=DEAD, **image(config=OWN)).fix
    running = link("configuration", **image(config=OWN))
    assert running.state is State.UNKNOWN
    assert "nothing will reach Application Insights" in running.evidence
    assert "${env:MINE}" in running.evidence


def test_a_deploy_that_repairs_a_link_has_the_options_of_the_image() -> None:
    setting = replace(FACTS.setting, holds=False, redeploy=("--app-insights", "shop-insights"))
    changed = image(config=OWN, launcher="drain/3,grace=9,logs=stderr,memory=none")
    assert link("setting", setting=setting, **changed).commands == (
        "az otelembed deploy -g rg -n shop --app-insights shop-insights --launcher drain --grace 9 "
        "--collector-logs stderr --collector-config <file>",
    )
