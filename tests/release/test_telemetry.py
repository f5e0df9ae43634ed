"""Releases that wait for their telemetry: seen, missing, not to be asked; and `status`.

The app is the sample app with its SDK, the collector is the test image's; the rows are what the
double's ingestion endpoint received.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from datetime import datetime, timezone
from typing import Any

import pytest

from azext_otelembed.azure.session import Session
from azext_otelembed.console import Console
from azext_otelembed.errors import Refused
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.release.release_context import TelemetryWait
from azext_otelembed.release.status import status
from azext_otelembed.release.telemetry_check import NOT_CHECKED, TelemetryQuestion
from tests.e2e.support import SETTING, Cloud, Site, eventually
from tests.release.support import Ended, Hand, MakeSite, id_of, request_of, session_of
from tests.release.test_unproven import hidden_log

CUSTOM = b"""
receivers: {otlp: {protocols: {http: {endpoint: localhost:4318}}}}
exporters: {azuremonitor: {connection_string: "${env:APPLICATIONINSIGHTS_CONNECTION_STRING}"}}
service: {pipelines: {traces: {receivers: [otlp], exporters: [azuremonitor]}}}
"""
"""A collector configuration that adds no attribute."""
SILENT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:9"}
"""App settings of an app whose telemetry gets nowhere."""
QUICKLY = TelemetryWait(40)
REQUIRED_SOON = TelemetryWait(40, required=True)
REQUIRED = TelemetryWait(3, required=True)


def recipe_in(envelopes: list[dict[str, Any]]) -> bool:
    return any("otelembed.recipe" in one["data"]["baseData"]["properties"] for one in envelopes)


def found(session: Session, site: Site, question: TelemetryQuestion | None) -> dict[str, Any]:
    return status(
        session,
        id_of(site),
        options=request_of().embed,
        app_insights=None,
        health_path="/",
        console=Console(stream=io.StringIO()),
        question=question,
    )


@pytest.fixture(scope="module")
def sending(cloud: Cloud, hand: Hand) -> Iterator[Site]:
    """A site whose telemetry arrives; each test leaves it that way."""
    site = cloud.make_site()
    assert hand.deploy(site, wait=False).exit_status == 0
    eventually(lambda: recipe_in(cloud.local.telemetry()))
    yield site
    cloud.local.clear_faults()
    cloud.delete(site)


@pytest.fixture
def silent(make_site: MakeSite) -> Site:
    """A site whose app sends its telemetry elsewhere."""
    return make_site(settings=SILENT)


def test_a_release_waits_until_its_telemetry_is_seen(sending: Site, hand: Hand) -> None:
    again = hand.deploy(sending, telemetry=QUICKLY)
    assert (again.exit_status, again.result["changed"]) == (0, False), again.said
    assert "from this release" in again.evidence["telemetry"]


def test_status_tells_what_has_arrived(sending: Site, hand: Hand) -> None:
    sending.get("/spans?n=3")
    told = found(hand.session, sending, TelemetryQuestion(seconds=20))
    assert told["telemetry"]["seen"], told
    assert told["healthy"] is True
    telemetry = told["telemetry"]
    assert telemetry["checked"] is True
    assert telemetry["component"] == sending.component
    assert telemetry["thisRelease"] is True
    assert telemetry["rows"]["requests"] > 0
    assert set(telemetry["recipes"]) == {told["recipe"].removeprefix("sha256:")[:12]}
    assert len(telemetry["instances"]) == 1
    assert telemetry["summary"].endswith("from this release")
    assert telemetry["reason"] is None


def test_status_without_the_question_says_that_it_was_not_asked(sending: Site, hand: Hand) -> None:
    def queries(question: TelemetryQuestion | None) -> tuple[dict[str, Any], int]:
        mark = sending.cloud.mark()
        told = found(hand.session, sending, question)
        paths = [one["path"] for one in sending.cloud.local.requests(since=mark)]
        return told, sum(path.endswith("/query") for path in paths)

    told, asked = queries(None)
    assert told["telemetry"] == NOT_CHECKED
    assert told["telemetry"]["summary"] == "not checked"
    assert asked == 0
    assert queries(TelemetryQuestion())[1] == 1


def test_rows_that_are_still_being_ingested_leave_it_open(sending: Site, hand: Hand) -> None:
    with sending.cloud.local.ingestion(latency=3600):
        told = found(hand.session, sending, TelemetryQuestion())
    assert told["healthy"] is None
    assert told["problems"] == []
    reason = told["telemetry"]["reason"]
    assert "Rows take 20 s to 3 min until they can be queried" in reason
    command = f"az otelembed status {' '.join(sending.arguments)} --telemetry --wait 180"
    assert f"Ask again with `{command}`" in reason


def test_rows_that_are_missing_after_that_time_are_a_problem(sending: Site, hand: Hand) -> None:
    with sending.cloud.local.ingestion(latency=3600):
        told = found(hand.session, sending, TelemetryQuestion(seconds=1, latency=1))
    assert told["healthy"] is False
    (problem,) = told["problems"]
    assert problem.startswith("no telemetry of this release has arrived after 1 s: no rows")


def test_a_caller_without_the_right_to_query_learns_the_role(sending: Site) -> None:
    cloud = sending.cloud
    group = f"/subscriptions/{cloud.local.subscription}/resourceGroups/{sending.group}"
    shop = f"/subscriptions/{cloud.local.subscription}/resourceGroups/shop-rg"
    roles = [("Website Contributor", sending.id), ("AcrPull", cloud.registry_id())]
    token = cloud.token(*roles, ("Reader", shop), ("Reader", group))
    insights = f"{group}/providers/microsoft.insights/components/{sending.component}"
    forbidden = {
        "status": 403,
        "times": 0,
        "body": {"error": {"code": "InsufficientAccessError", "message": "insufficient access"}},
    }
    with cloud.fault(service="insights", path="/query", **forbidden):
        told = found(session_of(cloud.local, token), sending, TelemetryQuestion(seconds=30))
    assert told["healthy"] is None
    telemetry = told["telemetry"]
    assert telemetry["seen"] is None
    assert "insufficient access" in telemetry["reason"]
    assert 'az role assignment create --role "Monitoring Reader"' in telemetry["reason"]
    assert f"--scope {insights}" in telemetry["reason"]


def test_a_linked_component_of_another_subscription_is_asked(sending: Site, hand: Hand) -> None:
    cloud = sending.cloud
    component = (
        f"/subscriptions/{cloud.local.subscription}/resourceGroups/{sending.group}"
        f"/providers/Microsoft.Insights/components/{sending.component}"
    )
    link = {"hidden-link: /app-insights-resource-id": component}
    cloud.arm("PATCH", sending.id, {"tags": link})
    listed = {"service": "arm", "path": r"(?i)microsoft\.insights/components$", "times": 0}
    with cloud.fault(**listed, status=200, body={"value": []}):
        told = found(hand.session, sending, TelemetryQuestion())
    cloud.arm("PATCH", sending.id, {"tags": {}})
    assert told["telemetry"]["component"] == sending.component


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"status": 429, "headers": {"retry-after": "600"}}, "Azure throttles these calls"),
        ({"status": 503}, "Azure failed with HTTP 503"),
        ({"status": 200, "body": {"tables": []}}, "no rows in the last 15 min"),
        (
            {
                "status": 200,
                "body": {
                    "tables": [{"name": "PrimaryResult", "columns": [], "rows": []}],
                    "error": {"code": "PartialError", "message": "There were some errors"},
                },
            },
            "incomplete: There were some errors",
        ),
        (
            {
                "status": 200,
                "body": {
                    "tables": [{"name": "PrimaryResult", "columns": [], "rows": []}],
                    "error": {"details": []},
                },
            },
            "incomplete: an error without a message",
        ),
        ({"status": 200, "body": {"rows": 3}}, "Azure answered with nothing in place of a list"),
    ],
)
def test_an_answer_that_tells_nothing_leaves_it_open(
    sending: Site, hand: Hand, answer: Mapping[str, Any], words: str
) -> None:
    with sending.cloud.fault(service="insights", path="/query", times=0, **answer):
        told = found(hand.session, sending, TelemetryQuestion())
    assert told["healthy"] is None
    assert words in told["telemetry"]["summary"]


def test_rows_that_the_likely_component_of_a_reference_lacks_are_not_called_missing(
    silent: Site, hand: Hand
) -> None:
    silent.set(**{SETTING: "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/a)"})
    told = found(hand.session, silent, TelemetryQuestion(seconds=1, latency=1))
    telemetry = told["telemetry"]
    assert (telemetry["component"], telemetry["seen"]) == (silent.component, None)
    assert "Name it with --app-insights <name or id>" in telemetry["reason"]


@pytest.mark.thorough
def test_telemetry_that_is_missing_is_a_warning(silent: Site, hand: Hand) -> None:
    ended = hand.deploy(silent, telemetry=TelemetryWait(2))
    assert (ended.exit_status, ended.release) == (0, "succeeded"), ended.said
    assert ended.result["healthy"] is True
    assert ended.evidence["telemetry"].startswith("no rows in the last")
    assert "no telemetry of this release has arrived yet" in ended.said


def test_telemetry_that_is_required_and_missing_rolls_the_release_back(
    silent: Site, hand: Hand
) -> None:
    ended = hand.deploy(silent, telemetry=REQUIRED)
    assert (ended.exit_status, ended.release) == (4, "rolled back"), ended.said
    assert "no telemetry of this release has arrived after 3 s" in ended.result["reason"]
    assert f"{id_of(silent)} fails the verification: no telemetry" in ended.said
    assert silent.runs == silent.image()
    assert SETTING not in silent.settings()


@pytest.mark.thorough
def test_wait_waits_for_telemetry_too(silent: Site, hand: Hand) -> None:
    assert hand.deploy(silent, wait=False).release == "pending"
    ended = hand.wait(silent, telemetry=REQUIRED)
    assert (ended.exit_status, ended.release) == (4, "rolled back"), ended.said


def test_required_telemetry_that_cannot_be_asked_for_is_refused_before_any_change(
    silent: Site, hand: Hand
) -> None:
    mark = silent.cloud.mark()
    body = {"error": {"code": "AuthorizationFailed", "message": "no right"}}
    with (
        silent.cloud.fault(service="insights", path="/query", status=403, body=body, times=0),
        pytest.raises(Refused, match=r"--require-telemetry: .*no right") as refused,
    ):
        hand.deploy(silent, telemetry=REQUIRED)
    assert 'role assignment create --role "Monitoring Reader"' in str(refused.value.recommendation)
    assert silent.runs == silent.image()
    assert not [one for one in silent.cloud.requests(mark) if one["method"] in ("PUT", "PATCH")]


@pytest.mark.thorough
def test_a_query_that_fails_during_the_wait_leaves_a_required_release_unproven(
    silent: Site, hand: Hand
) -> None:
    # The question before the change is answered.
    fault = {"service": "insights", "path": "/query", "status": 400, "times": 0, "nth": 2}
    with silent.cloud.fault(**fault):
        ended = hand.deploy(silent, telemetry=REQUIRED)
    assert (ended.exit_status, ended.release) == (6, "unproven"), ended.said
    assert "nothing shows that its telemetry arrives" in ended.said
    assert silent.runs != silent.image()
    command = f"az otelembed wait {' '.join(silent.arguments)}"
    assert f"{command} --wait-for-telemetry 3 --require-telemetry" in ended.said


@pytest.mark.thorough
def test_telemetry_of_the_new_image_proves_a_release_that_nothing_else_does(
    site: Site, hand: Hand
) -> None:
    with hidden_log(site):
        ended: Ended = hand.deploy(site, timeout=10, telemetry=QUICKLY)
    assert (ended.exit_status, ended.release) == (0, "succeeded"), ended.said
    assert ended.result["healthy"] is True
    assert "from this release" in ended.evidence["telemetry"]


@pytest.mark.thorough
def test_rows_that_name_no_release_do_not_prove_it(site: Site, hand: Hand) -> None:
    site.set(OTEL_SERVICE_NAME=site.name)
    site.answers()
    with hidden_log(site):
        telemetry = TelemetryWait(15)
        ended = hand.deploy(site, timeout=10, telemetry=telemetry, collector_config=CUSTOM)
    assert (ended.exit_status, ended.release) == (6, "unproven"), ended.said
    assert "which name no release" in ended.evidence["telemetry"]


@pytest.mark.thorough
def test_a_custom_configuration_without_the_recipe_is_seen_too(site: Site, hand: Hand) -> None:
    site.set(OTEL_SERVICE_NAME=f"store.{site.name}")
    site.answers()
    ended = hand.deploy(site, telemetry=REQUIRED_SOON, collector_config=CUSTOM)
    assert (ended.exit_status, ended.release) == (0, "succeeded"), ended.said
    assert "which name no release" in ended.evidence["telemetry"]


@pytest.mark.thorough
def test_rows_that_the_app_sends_past_the_collector_prove_nothing(silent: Site, hand: Hand) -> None:
    assert hand.deploy(silent).exit_status == 0
    send(silent, {}, role=silent.name, sdk="dotnet:2.22.0-997")
    told = found(hand.session, silent, TelemetryQuestion())
    assert told["telemetry"]["seen"] is None, told
    assert told["healthy"] is None
    assert told["telemetry"]["summary"].startswith("1 request, the last ")
    assert "don't come from its collector" in told["telemetry"]["summary"]


@pytest.mark.thorough
def test_rows_are_told_by_instance_and_by_release_after_a_rollback(
    make_site: MakeSite, hand: Hand
) -> None:
    site = make_site(workers=2)
    recipes = []
    for launcher in (None, Launcher("drain")):
        ended = hand.deploy(site, launcher=launcher, telemetry=REQUIRED_SOON)
        assert ended.exit_status == 0, ended.said
        recipes.append(str(ended.result["image"]["name"]).rpartition("-otelembed-")[2])
    assert hand.rollback(site).exit_status == 0
    asked = eventually(lambda: seen_rows(hand, site, instances=2))
    assert asked["seen"] is True
    assert set(asked["recipes"]) == set(recipes)
    assert "of them from this release" in asked["summary"]


def seen_rows(hand: Hand, site: Site, instances: int) -> dict[str, Any] | None:
    """The field `telemetry` once so many instances have sent rows of this release."""
    for _ in range(8):
        site.get("/spans?n=1")
    telemetry: dict[str, Any] = found(hand.session, site, TelemetryQuestion())["telemetry"]
    return telemetry if telemetry["seen"] and len(telemetry["instances"]) >= instances else None


@pytest.mark.thorough
def test_a_swapped_slot_is_seen_in_production_too(
    cloud: Cloud, make_site: MakeSite, hand: Hand
) -> None:
    production = make_site()
    slot = cloud.make_site(
        group=production.group,
        name=production.name,
        slot="staging",
        repository=production.repository,
        component=False,
    )
    slot.push("1.1", source="1.0")
    ended = hand.deploy(slot, image=slot.image("1.1"), swap=True, telemetry=REQUIRED_SOON)
    assert (ended.exit_status, ended.release) == (0, "succeeded"), ended.said
    for one in ("slot", "production"):
        told = ended.result["swap"][one]["evidence"]["telemetry"]
        assert "from this release" in told, ended.result
    recipe = production.runs.rpartition("-otelembed-")[2]
    # A container that App Service doesn't start again keeps the host name of its former slot.
    host = slot.url.removeprefix("https://")
    cloud.local.clear_telemetry()
    send(production, {"otelembed.recipe": recipe, "otelembed.host": host})
    swapped = found(hand.session, production, TelemetryQuestion(seconds=20))
    assert swapped["healthy"] is True, swapped
    assert host not in swapped["telemetry"]["summary"]


def send(
    site: Site, properties: dict[str, str], role: str = "checkout", sdk: str = "otelc-localazure"
) -> None:
    """Sends one request's row to the site's component, as an exporter does."""
    now = datetime.now(timezone.utc)
    key = site.cloud.connection_string(site.component or "").split(";")[0].partition("=")[2]
    row = {
        "name": "Microsoft.ApplicationInsights.Request",
        "time": f"{now:%Y-%m-%dT%H:%M:%S.%f}Z",
        "iKey": key,
        "tags": {"ai.cloud.role": role, "ai.internal.sdkVersion": sdk},
        "data": {"baseType": "RequestData", "baseData": {"properties": properties}},
    }
    with site.cloud.local.http() as http:
        http.post(f"{site.cloud.local.insights}/v2.1/track", json=[row]).raise_for_status()
